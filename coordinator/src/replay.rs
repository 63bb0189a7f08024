//! A log on its way back into a state.

use std::panic::resume_unwind;

use crossbeam_channel::bounded;
use dagmar_common::ids::LogIndex;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::stored::{self, RestoreError, StoredError};
use dagmar_replica::{EntryKind, LogEntry, SnapshotMeta};
use thiserror::Error;

use crate::store::{SnapshotStore, StoreError};

/// Chunks of a snapshot that are read and wait for those before them to be rows.
const CHUNKS_AHEAD_MAX: usize = 4;

/// What each entry of `log` behind `base` says. Marks of consensus, which say nothing to the state,
/// are not among them.
pub fn decoded(
    log: &[LogEntry],
    base: LogIndex,
) -> impl Iterator<Item = (Position, Result<Batch, StoredError>)> {
    let is_wanted = move |entry: &&LogEntry| {
        entry.index > base && entry.kind == EntryKind::Data && !entry.data.is_empty()
    };
    log.iter().filter(is_wanted).map(|LogEntry { index, term, data, .. }| {
        (Position { index: *index, term: *term }, stored::decode_batch(data))
    })
}

/// Why there is no state from a snapshot.
#[derive(Debug, Error)]
pub enum RestoreFailure {
    #[error("{0}")]
    Store(StoreError),
    /// The file is as it was written, and is no state.
    #[error("{0}")]
    State(RestoreError),
}

/// The state in a snapshot, which is put together while its file is read on and verified.
pub fn restore(
    snapshots: &dyn SnapshotStore,
    meta: &SnapshotMeta,
) -> Result<State, RestoreFailure> {
    let (sender, chunks) = bounded::<Vec<u8>>(CHUNKS_AHEAD_MAX);
    std::thread::scope(|scope| {
        let restored = scope.spawn(move || State::restore(chunks));
        let loaded = snapshots.load(meta, &mut |chunk| {
            // Whoever wants no more says why; that the file is whole must be known even so.
            let _ = sender.send(chunk.to_vec());
            Ok(())
        });
        drop(sender);
        let restored = restored.join().unwrap_or_else(|panic| resume_unwind(panic));
        loaded.map_err(RestoreFailure::Store)?;
        restored.map_err(RestoreFailure::State)
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dagmar_common::ids::Term;
    use dagmar_common::time::{LogTime, WallTime};
    use dagmar_coordinator_core::command::Command;

    use super::*;

    #[test]
    fn entries_come_in_order_and_one_that_cannot_be_read_in_its_place() {
        let term = Term(1);
        let commands = vec![Command::Continue];
        let batch = Batch { term, at: LogTime(5), wall: WallTime(0), commands };
        let mut data = Vec::new();
        stored::encode_batch(&batch, &mut data);
        let entry = |index: u64| {
            let data = match index {
                3 => Bytes::new(),
                40 => Bytes::from_static(b"damaged"),
                _ => Bytes::from(data.clone()),
            };
            LogEntry { index: LogIndex(index), term, kind: EntryKind::Data, data }
        };
        let log: Vec<_> = (1..=50).map(entry).collect();
        let decoded: Vec<_> = decoded(&log, LogIndex(1)).collect();
        let indices = decoded.iter().map(|(position, _)| position.index.0);
        assert!(indices.eq((2..=50).filter(|index| *index != 3)), "what says nothing is no entry");
        for (position, batch_read) in decoded {
            assert_eq!(batch_read.ok(), (position.index.0 != 40).then(|| batch.clone()));
        }
    }
}
