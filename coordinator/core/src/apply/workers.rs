//! Workers come, are ready, are away, and are given up.

use std::collections::BTreeSet;

use dagmar_common::ids::{Fence, Incarnation, Session, WorkerId, WorkerNo};
use dagmar_common::limits::{ENTRY_UNITS_MAX, LOST_AFTER, LOST_AFTER_MIN, WORKER_LEASES_MAX};
use dagmar_common::mutant::{Mutant, lives};

use crate::command::WorkerHello;
use crate::effect::{Applied, Effect, Reply};
use crate::rules::Entry;
use crate::rules::end::{Lapse, Loss};
use crate::state::State;
use crate::state::worker::{Readiness, Reign, WorkerRow};

impl State {
    /// Every worker is suspended from here until it is ready under this leader; what only a leader
    /// does and no hello repeats is given again.
    pub(super) fn leader_is_up(&mut self, entry: Entry, out: &mut Applied) -> Reply {
        let before = self.reign;
        for worker in &mut self.workers.rows {
            // Suspended since the reign before: that is when its absence began.
            if worker.readiness == Readiness::Ready && worker.reign != before.number {
                worker.readiness = Readiness::Suspended { since: before.since };
            }
        }
        self.reign = Reign { number: before.number + 1, since: entry.now };
        let ended = self.runs.live().filter(|(_, run)| !run.is_live());
        out.effects.extend(ended.map(|(_, run)| Effect::Archive { run: run.number }));
        Reply::Done
    }

    /// A newer incarnation ends the leases that it does not list.
    pub(super) fn hello(&mut self, entry: Entry, hello: WorkerHello, out: &mut Applied) -> Reply {
        let worker = match self.worker_no(hello.worker) {
            Some(worker) => worker,
            None => self.new_worker(entry, &hello),
        };
        let row = self.workers.get_mut(worker);
        if row.readiness == Readiness::Removed {
            return Reply::Dropped;
        }
        if hello.incarnation.number < row.incarnation.number
            || (hello.incarnation.number == row.incarnation.number
                && hello.incarnation.nonce != row.incarnation.nonce)
        {
            return Reply::Dropped;
        }
        let is_newer = hello.incarnation.number > row.incarnation.number;
        row.incarnation = hello.incarnation;
        row.name = hello.name.into();
        row.labels = hello.labels.into();
        let lost_after = hello.lost_after.unwrap_or(LOST_AFTER).max(LOST_AFTER_MIN);
        row.lost_after = lost_after;
        row.drains &= !lives(Mutant::HelloClearsDrain);
        let before = std::mem::replace(&mut row.cpu_millis, hello.cpu_millis);
        self.workers.capacity += u64::from(hello.cpu_millis);
        self.workers.capacity -= u64::from(before);
        self.suspend(worker, entry);
        if is_newer {
            let held: BTreeSet<Fence> = hello.held.iter().map(|held| held.fence).collect();
            for (fence, is_charged) in self.held_by(worker) {
                let loss = match (hello.born_ready, held.contains(&fence)) {
                    // In the process of its only coordinator all died with it, and was swept: no
                    // trial's fault, and nothing is left to wait for. What it lists had begun.
                    (Some(_), started) => Loss { started, counts: false, may_run_for: None },
                    (None, true) => continue,
                    (None, false) if lives(Mutant::NewerKeepsLeases) => continue,
                    (None, false) => {
                        let may_run_for =
                            Some(lost_after).filter(|_| !lives(Mutant::NewerDoesNotWait));
                        Loss { started: is_charged, counts: true, may_run_for }
                    }
                };
                self.lapse(entry, fence, Lapse::Lost(loss), out);
            }
            out.effects.push(Effect::Stale { worker });
        }
        if let Some(session) = hello.born_ready {
            self.make_worker_ready(worker, session);
        }
        Reply::Done
    }

    fn new_worker(&mut self, entry: Entry, hello: &WorkerHello) -> WorkerNo {
        let worker = WorkerNo(self.workers.rows.len() as u32);
        self.workers.numbers.insert(hello.worker, worker);
        self.workers.rows.push(WorkerRow {
            id: hello.worker,
            incarnation: hello.incarnation,
            name: hello.name.as_str().into(),
            cpu_millis: 0,
            labels: [].into(),
            lost_after: LOST_AFTER,
            session: Session::default(),
            readiness: Readiness::Suspended { since: entry.now },
            reign: 0,
            used: 0,
            leases: 0,
            charged: 0,
            recalled: 0,
            first: 0,
            last: 0,
            ahead: 0,
            reserved_for: None,
            drains: false,
        });
        worker
    }

    /// What it holds of leases that were taken from it is its own again, or to be killed.
    pub(super) fn worker_ready(
        &mut self,
        entry: Entry,
        (worker, incarnation): (WorkerId, Incarnation),
        session: Session,
        regains: &[Fence],
        out: &mut Applied,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        let row = self.workers.get(worker);
        let is_over = row.readiness == Readiness::Removed || session < row.session;
        if is_over || row.incarnation != incarnation {
            return Reply::Dropped;
        }
        for fence in regains.iter().copied() {
            if !self.regain(entry, worker, fence, out) && !lives(Mutant::NotRegainedIsNotKilled) {
                out.effects.push(Effect::Kill { worker, fence });
            }
        }
        self.make_worker_ready(worker, session);
        Reply::Done
    }

    /// The worker has the lease again, and its cpus while there are any. A worker's leases stand in
    /// the order of their fences, so it comes behind those that it has.
    fn regain(&mut self, entry: Entry, worker: WorkerNo, fence: Fence, out: &mut Applied) -> bool {
        if self.leases.live(fence).is_some_and(|lease| lease.worker == worker) {
            return true;
        }
        let row = self.workers.get(worker);
        let (free, is_first) = (row.free(), row.ahead == 0);
        let has_room = row.leases < WORKER_LEASES_MAX && row.last < fence.0;
        if !has_room || !self.waits_under(worker, fence) {
            return false;
        }
        let Some(lease) = self.leases.get_mut(fence) else { return false };
        (lease.is_live, lease.is_recalled) = (true, false);
        let (slot, node, class) = (lease.slot, lease.node, lease.class);
        let need = self.schedule.need(class);
        let is_charged = is_first && u64::from(need) <= free;
        self.workers.get_mut(worker).link(&mut self.leases, fence, need, is_charged);
        self.workers.leases += 1;
        self.turn(slot, entry, out).regained(node);
        true
    }

    fn make_worker_ready(&mut self, worker: WorkerNo, session: Session) {
        let schedule = &self.schedule;
        let row = self.workers.get_mut(worker);
        row.session = session;
        row.readiness = Readiness::Ready;
        row.reign = self.reign.number;
        row.move_up(&mut self.leases, |class| schedule.need(class));
        self.schedule.fresh.insert(worker);
    }

    pub(super) fn worker_suspended(
        &mut self,
        entry: Entry,
        worker: WorkerId,
        session: Session,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        let row = self.workers.get(worker);
        let is_another = row.session != session && !lives(Mutant::SuspendsAnySession);
        if is_another || !row.is_ready(self.reign) {
            return Reply::Dropped;
        }
        self.suspend(worker, entry);
        Reply::Done
    }

    /// It keeps its leases and gets no more.
    fn suspend(&mut self, worker: WorkerNo, entry: Entry) {
        let reign = self.reign;
        let row = self.workers.get_mut(worker);
        let since = row.away_since(reign).unwrap_or(entry.now);
        row.readiness = Readiness::Suspended { since };
        if let Some(class) = row.reserved_for.take() {
            self.schedule.classes[class as usize].reserved = None;
        }
    }

    /// Void unless the worker has been away for its `lost_after` of log time, and where the entry
    /// has no room for all of its leases: asked again, it is the first of another.
    pub(super) fn worker_lost(
        &mut self,
        entry: Entry,
        worker: WorkerId,
        (started, unsent): (&[Fence], &[Fence]),
        units: &mut u32,
        out: &mut Applied,
    ) -> Reply {
        let Some(worker) = self.worker_no(worker) else { return Reply::Dropped };
        let row = self.workers.get(worker);
        let Some(since) = row.away_since(self.reign) else { return Reply::Dropped };
        let has_room = *units <= 1 || *units + row.leases <= ENTRY_UNITS_MAX;
        let is_early = since + row.lost_after > entry.now && !lives(Mutant::LostTooEarly);
        if is_early || !has_room {
            return Reply::Dropped;
        }
        *units += row.leases;
        self.suspend(worker, entry);
        self.workers.get_mut(worker).readiness = Readiness::Lost;
        let (started, unsent): (BTreeSet<_>, BTreeSet<_>) =
            (started.iter().collect(), unsent.iter().collect());
        for (fence, is_charged) in self.held_by(worker) {
            // Not known to have started: the worker was not lost under it.
            let (started, unsent) = (started.contains(&fence), unsent.contains(&fence));
            let counts = started && !unsent;
            let unknown = is_charged && !unsent && !lives(Mutant::UnknownIsNotStarted);
            let started = counts || unknown;
            // It was away for so long that what was exclusive has stopped.
            let loss = Loss { started, counts, may_run_for: None };
            self.lapse(entry, fence, Lapse::Lost(loss), out);
        }
        Reply::Done
    }

    /// Its leases, and whether each has its worker's cpus. Where nobody knows better, such a one
    /// had begun, and what was granted ahead of it had not. The end of one moves others up.
    pub(super) fn held_by(&self, worker: WorkerNo) -> Vec<(Fence, bool)> {
        let is_charged = |fence| self.leases.live(fence).is_some_and(|lease| lease.is_charged);
        self.leases_of(worker).map(|fence| (fence, is_charged(fence))).collect()
    }
}
