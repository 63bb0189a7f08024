//! What of the state machine is stored: entries of the log, parameters of a submission, snapshots.

mod answers;
mod error;
mod fences;
mod forms;
mod pack;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;
mod v1;

pub use error::StoredError;
pub use pack::RestoreError;
pub use snapshot::Frozen;
pub use v1::{decode_batch, decode_parameters, encode_batch, encode_parameters};
