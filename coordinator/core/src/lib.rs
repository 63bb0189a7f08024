//! The brain: the replicated state, the commands that change it, and the effects they leave.

mod apply;
pub mod ask;
pub mod command;
pub mod effect;
pub mod leader;
mod rules;
mod schedule;
mod state;
pub mod stored;

pub use state::{State, Summary};

#[cfg(test)]
mod tests;
