//! One worker as others see it, and what the state knows of one lease.

use std::sync::Arc;

use dagmar_common::ids::{Fence, Incarnation, RunNo, Session, WorkerId, WorkerNo};
use dagmar_common::record::NodeStatus;
use dagmar_common::time::{LogTime, Span};

use crate::state::State;
use crate::state::node::Marks;
use crate::state::worker::{Readiness, WorkerRow};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView<'a> {
    pub number: WorkerNo,
    pub id: WorkerId,
    pub incarnation: Incarnation,
    pub name: &'a Arc<str>,
    pub cpu_millis: u32,
    /// Of them, by leases that are not ahead.
    pub used: u64,
    pub leases: u32,
    pub labels: &'a [(String, String)],
    /// The session under which it is ready; None while it is suspended or lost.
    pub ready: Option<Session>,
    /// Since when it is suspended, in log time.
    pub suspended_since: Option<LogTime>,
    pub is_lost: bool,
    pub is_removed: bool,
    pub drains: bool,
    pub lost_after: Span,
}

/// One live lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    pub worker: WorkerNo,
    pub run: RunNo,
    /// Its run was cancelled or timed out: the worker is to stop it.
    pub is_cancelled: bool,
}

impl State {
    pub fn worker(&self, worker: WorkerNo) -> Option<WorkerView<'_>> {
        let row = self.workers.rows.get(worker.0 as usize)?;
        Some(self.worker_view(worker, row))
    }

    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> {
        let numbered = (0..).map(WorkerNo).zip(&self.workers.rows);
        numbered.map(|(number, row)| self.worker_view(number, row))
    }

    fn worker_view<'a>(&'a self, number: WorkerNo, row: &'a WorkerRow) -> WorkerView<'a> {
        WorkerView {
            number,
            id: row.id,
            incarnation: row.incarnation,
            name: &row.name,
            cpu_millis: row.cpu_millis,
            used: row.used,
            leases: row.leases,
            labels: &row.labels,
            ready: row.is_ready(self.reign).then_some(row.session),
            suspended_since: row.away_since(self.reign),
            is_lost: row.readiness == Readiness::Lost,
            is_removed: row.readiness == Readiness::Removed,
            drains: row.drains,
            lost_after: row.lost_after,
        }
    }

    /// The leases of a worker, oldest first.
    pub fn leases_of(&self, worker: WorkerNo) -> impl Iterator<Item = Fence> + '_ {
        let first = self.workers.rows.get(worker.0 as usize).map_or(0, |row| row.first);
        let next = |fence: &Fence| self.leases.get(*fence).map(|lease| Fence(lease.next));
        std::iter::successors(Some(Fence(first)), next).take_while(|fence| fence.0 != 0)
    }

    /// What is leased and may not run twice, or not beside itself.
    pub fn careful_leases(&self) -> Vec<Fence> {
        let live = self.leases.iter().filter(|(_, lease)| lease.is_live);
        let careful =
            live.filter(|(_, row)| !self.schedule.classes[row.class as usize].care.is_none());
        careful.map(|(fence, _)| fence).collect()
    }

    /// The lease was taken from this worker, and its trial still waits under that very fence: who
    /// runs it may have it back. What is exclusive or may run once never is in that place: the one
    /// has stopped, and the other does not wait.
    pub fn waits_under(&self, worker: WorkerNo, fence: Fence) -> bool {
        let lease = self.leases.get(fence).filter(|row| !row.is_live && row.worker == worker);
        lease.is_some_and(|lease| {
            let care = self.schedule.classes[lease.class as usize].care;
            care.is_none() && self.runs.get(lease.slot).stop.is_none()
        })
    }

    /// A lease that is live: neither ended nor taken from its worker.
    pub fn lease(&self, fence: Fence) -> Option<LeaseView> {
        let lease = self.leases.live(fence)?;
        let run = self.runs.get(lease.slot);
        let node = run.nodes.get(lease.node);
        let is_told = node.status == NodeStatus::Leased && node.marks.has(Marks::CANCELLING);
        Some(LeaseView {
            worker: lease.worker,
            run: run.number,
            is_cancelled: is_told || run.stop.is_some(),
        })
    }
}
