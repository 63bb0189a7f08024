//! A store in a directory: log, watermark and snapshots, opened together and judged together.

use std::path::{Path, PathBuf};

use dagmar_common::ids::LogIndex;
use dagmar_replica::durable::BOOTSTRAP;
use dagmar_replica::{Persist, Recovered, SnapshotMeta, Token};

use super::Store;
use super::error::StoreError;
use super::form::{Foundation, Owner, State, Watermark};
use super::lock::Lock;
use super::log::{Contents, LogFile};
use super::snapshots::LocalSnapshots;
use super::watermark::WatermarkFile;

pub struct LocalStore {
    pub(super) log: LogFile,
    watermark: WatermarkFile,
    directory: PathBuf,
    poisoned: Option<String>,
    _lock: Lock,
}

/// A store that was there already.
pub struct Opened {
    pub store: LocalStore,
    pub snapshots: LocalSnapshots,
    pub owner: Owner,
    pub recovered: Recovered,
    /// Whether the state is to be loaded from the snapshot at `recovered.base`.
    pub has_snapshot: bool,
}

/// What a store holds, for whoever only looks.
pub struct Looked {
    pub snapshots: LocalSnapshots,
    pub recovered: Recovered,
    /// Whether the state is to be loaded from the snapshot at `recovered.base`.
    pub has_snapshot: bool,
}

impl LocalStore {
    /// A new store whose first transaction is `first`, on top of `base`. It is there with all
    /// of it, or not at all.
    pub fn create(
        directory: &Path,
        owner: Owner,
        base: &SnapshotMeta,
        first: &Persist,
    ) -> Result<(Self, LocalSnapshots), StoreError> {
        std::fs::create_dir_all(directory).map_err(StoreError::io("create", directory))?;
        let lock = Lock::take(directory)?;
        if directory.join(super::log::NAME).exists() {
            return Err(StoreError::Exists { path: directory.into() });
        }
        // Before the log has its name: a log without a watermark is one that lost it.
        let start = Watermark { storage: owner.storage, sequence: 0, last: base.index };
        let mut watermark = WatermarkFile::create(directory, start)?;
        let foundation = Foundation { owner, base: base.clone() };
        let log = LogFile::create(directory, &foundation, first)?;
        watermark.note(mark(owner, log.state()))?;
        let snapshots = LocalSnapshots::new(directory, owner.cluster);
        let directory = directory.into();
        Ok((LocalStore { log, watermark, directory, poisoned: None, _lock: lock }, snapshots))
    }

    /// Whether nothing was ever acknowledged here: whoever made the store died before its first
    /// write had its name. A log that was lost afterwards leaves a watermark that says so.
    pub fn never_began(directory: &Path) -> bool {
        let watermark = directory.join(super::watermark::NAME);
        !directory.join(super::log::NAME).exists()
            && match std::fs::metadata(&watermark) {
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
                // Torn while it was created, it is as good as none.
                Ok(found) if found.len() == 0 => true,
                Ok(_) => {
                    WatermarkFile::open(directory).is_ok_and(|(_, highest)| highest.sequence == 0)
                }
            }
    }

    pub fn open(directory: &Path) -> Result<Opened, StoreError> {
        if !directory.join(super::log::NAME).exists() {
            return Err(StoreError::NoLog { path: directory.into() });
        }
        let lock = Lock::take(directory)?;
        let (mut watermark, highest) = WatermarkFile::open(directory)?;
        let (mut log, contents) = LogFile::open(directory)?;
        let owner = log.owner();
        refuse_a_step_back(directory, owner, contents.state, highest)?;
        let snapshots = LocalSnapshots::new(directory, owner.cluster);
        snapshots.tidy()?;
        let newest = snapshots.newest()?;
        let found = contents.entries.len();
        let (recovered, has_snapshot) = together(directory, contents, newest)?;
        if recovered.entries.len() < found || log.state().last < recovered.base.index {
            // A leader's snapshot was durable, and its process died before the log stood on it.
            let (snapshot, hard_state) = (Some(recovered.base.clone()), recovered.hard_state);
            let install = Persist { token: Token::UNASKED, snapshot, entries: vec![], hard_state };
            watermark.note(mark(owner, log.persist(&install)?))?;
        }
        let directory = directory.into();
        let store = LocalStore { log, watermark, directory, poisoned: None, _lock: lock };
        Ok(Opened { store, snapshots, owner, recovered, has_snapshot })
    }

    /// The same for a reader among others: it writes nothing and holds nothing afterwards.
    pub fn look(directory: &Path) -> Result<Looked, StoreError> {
        if !directory.join(super::log::NAME).exists() {
            return Err(StoreError::NoLog { path: directory.into() });
        }
        let _lock = Lock::share(directory)?;
        let (_, highest) = WatermarkFile::open(directory)?;
        let contents = LogFile::look(directory)?;
        let owner = contents.foundation.owner;
        refuse_a_step_back(directory, owner, contents.state, highest)?;
        let snapshots = LocalSnapshots::new(directory, owner.cluster);
        let newest = snapshots.newest()?;
        let (recovered, has_snapshot) = together(directory, contents, newest)?;
        Ok(Looked { snapshots, recovered, has_snapshot })
    }

    fn guarded<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(first) = &self.poisoned {
            return Err(StoreError::Poisoned { first: first.clone() });
        }
        let done = act(self);
        self.poisoned = done.as_ref().err().map(ToString::to_string);
        done
    }
}

impl Store for LocalStore {
    fn persist(&mut self, persist: &Persist) -> Result<(), StoreError> {
        self.guarded(|store| {
            let state = store.log.persist(persist)?;
            // After the commit, so that it is never ahead of the log; before anyone hears of
            // it, so that what was acknowledged is noted even if the process dies now.
            store.watermark.note(mark(store.log.owner(), state))
        })
    }

    fn truncate_before(&mut self, index: LogIndex) -> Result<(), StoreError> {
        let snapshots = LocalSnapshots::new(&self.directory, self.log.owner().cluster);
        let held = snapshots.newest()?.map_or(0, |meta| meta.index.0);
        if index.0 > held + 1 {
            // Nothing was written: the store is as good as before.
            return Err(StoreError::NotHeld { asked: index.0 - 1, held });
        }
        self.guarded(|store| {
            let state = store.log.truncate_before(index)?;
            store.watermark.note(mark(store.log.owner(), state))
        })
    }

    fn sync_watermark(&mut self) -> Result<(), StoreError> {
        self.guarded(|store| store.watermark.sync())
    }
}

fn mark(owner: Owner, state: State) -> Watermark {
    Watermark { storage: owner.storage, sequence: state.sequence, last: state.last }
}

fn refuse_a_step_back(
    directory: &Path,
    owner: Owner,
    state: State,
    highest: Watermark,
) -> Result<(), StoreError> {
    if owner.storage != highest.storage {
        let what = "its watermark belongs to another log";
        return Err(StoreError::corrupt(directory, what));
    }
    if state.sequence < highest.sequence {
        let what = format!(
            "the log went back: write {} (up to entry {}) was durable, and it ends with write {} \
             (entry {})",
            highest.sequence, highest.last, state.sequence, state.last
        );
        return Err(StoreError::corrupt(directory, what));
    }
    Ok(())
}

/// The log stands on its newest snapshot, or on its foundation while there is none.
fn together(
    directory: &Path,
    contents: Contents,
    newest: Option<SnapshotMeta>,
) -> Result<(Recovered, bool), StoreError> {
    let Contents { foundation, state, entries } = contents;
    let newest = newest.filter(|meta| meta.index >= foundation.base.index);
    let has_snapshot = newest.is_some();
    if !has_snapshot && foundation.base.index > BOOTSTRAP.0 {
        let what = format!("the snapshot at entry {} is missing", foundation.base.index);
        return Err(StoreError::corrupt(directory, what));
    }
    let base = newest.unwrap_or(foundation.base);
    let recovered = Recovered { hard_state: state.hard_state, base, entries };
    match recovered.settled() {
        Ok(recovered) => Ok((recovered, has_snapshot)),
        Err(error) => Err(StoreError::corrupt(directory, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use dagmar_common::ids::{ClusterId, ReplicaId, StorageId};
    use dagmar_replica::{Replica, ReplicaConfig};

    use super::*;

    #[test]
    fn after_the_first_failed_write_the_log_refuses_everything() {
        let (id, cluster, storage) = (ReplicaId(1), ClusterId(1), StorageId(1));
        let owner = Owner { cluster, replica: id, storage };
        let recovered = Recovered::bootstrap(&[id]);
        let base = recovered.base.clone();
        let config = ReplicaConfig { id, seed: 1, boot_nonce: 1 };
        let mut replica = Replica::new(config, recovered).unwrap();
        let mut write = |text: &[u8]| {
            replica.campaign();
            replica.propose(text.to_vec()).unwrap();
            let persist = replica.ready().unwrap().persist.unwrap();
            replica.persisted(persist.token);
            while replica.ready().is_some() {}
            persist
        };
        let directory = std::env::temp_dir().join(format!("dagmar-broken-{}", std::process::id()));
        let (mut store, _) =
            LocalStore::create(&directory, owner, &base, &write(b"first")).unwrap();
        store.log.break_disk();
        let lost = write(b"lost");
        let first = store.persist(&lost).unwrap_err();
        assert!(matches!(first, StoreError::Io { .. }), "{first}");
        for again in [store.persist(&lost), store.sync_watermark()] {
            let again = again.unwrap_err();
            assert!(matches!(&again, StoreError::Poisoned { .. }), "{again}");
            assert!(again.to_string().contains("the log is closed"), "{again}");
        }
        drop(store);
        let opened = LocalStore::open(&directory).unwrap();
        assert_eq!(opened.recovered.entries.len(), 2, "its first transaction, and nothing else");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
