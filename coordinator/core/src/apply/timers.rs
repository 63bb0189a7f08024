//! Timers that are due, earliest first.

use dagmar_common::limits::ENTRY_UNITS_MAX;

use crate::effect::Applied;
use crate::rules::Entry;
use crate::state::State;
use crate::state::node::NONE;
use crate::state::run::Stop;
use crate::state::timer::Due;

impl State {
    /// More than one entry takes stays due, and the next deadline is then now. What the commands
    /// leave of the entry's units, and never nothing: full entries would hold up all timers.
    pub(super) fn due_timers(&mut self, entry: Entry, units: &mut u32, out: &mut Applied) {
        let end = ENTRY_UNITS_MAX.max(*units + ENTRY_UNITS_MAX / 4);
        while *units < end {
            let Some(due) = self.timers.pop(entry.now) else { return };
            *units += 1;
            match due {
                Due::Backoff { run, node } => {
                    let Some(slot) = self.runs.slot(run) else { continue };
                    self.turn(slot, entry, out).backoff_over(node);
                }
                Due::RunLimit { run } => {
                    let Some(slot) = self.runs.slot(run) else { continue };
                    let row = self.runs.get_mut(slot);
                    row.limit_timer = NONE;
                    if row.is_live() && row.stop.is_none() {
                        self.stop(slot, Stop::TimeLimit);
                    }
                }
            }
        }
    }
}
