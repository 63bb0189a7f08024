//! The replica: one member's part in the consensus, as values in and values out.
//!
//! This crate alone knows raft-rs. It has no clock (ticks come in), no chance (a seed comes in),
//! no disk (a [`Persist`] goes out and its [`Token`] comes back) and no network (bytes both ways).

pub mod durable;
pub mod gate;
pub mod membership;
pub mod waiters;

mod config;
mod jitter;
mod message;
mod reads;
mod ready;
mod replica;
mod storage;
mod writes;

#[cfg(test)]
mod tests;

pub use config::{ELECTION_TICKS, HEARTBEAT_TICKS, ReplicaConfig, TICK};
pub use durable::{EntryKind, HardState, LogEntry, Persist, Recovered, SnapshotMeta, Token};
pub use membership::{Change, ChangeError, Membership};
pub use message::{ReceiveError, announced_snapshot};
pub use reads::{Read, ReadFate, ReadId};
pub use ready::{Body, Committed, Work};
pub use replica::{ProposeError, Proposed, Replica, Role, Standing, Status};
pub use writes::Outgoing;
