//! A log on its way back into a state: one thread reads, and another puts together what it read.

use std::io;
use std::panic::resume_unwind;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use dagmar_common::ids::LogIndex;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::stored::{self, RestoreError, StoredError};
use dagmar_replica::{EntryKind, LogEntry, SnapshotMeta};
use thiserror::Error;

use crate::store::{SnapshotStore, StoreError};

/// Entries that are decoded and wait for those before them to be applied.
const ENTRIES_AHEAD_MAX: usize = 16;
/// Chunks of a snapshot that are read and wait for those before them to be rows.
const CHUNKS_AHEAD_MAX: usize = 4;

/// One entry, and what it says.
pub type Decoded = (Position, Result<Batch, StoredError>);

/// Entries as a thread decodes them, ahead of whoever applies them. Marks of consensus, which say
/// nothing to the state, are not among them.
pub struct Ahead {
    decoded: Receiver<Decoded>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// What `log` holds behind `base`.
    pub fn of(log: &[LogEntry], base: LogIndex) -> io::Result<Ahead> {
        let is_wanted = |entry: &&LogEntry| {
            entry.index > base && entry.kind == EntryKind::Data && !entry.data.is_empty()
        };
        let log: Vec<_> = log.iter().filter(is_wanted).cloned().collect();
        let (sender, decoded) = bounded(ENTRIES_AHEAD_MAX);
        let decode = std::thread::Builder::new().name("decode".to_owned());
        let thread = decode.spawn(move || decode_all(log, &sender))?;
        Ok(Ahead { decoded, thread: Some(thread) })
    }

    /// The next one, if it is decoded by now.
    pub fn next_by_now(&mut self) -> Result<Decoded, TryRecvError> {
        self.decoded.try_recv()
    }
}

/// Waits for each.
impl Iterator for Ahead {
    type Item = Decoded;

    fn next(&mut self) -> Option<Decoded> {
        if let Ok(decoded) = self.decoded.recv() {
            return Some(decoded);
        }
        // A thread that broke off must not make a log look shorter than it is.
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        None
    }
}

fn decode_all(log: Vec<LogEntry>, decoded: &Sender<Decoded>) {
    for LogEntry { index, term, data, .. } in log {
        let batch = stored::decode_batch(&data);
        if decoded.send((Position { index, term }, batch)).is_err() {
            // Nobody replays it any more.
            return;
        }
    }
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
        let ahead: Vec<_> = Ahead::of(&log, LogIndex(1)).unwrap().collect();
        let indices = ahead.iter().map(|(position, _)| position.index.0);
        assert!(indices.eq((2..=50).filter(|index| *index != 3)), "what says nothing is no entry");
        for (position, decoded) in ahead {
            assert_eq!(decoded.ok(), (position.index.0 != 40).then(|| batch.clone()));
        }
    }
}
