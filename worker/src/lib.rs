//! The worker: sessions, executors, task environments and logs around the agent that thinks.
//!
//! # Threads
//!
//! The agent lives on the thread of whoever owns a worker. Here:
//! * `supervisor.rs`: `supervisor`, which hears the supervisor process and passes on what ended

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod executor;
pub mod logs;
pub mod records;
pub mod shell;
pub mod supervisor;
pub mod task;
#[cfg(test)]
mod testing;
