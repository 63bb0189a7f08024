//! What a task is given and what it gives back: environment, parameters, outputs.

pub mod bad_output;
pub mod environment;
pub mod exports;
pub mod outputs;
pub mod parameters;
mod quoted;
