//! The coordinator: log, driver and services around the cores that think.
//!
//! Its threads: `driver` (started by whoever owns a coordinator), which owns replica and state;
//! `disk`, which makes one write after another durable.

pub mod clock;
pub mod disk;
pub mod driver;
pub mod handle;
pub mod links;
pub mod services;
pub mod store;
