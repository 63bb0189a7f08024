//! The agenda: runs with something left to do take short turns, round robin, within one budget.

use dagmar_common::limits::ENTRY_UNITS_MAX;

use crate::effect::Applied;
use crate::rules::Entry;
use crate::state::State;

/// Units of one turn: a hop of a small run never waits for all of a large one.
const TURN_UNITS: u32 = 64;
/// While runs have something to do or to wait for, checks of staged graphs get one part in so many.
const STAGED_SHARE: u32 = 4;
/// Of one entry while others work: what they say meanwhile waits for all of it.
const BESIDE_OTHERS_UNITS: u32 = ENTRY_UNITS_MAX / 4;

impl State {
    pub(super) fn agenda(&mut self, entry: Entry, units: u32, out: &mut Applied) {
        let units = if self.others_work() { units.min(BESIDE_OTHERS_UNITS) } else { units };
        // Alone, a graph need not share with runs.
        let share = if self.round.is_empty() { units } else { units / STAGED_SHARE };
        let mut left = units - share + self.check_staged(share);
        while left > 0 {
            let Some(&slot) = self.round.front() else { return };
            // Alone, a run need not take turns.
            let share = if self.round.len() == 1 { left } else { left.min(TURN_UNITS) };
            let mut turn = self.turn(slot, entry, out);
            turn.work(share);
            left = left.saturating_sub(turn.units.max(1));
            let is_done = turn.run.agenda.is_empty();
            turn.run.is_in_round = !is_done;
            if is_done {
                self.round.pop_front();
            } else {
                self.round.rotate_left(1);
            }
        }
    }

    /// Not only the one run whose turn it is: others have something to do too, or run.
    fn others_work(&self) -> bool {
        let own = self.round.front().map_or(0, |slot| self.runs.get(*slot).leases);
        self.round.len() > 1 || self.workers.leases > u64::from(own)
    }
}
