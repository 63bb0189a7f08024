//! A run whose record is durable elsewhere leaves the state.

use dagmar_common::ids::RunId;

use crate::effect::{Refusal, Reply};
use crate::state::{Known, State};

impl State {
    pub(super) fn archived(&mut self, run: &RunId) -> Reply {
        match self.runs.by_id.get(run) {
            None => Reply::Refused(Refusal::NoSuchRun { run: run.clone() }),
            Some(Known::Archived(_)) => Reply::Done,
            Some(Known::Live(slot)) if self.runs.get(*slot).is_live() => Reply::Dropped,
            Some(Known::Live(slot)) => {
                let slot = *slot;
                self.touched.retain(|touched| *touched != slot);
                self.unlist(slot);
                self.runs.archive(slot);
                Reply::Done
            }
        }
    }

    /// No class knows the run any more.
    fn unlist(&mut self, slot: u32) {
        let run = self.runs.get_mut(slot);
        for queue in &mut run.queues {
            if let Some(leases) = queue.key.take() {
                let head = crate::schedule::Head { leases, run: run.number, slot };
                self.schedule.classes[queue.class as usize].waiting.remove(&head);
            }
        }
    }
}
