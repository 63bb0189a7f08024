//! What runs a function: trials in, outcomes out.

mod listen;
pub mod process;
mod trials;

pub use trials::Report;
