//! What a simulated coordinator needs of a state machine, so that a model can stand in its place.

use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::effect::Applied;
use dagmar_coordinator_core::leader::Facts;

pub trait Brain: Facts {
    fn apply(&mut self, position: Position, batch: &Batch, out: &mut Applied);

    /// Panics where something that must hold does not.
    fn check(&self);

    /// Every trial has its outcome and nothing is leased.
    fn is_done(&self) -> bool;
}
