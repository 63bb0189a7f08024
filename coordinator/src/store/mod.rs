//! What a replica keeps on disk: its log, its snapshots, and how far both had come.

mod directory;
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
pub use local::{LocalStore, Looked, Opened};
pub use snapshots::{CHUNK_BYTES_MAX, LocalSnapshots};

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dagmar_common::ids::{ClusterId, LogIndex, ReplicaId, StorageId};
use dagmar_replica::durable::EntryKind;
use dagmar_replica::{LogEntry, Persist, Recovered, SnapshotMeta, Token};

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

/// How long each of `commits` durable commits of `bytes` takes in a new log in `directory`, which
/// must not exist: what hops are compared with.
pub fn time_commits(
    directory: &Path,
    commits: usize,
    bytes: usize,
) -> Result<Vec<Duration>, StoreError> {
    let owner = Owner { cluster: ClusterId(1), replica: ReplicaId(1), storage: StorageId(1) };
    let Recovered { base, mut hard_state, .. } = Recovered::bootstrap(&[owner.replica]);
    let data = Bytes::from(vec![7; bytes]);
    let mut next = |index: u64| {
        hard_state.commit = LogIndex(index.saturating_sub(1)).max(base.index);
        let entry = LogEntry {
            index: LogIndex(index),
            term: base.term,
            kind: EntryKind::Data,
            data: data.clone(),
        };
        Persist { token: Token::UNASKED, snapshot: None, entries: vec![entry], hard_state }
    };
    let first = base.index.0 + 1;
    let (mut store, _) = LocalStore::create(directory, owner, &base, &next(first))?;
    let mut took = Vec::with_capacity(commits);
    for place in 1..=commits as u64 {
        let persist = next(first + place);
        let begun = Instant::now();
        store.persist(&persist)?;
        took.push(begun.elapsed());
    }
    Ok(took)
}
