//! When a snapshot is due, and the threads that pack and write it off the driver's.

use std::io;

use crossbeam_channel::{Receiver, bounded};
use dagmar_common::ids::{LogIndex, Term};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::stored::Frozen;
use dagmar_replica::{Membership, SnapshotMeta};

use crate::handle::{Handle, Input};
use crate::store::{SnapshotStore, StoreError};

/// A snapshot is due when the log since the last one is larger than this and than the last one.
pub const LOG_BYTES_MIN: u64 = 64 << 20;
/// Entries kept behind a snapshot for followers that are a little late.
const ENTRIES_KEPT: u64 = 1_000;
/// Chunks between the thread that packs and the one that writes.
const CHUNKS_MAX: usize = 2;

pub struct Snapshotting {
    /// None while a snapshot is under way.
    store: Option<Box<dyn SnapshotStore>>,
    driver: Handle,
    log_bytes_min: u64,
    log_bytes: u64,
    last_bytes: u64,
    /// What was applied last.
    place: (LogIndex, Term),
}

/// A snapshot that is durable.
pub struct Snapshotted {
    pub meta: SnapshotMeta,
    pub bytes: u64,
    pub store: Box<dyn SnapshotStore>,
}

impl Snapshotting {
    /// `log_bytes_min`: [`LOG_BYTES_MIN`], less for tests.
    pub fn new(store: Option<Box<dyn SnapshotStore>>, driver: Handle, log_bytes_min: u64) -> Self {
        let place = (LogIndex(0), Term(0));
        Snapshotting { store, driver, log_bytes_min, log_bytes: 0, last_bytes: 0, place }
    }

    pub fn applied(&mut self, index: LogIndex, term: Term, bytes: usize) {
        self.place = (index, term);
        self.log_bytes += bytes as u64;
    }

    /// Freezes the state, if a snapshot is due, and lets other threads do the rest.
    pub fn begin_if_due(&mut self, state: &mut State, membership: &Membership) {
        if self.log_bytes < self.log_bytes_min.max(self.last_bytes) {
            return;
        }
        let Some(store) = self.store.take() else { return };
        self.log_bytes = 0;
        let (index, term) = self.place;
        let meta = SnapshotMeta { index, term, membership: membership.clone() };
        let (frozen, driver) = (state.freeze(), self.driver.clone());
        let work = move || {
            let answer = match write(frozen, meta, store) {
                Ok(snapshotted) => Input::Snapshotted(snapshotted),
                Err(error) => Input::Broken(format!("no snapshot could be written: {error}")),
            };
            // A driver that stopped meanwhile finds the snapshot at its next start.
            let _ = driver.send(answer);
        };
        if let Err(error) = std::thread::Builder::new().name("snapshot".to_owned()).spawn(work) {
            // The store went with the thread: this process takes no more snapshots, and its log
            // only grows until the next start.
            tracing::error!("no thread for a snapshot: {error}");
        }
    }

    /// The entries before the answer are held by the snapshot and may go.
    pub fn ended(&mut self, snapshotted: Snapshotted) -> LogIndex {
        self.store = Some(snapshotted.store);
        self.last_bytes = snapshotted.bytes;
        LogIndex(snapshotted.meta.index.0.saturating_sub(ENTRIES_KEPT))
    }
}

/// Packs on one thread and writes on another, so that neither the state nor the snapshot ever
/// stands in memory twice.
fn write(
    frozen: Frozen,
    meta: SnapshotMeta,
    mut store: Box<dyn SnapshotStore>,
) -> Result<Snapshotted, StoreError> {
    let (sender, packed) = bounded::<Option<Vec<u8>>>(CHUNKS_MAX);
    let mut chunks = Chunks { packed, bytes: 0 };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let send = |chunk| sender.send(chunk).map_err(io::Error::other);
            let packed = frozen.write(&mut |chunk| send(Some(chunk.to_vec())));
            // An error means that the writing failed, which says so itself.
            let _ = packed.and_then(|_| send(None));
        });
        store.save(&meta, &mut chunks)?;
        Ok(Snapshotted { meta, bytes: chunks.bytes, store })
    })
}

struct Chunks {
    packed: Receiver<Option<Vec<u8>>>,
    bytes: u64,
}

impl Iterator for Chunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        match self.packed.recv() {
            Ok(Some(chunk)) => {
                self.bytes += chunk.len() as u64;
                Some(chunk)
            }
            Ok(None) => None,
            // Half a snapshot must never be taken for a whole one.
            Err(_) => panic!("a snapshot could not be packed to its end"),
        }
    }
}
