//! The member: replica, state and leadership of one coordinator, thought as one.
//!
//! Inputs are told to a [`Member`] as they come; what follows from them is asked of it one
//! [`Output`] after another, and done in that order. It has no clock (time comes with each
//! question), no disk, no streams and no threads: these are its shell's.

mod apply;
mod clock;
mod intake;
mod leading;
mod member;
mod output;
mod pace;
mod reading;
mod snapshots;
mod turn;

#[cfg(test)]
mod tests;

pub use leading::FromStream;
pub use member::{Member, MemberConfig, SHELL_STREAMS_FROM};
pub use output::{Entry, Halt, Output};
pub use snapshots::{ENTRIES_KEPT, LOG_BYTES_MIN, SnapshotRule};
