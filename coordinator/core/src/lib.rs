//! The brain: the replicated state, the commands that change it, and the effects they leave.

pub mod command;
pub mod effect;
pub mod leader;
