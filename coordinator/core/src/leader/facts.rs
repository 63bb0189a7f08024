//! The questions that a leader asks the state; it changes the state by commands alone.

use dagmar_common::ids::{Fence, Incarnation, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Hello, Start};
use dagmar_common::time::LogTime;

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

    /// All that this worker holds, in order of fences.
    fn leases_of(&self, worker: WorkerNo) -> Vec<Fence>;

    /// None where the lease has ended.
    fn start(&self, fence: Fence) -> Option<Start>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerFacts {
    pub id: WorkerId,
    pub number: WorkerNo,
    pub incarnation: Incarnation,
    /// The session under which it gets grants; None while it is suspended or lost.
    pub ready: Option<Session>,
    /// When its next lease may be taken from it; None while it is ready or holds nothing.
    pub lost_at: Option<LogTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseFacts {
    pub worker: WorkerNo,
    /// Its run was cancelled and waits for it to end.
    pub is_cancelled: bool,
}
