//! What a simulated coordinator needs of a state machine: the real one, or a model in its place.

use dagmar_common::ids::{RunId, RunNo};
use dagmar_common::time::LogTime;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::effect::Applied;
use dagmar_coordinator_core::leader::Facts;
use dagmar_coordinator_core::stored;

pub trait Brain: Facts {
    fn apply(&mut self, position: Position, batch: &Batch, out: &mut Applied);

    /// Panics where something that must hold does not.
    fn check(&self);

    /// Every trial has its outcome and nothing is leased.
    fn is_done(&self) -> bool;

    /// An entry would change something although nobody asks for anything.
    fn wants_entry(&self, _: LogTime) -> bool {
        false
    }

    fn run_id(&self, _: RunNo) -> Option<RunId> {
        None
    }
}

impl Brain for State {
    /// By way of the bytes that a log would hold.
    fn apply(&mut self, position: Position, batch: &Batch, out: &mut Applied) {
        let mut bytes = Vec::new();
        stored::encode_batch(batch, &mut bytes);
        let read = stored::decode_batch(&bytes).expect("what was written can be read");
        assert_eq!(&read, batch, "an entry is read otherwise than it was written");
        self.apply(position, read, out);
    }

    fn check(&self) {
        if let Err(broken) = self.check() {
            panic!("after entry {}: {broken}", self.last_applied());
        }
    }

    fn is_done(&self) -> bool {
        self.runs().next().is_none() && self.workers().all(|worker| worker.leases == 0)
    }

    fn wants_entry(&self, now: LogTime) -> bool {
        self.has_agenda() || self.next_deadline().is_some_and(|due| due <= now)
    }

    fn run_id(&self, run: RunNo) -> Option<RunId> {
        self.run(run).map(|view| view.run_id().clone())
    }
}
