//! The invariants of the state, all of them, for tests and the simulator.

use super::State;

impl State {
    /// Walks everything; the first invariant that does not hold, and where.
    pub fn check(&self) -> Result<(), String> {
        if !self.touched.is_empty() {
            return Err("runs are marked as touched between entries".into());
        }
        if !self.timers.is_order_true() {
            return Err("the order of timers is not that of their rows".into());
        }
        Ok(())
    }
}
