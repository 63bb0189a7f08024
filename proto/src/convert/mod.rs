//! The way between messages and the house's words; what comes from outside is checked here.

mod basics;
mod follow;
mod problem;
mod run;

use thiserror::Error;

pub use basics::{id_bytes, request_id};
pub use problem::{from_status, to_status};
pub use run::{submission, submit_request};

/// A message that no program of ours sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message has no valid {0}")]
pub struct Malformed(pub &'static str);
