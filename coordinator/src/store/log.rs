//! The log file: entries, hard state and foundation in redb, each value in our envelope.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::EnvelopeError;
use dagmar_common::ids::LogIndex;
use dagmar_replica::{LogEntry, Persist, SnapshotMeta};
use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, StorageBackend, TableDefinition,
    WriteTransaction,
};

use super::error::StoreError;
use super::file::LogBytes;
use super::form::{self, Form, Foundation, Owner, State};
use crate::underway;

pub(super) const NAME: &str = "log.redb";
/// Until its first transaction is durable; one that is left behind was never acknowledged.
const UNBORN: &str = "log.redb.new";

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const STATE: &str = "state";
const FOUNDATION: &str = "foundation";

/// The engine's own cache. Entries are written once and read at a start: more would be wasted.
const CACHE_BYTES: usize = 16 << 20;

pub(super) struct LogFile {
    database: Database,
    bytes: LogBytes,
    path: PathBuf,
    owner: Owner,
    state: State,
    body: Vec<u8>,
    sealed: Vec<u8>,
}

/// What a log file holds, every value of it verified.
pub(super) struct Contents {
    pub(super) foundation: Foundation,
    pub(super) state: State,
    pub(super) entries: Vec<LogEntry>,
}

impl LogFile {
    /// One transaction holds who owns it, what it stands on and the first write.
    pub(super) fn create(
        directory: &Path,
        foundation: &Foundation,
        first: &Persist,
    ) -> Result<Self, StoreError> {
        let (unborn, path) = (directory.join(UNBORN), directory.join(NAME));
        let bytes = LogBytes::create(&unborn).map_err(StoreError::io("create", &unborn))?;
        let database = start(bytes.clone(), &unborn)?;
        let base = foundation.base.index;
        let state = State { first: LogIndex(base.0 + 1), last: base, ..State::default() };
        let (owner, body, sealed) = (foundation.owner, Vec::new(), Vec::new());
        let mut log = LogFile { database, bytes, path, owner, state, body, sealed };
        log.write(first, Some(&foundation.base))?;
        // 1. Its bytes, 2. its name, 3. that the name is there: durable one after another.
        log.bytes.born().map_err(StoreError::io("fsync", &unborn))?;
        std::fs::rename(&unborn, &log.path).map_err(StoreError::io("rename", &unborn))?;
        super::directory::sync(directory)?;
        Ok(log)
    }

    pub(super) fn open(directory: &Path) -> Result<(Self, Contents), StoreError> {
        let path = directory.join(NAME);
        if !path.exists() {
            return Err(StoreError::NoLog { path: directory.into() });
        }
        let bytes = LogBytes::open(&path).map_err(StoreError::io("open", &path))?;
        refuse_nothing(&path, bytes.len().map_err(StoreError::io("read", &path))?)?;
        let read = read_verified(directory, &path, bytes.clone());
        if read.is_err() {
            bytes.close();
        }
        let (database, contents) = read?;
        let (owner, state) = (contents.foundation.owner, contents.state);
        let (body, sealed) = (Vec::new(), Vec::new());
        Ok((LogFile { database, bytes, path, owner, state, body, sealed }, contents))
    }

    /// What is in it, from a copy: the engine mends what a kill left undone before it reads, and
    /// a look changes nothing.
    pub(super) fn look(directory: &Path) -> Result<Contents, StoreError> {
        let path = directory.join(NAME);
        let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
        refuse_nothing(&path, bytes.len() as u64)?;
        let copy = InMemoryBackend::new();
        let copied = copy.set_len(bytes.len() as u64).and_then(|()| copy.write(0, &bytes));
        copied.map_err(StoreError::io("copy", &path))?;
        drop(bytes);
        read_verified(directory, &path, copy).map(|(_, contents)| contents)
    }

    pub(super) fn persist(&mut self, persist: &Persist) -> Result<State, StoreError> {
        self.write(persist, persist.snapshot.as_ref())
    }

    pub(super) fn truncate_before(&mut self, index: LogIndex) -> Result<State, StoreError> {
        let index = LogIndex(index.0.min(self.state.last.0 + 1));
        if index <= self.state.first {
            return Ok(self.state);
        }
        let state = State { first: index, sequence: self.state.sequence + 1, ..self.state };
        let transaction = self.begin()?;
        let removed = || -> Result<(), redb::Error> {
            let mut entries = transaction.open_table(ENTRIES)?;
            entries.retain_in(..index.0, |_, _| false)?;
            let mut records = transaction.open_table(RECORDS)?;
            records.insert(STATE, &state.sealed()[..])?;
            Ok(())
        };
        removed().map_err(|error| engine(&self.path, error))?;
        self.commit(transaction, state)
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// Every write and fsync fails from now on.
    #[cfg(test)]
    pub(super) fn break_disk(&self) {
        self.bytes.close();
    }

    /// The order inside the transaction does not matter to a crash: all of it is there or none.
    fn write(
        &mut self,
        persist: &Persist,
        base: Option<&SnapshotMeta>,
    ) -> Result<State, StoreError> {
        let mut state = State {
            hard_state: persist.hard_state,
            sequence: self.state.sequence + 1,
            ..self.state
        };
        if let Some(base) = base {
            (state.first, state.last) = (LogIndex(base.index.0 + 1), base.index);
        }
        if let (Some(first), Some(last)) = (persist.entries.first(), persist.entries.last()) {
            assert!(
                state.first <= first.index && first.index.0 <= state.last.0 + 1,
                "entry {} does not fit a log of {} to {}",
                first.index,
                state.first,
                state.last
            );
            state.last = last.index;
        }
        let transaction = self.begin()?;
        self.fill(&transaction, persist, base, state).map_err(|error| engine(&self.path, error))?;
        self.commit(transaction, state)
    }

    fn fill(
        &mut self,
        transaction: &WriteTransaction,
        persist: &Persist,
        base: Option<&SnapshotMeta>,
        state: State,
    ) -> Result<(), redb::Error> {
        let mut records = transaction.open_table(RECORDS)?;
        let mut entries = transaction.open_table(ENTRIES)?;
        if let Some(base) = base {
            let foundation = Foundation { owner: self.owner, base: base.clone() };
            records.insert(FOUNDATION, &foundation.sealed()[..])?;
            entries.retain(|_, _| false)?;
        }
        if let Some(first) = persist.entries.first()
            && first.index <= self.state.last
        {
            entries.retain_in(first.index.0.., |_, _| false)?;
        }
        for entry in &persist.entries {
            form::seal_entry(entry, &mut self.body, &mut self.sealed);
            entries.insert(entry.index.0, &self.sealed[..])?;
        }
        records.insert(STATE, &state.sealed()[..])?;
        Ok(())
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction =
            self.database.begin_write().map_err(|error| engine(&self.path, error))?;
        // One phase is faster, and after one flipped bit it forgot an acknowledged commit.
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    fn commit(&mut self, transaction: WriteTransaction, state: State) -> Result<State, StoreError> {
        transaction.commit().map_err(|error| engine(&self.path, error))?;
        self.state = state;
        Ok(state)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.bytes.close();
    }
}

fn start(bytes: impl StorageBackend, path: &Path) -> Result<Database, StoreError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.create_with_backend(bytes).map_err(|error| engine(path, error))
}

/// The engine would begin a new log in an empty file.
fn refuse_nothing(path: &Path, length: u64) -> Result<(), StoreError> {
    if length == 0 { Err(StoreError::corrupt(path, "it is empty")) } else { Ok(()) }
}

fn read_verified(
    directory: &Path,
    path: &Path,
    bytes: impl StorageBackend,
) -> Result<(Database, Contents), StoreError> {
    let read = || -> Result<_, StoreError> {
        let database = start(bytes, path)?;
        let contents = read_all(&database, path)?;
        Ok((database, contents))
    };
    // A few damaged bytes make the engine panic before it has verified them. Where a panic
    // ends the process, its hook can ask what was under way.
    let mark = underway::opening(directory);
    let read = std::panic::catch_unwind(AssertUnwindSafe(read));
    drop(mark);
    read.unwrap_or_else(|_| Err(StoreError::corrupt(path, "the engine cannot make sense of it")))
}

fn read_all(database: &Database, path: &Path) -> Result<Contents, StoreError> {
    let transaction = database.begin_read().map_err(|error| engine(path, error))?;
    let foundation: Foundation = record(&transaction, FOUNDATION, path)?;
    let state: State = record(&transaction, STATE, path)?;
    let entries = entries(&transaction, state, path)?;
    Ok(Contents { foundation, state, entries })
}

fn record<F: Form>(
    transaction: &ReadTransaction,
    name: &str,
    path: &Path,
) -> Result<F, StoreError> {
    let read = || -> Result<Option<Vec<u8>>, redb::Error> {
        let records = transaction.open_table(RECORDS)?;
        Ok(records.get(name)?.map(|value| value.value().to_vec()))
    };
    match read().map_err(|error| engine(path, error))? {
        Some(bytes) => F::opened(&bytes).map_err(|error| unreadable(path, name, error)),
        None => Err(StoreError::corrupt(path, format!("its {name} is missing"))),
    }
}

/// All entries that the state says are there, and no other.
fn entries(
    transaction: &ReadTransaction,
    state: State,
    path: &Path,
) -> Result<Vec<LogEntry>, StoreError> {
    let table = transaction.open_table(ENTRIES).map_err(|error| engine(path, error))?;
    let mut found = Vec::new();
    let range = table.range::<u64>(..).map_err(|error| engine(path, error))?;
    for item in range {
        let (key, value) = item.map_err(|error| engine(path, error))?;
        let expected = state.first.0 + found.len() as u64;
        let entry = form::open_entry(value.value())
            .map_err(|error| unreadable(path, &format!("entry {expected}"), error))?;
        if key.value() != expected || entry.index.0 != expected {
            let what = format!("entry {} stands where entry {expected} belongs", entry.index);
            return Err(StoreError::corrupt(path, what));
        }
        found.push(entry);
    }
    let last = state.first.0 + found.len() as u64 - 1;
    if last != state.last.0 {
        let what = format!("it ends at entry {last}, and entry {} was written", state.last);
        return Err(StoreError::corrupt(path, what));
    }
    Ok(found)
}

fn unreadable(path: &Path, what: &str, error: EnvelopeError) -> StoreError {
    let what = format!("its {what} {error}");
    match error {
        EnvelopeError::Newer { .. } => StoreError::Newer { what, path: path.into() },
        _ => StoreError::corrupt(path, what),
    }
}

fn engine(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    use std::io::ErrorKind;
    match error.into() {
        redb::Error::Io(source) if source.kind() == ErrorKind::UnexpectedEof => {
            StoreError::corrupt(path, "it is shorter than it says")
        }
        redb::Error::Io(source) if source.kind() != ErrorKind::InvalidData => {
            StoreError::Io { what: "read or write", path: path.into(), source }
        }
        error => StoreError::corrupt(path, error.to_string()),
    }
}
