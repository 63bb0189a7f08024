//! The coordinator: a replica, its state machine and its doors, in threads that do the acting.

pub mod clock;
pub mod store;
