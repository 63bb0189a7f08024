//! The command line: what people type, what they see, and runs without a server.

pub mod arguments;
pub mod local;
#[cfg(test)]
mod testing;
pub mod wiring;
