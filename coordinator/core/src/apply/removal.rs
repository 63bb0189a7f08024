//! The end of a worker by somebody's word: drained, removed, or left behind by a restore.

use dagmar_common::ids::{ClusterId, Fence, WorkerId, WorkerNo};
use dagmar_common::mutant::{Mutant, lives};

use crate::effect::{Applied, Effect, Reply};
use crate::rules::Entry;
use crate::rules::end::{Lapse, Loss};
use crate::state::State;
use crate::state::worker::Readiness;

impl State {
    /// What has not begun comes back, and what runs ends in its own time.
    pub(super) fn drain(&mut self, worker: WorkerId, is_on: bool, out: &mut Applied) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        self.workers.get_mut(worker).drains = is_on;
        self.schedule.fresh.insert(worker);
        if is_on {
            self.unreserve_worker(worker);
            for (fence, _) in self.held_by(worker) {
                self.recall_one(fence, out);
            }
        }
        Reply::Done
    }

    fn recall_one(&mut self, fence: Fence, out: &mut Applied) {
        let Some(lease) = self.leases.get_mut(fence) else { return };
        let worker = lease.worker;
        if !std::mem::replace(&mut lease.is_recalled, true) {
            self.workers.get_mut(worker).recalled += 1;
        }
        out.effects.push(Effect::Recall { worker, fence });
    }

    /// Its leases end as those of a lost worker of which nothing is known, and nobody waited:
    /// what is exclusive may still run.
    pub(super) fn remove_worker(
        &mut self,
        entry: Entry,
        worker: WorkerId,
        units: &mut u32,
        out: &mut Applied,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        if self.workers.get(worker).readiness != Readiness::Removed {
            self.remove(entry, worker, units, out);
        }
        Reply::Done
    }

    fn remove(&mut self, entry: Entry, worker: WorkerNo, units: &mut u32, out: &mut Applied) {
        *units += self.workers.get(worker).leases;
        self.unreserve_worker(worker);
        let may_run_for = Some(self.workers.get(worker).lost_after)
            .filter(|_| !lives(Mutant::RemovedDoesNotWait));
        for (fence, started) in self.held_by(worker) {
            let loss = Loss { started, counts: false, may_run_for };
            self.lapse(entry, fence, Lapse::Lost(loss), out);
        }
        let row = self.workers.get_mut(worker);
        row.readiness = Readiness::Removed;
        self.workers.capacity -= u64::from(std::mem::take(&mut row.cpu_millis));
        out.effects.push(Effect::Stale { worker });
    }

    /// The other cluster went on after the backup, and may go on still: what its workers do here
    /// is not known, and none of them counts as ours before it has joined again.
    pub(super) fn restored(
        &mut self,
        entry: Entry,
        cluster: ClusterId,
        units: &mut u32,
        out: &mut Applied,
    ) -> Reply {
        if self.cluster == cluster {
            return Reply::Done;
        }
        self.cluster = cluster;
        for worker in (0..self.workers.rows.len() as u32).map(WorkerNo) {
            if self.workers.get(worker).readiness != Readiness::Removed {
                self.remove(entry, worker, units, out);
            }
        }
        self.leases.begin_epoch();
        Reply::Done
    }
}
