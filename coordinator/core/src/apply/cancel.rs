//! Cancelling a run: from here on nothing of it starts, and what runs is told to stop.

use dagmar_common::ids::{Digest, RequestId, RunId};

use crate::effect::{Refusal, Reply};
use crate::rules::Entry;
use crate::state::run::{Stop, Work};
use crate::state::{Known, State};

impl State {
    pub(super) fn cancel(
        &mut self,
        entry: Entry,
        request: RequestId,
        run: &RunId,
        reason: &str,
    ) -> Reply {
        let content = Digest::of(&[b"cancel\0", run.as_str().as_bytes()].concat());
        self.once(entry, request, content, |state| {
            let refused = |refusal| Reply::Refused(refusal);
            let slot = match state.runs.by_id.get(run) {
                None => return refused(Refusal::NoSuchRun { run: run.clone() }),
                Some(Known::Archived(place)) => {
                    let status = state.runs.summaries.get(*place).status;
                    return refused(Refusal::RunEnded { run: run.clone(), status });
                }
                Some(Known::Live(slot)) => *slot,
            };
            let row = state.runs.get(slot);
            if !row.is_live() {
                return refused(Refusal::RunEnded { run: run.clone(), status: row.status });
            }
            if row.stop.is_none() {
                state.stop(slot, Stop::Cancelled { reason: reason.into() });
            }
            Reply::Done
        })
    }

    pub(super) fn stop(&mut self, slot: u32, stop: Stop) {
        let run = self.runs.get_mut(slot);
        run.stop = Some(stop);
        run.agenda.push(Work::Sweep { row: 0 });
        if !run.is_touched {
            run.is_touched = true;
            self.touched.push(slot);
        }
        self.enter_round(slot);
    }
}
