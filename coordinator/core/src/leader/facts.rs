//! The questions that a leader asks the state; it changes the state by commands alone.

use dagmar_common::ids::{Fence, Incarnation, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Hello, Start};
use dagmar_common::time::LogTime;

use crate::State;
use crate::ask::WorkerView;

/// The state as a leader sees it: who is known and who holds what.
pub trait Facts {
    fn worker(&self, id: WorkerId) -> Option<WorkerFacts>;

    fn worker_id(&self, number: WorkerNo) -> Option<WorkerId>;

    /// In a fixed order.
    fn workers(&self) -> impl Iterator<Item = WorkerFacts>;

    /// Name, capacity and labels of a known worker are as this hello says.
    fn offers_the_same(&self, hello: &Hello) -> bool;

    /// None unless a worker holds this fence now.
    fn lease(&self, fence: Fence) -> Option<LeaseFacts>;

    /// It was taken from this worker, and its trial still waits under that very fence.
    fn waits_under(&self, worker: WorkerNo, fence: Fence) -> bool;

    /// All that this worker holds, in order of fences.
    fn leases_of(&self, worker: WorkerNo) -> Vec<Fence>;

    /// What starts it; None where this worker no longer holds it.
    fn start(&self, worker: WorkerNo, fence: Fence) -> Option<Start>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerFacts {
    pub id: WorkerId,
    pub number: WorkerNo,
    pub incarnation: Incarnation,
    /// The session under which it gets grants; None while it is suspended or lost.
    pub ready: Option<Session>,
    /// Nobody may come under this id any more.
    pub is_removed: bool,
    /// When its next lease may be taken from it; None while it is ready or holds nothing.
    pub lost_at: Option<LogTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseFacts {
    pub worker: WorkerNo,
    /// Its run was cancelled and waits for it to end.
    pub is_cancelled: bool,
}

impl Facts for State {
    fn worker(&self, id: WorkerId) -> Option<WorkerFacts> {
        self.worker(self.worker_no(id)?).map(|worker| facts(&worker))
    }

    fn worker_id(&self, number: WorkerNo) -> Option<WorkerId> {
        self.worker(number).map(|worker| worker.id)
    }

    fn workers(&self) -> impl Iterator<Item = WorkerFacts> {
        self.workers().map(|worker| facts(&worker))
    }

    fn offers_the_same(&self, hello: &Hello) -> bool {
        let worker = self.worker_no(hello.worker).and_then(|number| self.worker(number));
        worker.is_some_and(|worker| {
            **worker.name == hello.name
                && worker.cpu_millis == hello.cpu_millis
                && worker.labels == hello.labels
        })
    }

    fn lease(&self, fence: Fence) -> Option<LeaseFacts> {
        let lease = self.lease(fence)?;
        Some(LeaseFacts { worker: lease.worker, is_cancelled: lease.is_cancelled })
    }

    fn waits_under(&self, worker: WorkerNo, fence: Fence) -> bool {
        self.waits_under(worker, fence)
    }

    fn leases_of(&self, worker: WorkerNo) -> Vec<Fence> {
        self.leases_of(worker).collect()
    }

    fn start(&self, worker: WorkerNo, fence: Fence) -> Option<Start> {
        self.start_message(worker, fence)
    }
}

fn facts(worker: &WorkerView<'_>) -> WorkerFacts {
    let since = worker.suspended_since.filter(|_| worker.leases > 0);
    WorkerFacts {
        id: worker.id,
        number: worker.number,
        incarnation: worker.incarnation,
        ready: worker.ready,
        is_removed: worker.is_removed,
        lost_at: since.map(|since| since + worker.lost_after),
    }
}
