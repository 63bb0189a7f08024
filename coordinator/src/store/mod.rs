//! What a replica keeps on disk: its log, its snapshots, and how far both had come.

mod error;
mod file;
mod form;
mod local;
mod lock;
mod log;
mod snapshots;
mod watermark;

pub use error::StoreError;
pub use form::Owner;
pub use local::{LocalStore, Opened};
pub use snapshots::{CHUNK_BYTES_MAX, LocalSnapshots};

use dagmar_common::ids::LogIndex;
use dagmar_replica::{Persist, SnapshotMeta};

/// The log of one replica. After its first error a store refuses everything: whether that write
/// is durable is not known, and asking the disk again can get a lie for an answer.
pub trait Store: Send {
    /// All of it is durable when this returns, by one transaction.
    fn persist(&mut self, persist: &Persist) -> Result<(), StoreError>;

    /// Forgets the entries before `index`; a durable snapshot must hold them.
    fn truncate_before(&mut self, index: LogIndex) -> Result<(), StoreError>;

    /// Makes it survive a loss of power how far the log had come; about once a second.
    fn sync_watermark(&mut self) -> Result<(), StoreError>;
}

/// The snapshots of one replica; written by a thread of their own, beside the log.
pub trait SnapshotStore: Send {
    /// Keeps the state up to `meta.index` in chunks of at most [`CHUNK_BYTES_MAX`]; all of it is
    /// durable when this returns. The last two are kept.
    fn save(
        &mut self,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// Gives each chunk in order. What was given counts only when this returns without error.
    fn load(
        &self,
        meta: &SnapshotMeta,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError>;

    /// What is kept, the oldest first.
    fn kept(&self) -> Result<Vec<SnapshotMeta>, StoreError>;
}
