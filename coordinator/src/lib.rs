//! The coordinator: log, driver and services around the cores that think.
//!
//! # Threads
//!
//! The `driver`, which owns the member, is started by whoever owns a coordinator. Here:
//! * `disk.rs`: `disk`, which makes one write after another durable
//! * `driver/snapshotting.rs`: `snapshot`, which writes one, and a helper that packs it meanwhile
//! * `replay.rs`: `decode`, which reads a recovered log ahead of its replay, and a helper that puts
//!   a snapshot's state together while its file is read
//! * `services/here.rs`: one for each answer that is long or lasts: a story, a watch, logs
//! * `services/runs.rs`: tasks of whoever serves the API, which wait for an answer in its stead

pub mod clock;
pub mod disk;
pub mod driver;
pub mod handle;
pub mod links;
pub mod replay;
pub mod services;
pub mod store;
pub mod underway;
