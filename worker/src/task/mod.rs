//! What a task is given and what it gives back: environment, parameters, outputs.

pub mod environment;
pub mod outputs;
pub mod parameters;
