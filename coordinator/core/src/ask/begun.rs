//! What runs, of all that is leased: the trials that have begun. Only a leader knows, by hearing.

use std::collections::BTreeMap;

use dagmar_common::ids::Fence;
use dagmar_common::record::{AttemptRecord, AttemptStatus, Counts, NodeRecord, NodeStatus};
use dagmar_common::time::WallTime;

use crate::state::State;
use crate::state::run::RunRow;

/// Trials that have begun and were not reported, with the time where somebody saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun(BTreeMap<Fence, Option<WallTime>>);

impl Begun {
    /// False if it was there.
    pub fn insert(&mut self, fence: Fence, at: Option<WallTime>) -> bool {
        let is_new = !self.has(fence);
        if is_new || at.is_some() {
            self.0.insert(fence, at);
        }
        is_new
    }

    pub fn remove(&mut self, fence: Fence) -> bool {
        self.0.remove(&fence).is_some()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn extend(&mut self, others: &Begun) {
        self.0.extend(&others.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, fence: Fence) -> bool {
        self.0.contains_key(&fence)
    }

    pub fn at(&self, fence: Fence) -> Option<WallTime> {
        self.0.get(&fence).copied().flatten()
    }

    pub fn fences(&self) -> impl Iterator<Item = Fence> {
        self.0.keys().copied()
    }

    /// A trial that is leased and waits for its cpus is no attempt yet.
    pub(super) fn told(&self, mut node: NodeRecord) -> NodeRecord {
        let running = |one: &&mut AttemptRecord| one.status == AttemptStatus::Running;
        let Some(attempt) = node.attempts.last_mut().filter(running) else { return node };
        match attempt.log.and_then(|place| self.0.get(&place.fence)) {
            Some(at) => attempt.began = at.unwrap_or_default(),
            None => {
                node.attempts.pop();
                node.status = NodeStatus::Ready;
            }
        }
        node
    }

    /// The counts of a run in which only what has begun is at work, and maps that have items.
    pub(super) fn counts(&self, state: &State, run: &RunRow) -> Counts {
        let leases = self.fences().filter_map(|fence| state.leases.live(fence));
        let begun = leases.filter(|lease| state.runs.get(lease.slot).number == run.number);
        let queued: u64 = run.queues.iter().map(|queue| u64::from(queue.length)).sum();
        let idle = queued + u64::from(run.leases).saturating_sub(begun.count() as u64);
        let (counts, idle) = (run.counts, idle.min(run.counts.active));
        Counts { waiting: counts.waiting + idle, active: counts.active - idle, ..counts }
    }
}

impl FromIterator<Fence> for Begun {
    fn from_iter<I: IntoIterator<Item = Fence>>(fences: I) -> Self {
        Begun(fences.into_iter().map(|fence| (fence, None)).collect())
    }
}
