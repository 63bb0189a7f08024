//! The promise of one worker: leases held, its side of a session, its capacity. No clock, no I/O.

mod admission;
mod agent;
mod held;
mod stream;
mod turn;

pub use agent::{Agent, Identity};
pub use held::{Remembered, RememberedAs};
pub use turn::{Input, Leaving, Output, Stop};

#[cfg(test)]
mod tests;
