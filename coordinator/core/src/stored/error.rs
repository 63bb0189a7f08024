//! Why stored bytes cannot be read.

use dagmar_common::envelope::EnvelopeError;

/// Why stored bytes cannot be read. None of it is ever skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredError {
    Envelope(EnvelopeError),
    /// The checksum holds and the content does not: written by another program.
    Malformed(String),
}

impl std::fmt::Display for StoredError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoredError::Envelope(error) => error.fmt(f),
            StoredError::Malformed(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

impl std::error::Error for StoredError {}
