//! What of the state machine is stored: entries of the log, parameters of a submission, snapshots.

mod v1;

pub use v1::{StoredError, decode_batch, decode_parameters, encode_batch, encode_parameters};
