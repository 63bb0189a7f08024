//! The threads that pack and write a snapshot off the driver's.

use std::io;

use crossbeam_channel::{Receiver, bounded};
use dagmar_coordinator_core::stored::Frozen;
use dagmar_replica::SnapshotMeta;

use crate::handle::{Handle, Input, Snapshotted};
use crate::store::{SnapshotStore, StoreError};

/// Chunks between the thread that packs and the one that writes.
const CHUNKS_MAX: usize = 2;

pub struct Snapshotting {
    /// None while a snapshot is under way.
    store: Option<Box<dyn SnapshotStore>>,
    driver: Handle,
}

impl Snapshotting {
    pub fn new(store: Box<dyn SnapshotStore>, driver: Handle) -> Self {
        Snapshotting { store: Some(store), driver }
    }

    /// Lets other threads do all of it.
    pub fn begin(&mut self, frozen: Frozen, meta: SnapshotMeta) {
        let Some(store) = self.store.take() else { return };
        let driver = self.driver.clone();
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

    pub fn ended(&mut self, snapshotted: Snapshotted) -> (SnapshotMeta, u64) {
        let Snapshotted { meta, bytes, store } = snapshotted;
        self.store = Some(store);
        (meta, bytes)
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
