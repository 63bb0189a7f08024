//! Outcomes and returned leases: each fence is answered by itself.

use dagmar_common::ids::{Fence, Incarnation, WorkerId, WorkerNo};
use dagmar_common::lease::{Ending, Outcome, Returned};
use dagmar_common::mutant::{Mutant, lives};

use crate::effect::{Applied, Effect, Reply};
use crate::rules::Entry;
use crate::rules::end::Lapse;
use crate::state::State;
use crate::state::lease::LeaseRow;

impl State {
    pub(super) fn outcomes(
        &mut self,
        entry: Entry,
        worker: WorkerId,
        outcomes: Vec<Outcome>,
        out: &mut Applied,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        for outcome in outcomes {
            self.outcome(entry, worker, outcome, out);
        }
        Reply::Done
    }

    /// Recorded iff its fence is its trial's latest and the trial has no outcome, or if it is this
    /// very outcome that the trial has.
    fn outcome(&mut self, entry: Entry, by: WorkerNo, outcome: Outcome, out: &mut Applied) {
        let (fence, digest) = (outcome.fence, outcome.digest());
        let taken = self.leases.get(fence);
        let taken = taken.filter(|lease| lease.is_live || !lives(Mutant::OnlyLeasedIsRecorded));
        let Some(lease) = taken.cloned() else {
            let any = lives(Mutant::OlderFenceIsRecorded);
            out.effects.push(match self.leases.is_recorded(fence, digest) || any {
                true => Effect::Recorded { worker: by, fence },
                false => Effect::Refused { worker: by, fence },
            });
            return;
        };
        if lease.is_live {
            self.release(fence, &lease);
        }
        self.leases.remove(fence);
        self.leases.record(fence, digest);
        if outcome.ending != Ending::Cancelled {
            self.schedule.classes[lease.class as usize].took(outcome.took);
        }
        out.effects.push(Effect::Recorded { worker: by, fence });
        self.turn(lease.slot, entry, out).record(&lease, by, outcome);
        self.enter_round(lease.slot);
    }

    /// The worker has room again for what the lease held.
    fn release(&mut self, fence: Fence, lease: &LeaseRow) {
        let schedule = &self.schedule;
        let worker = self.workers.get_mut(lease.worker);
        worker.unlink(&mut self.leases, fence, |class| schedule.need(class));
        self.workers.leases -= 1;
        self.schedule.fresh.insert(lease.worker);
    }

    /// A lease ends without an outcome; its trial may still be recorded under it.
    pub(super) fn lapse(&mut self, entry: Entry, fence: Fence, lapse: Lapse, out: &mut Applied) {
        let Some(lease) = self.leases.live(fence).cloned() else { return };
        self.release(fence, &lease);
        if let Some(row) = self.leases.get_mut(fence) {
            row.is_live = false;
        }
        self.turn(lease.slot, entry, out).lapse(fence, &lease, lapse);
        self.enter_round(lease.slot);
    }

    pub(super) fn returned(
        &mut self,
        entry: Entry,
        (worker, incarnation): (WorkerId, Incarnation),
        returned: Vec<Returned>,
        out: &mut Applied,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        let is_older = self.workers.get(worker).incarnation != incarnation;
        if is_older && !lives(Mutant::AnyoneReturns) {
            return Reply::Dropped;
        }
        for Returned { fence, started } in returned {
            let its_own = self.leases.live(fence).filter(|row| row.worker == worker);
            if let Some(lease) = its_own {
                // Nobody asked for it back and nothing ran: its worker cannot start it now.
                let waits = !started && !lease.is_recalled;
                self.lapse(entry, fence, Lapse::Returned { started, waits }, out);
            }
            // Either way the worker need not say it again.
            out.effects.push(Effect::Recorded { worker, fence });
        }
        Reply::Done
    }
}
