//! The coordinator: it will hold the driver, the stores and the doors that clients knock at.

pub mod services;
