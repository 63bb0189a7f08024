//! What of the state machine is stored: entries of the log, parameters of a submission, snapshots.

mod answers;
mod error;
mod fences;
mod forms;
mod pack;
mod parameters;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;
mod v1;

pub use error::StoredError;
pub use pack::RestoreError;
pub use parameters::{decode_parameters, encode_parameters};
pub use snapshot::Frozen;
pub use v1::{decode_batch, encode_batch};
