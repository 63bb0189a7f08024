//! Histories that were written down: what chance would take too long to find.
//!
//! Each is a test as well; with the rule that it is about taken away it must fail (`mutants.rs`).

pub mod agents;
pub mod deposed;
pub mod desk;
pub mod forgetful;
pub mod hosts;
pub mod streams;
pub mod workers;
