//! Small logs, snapshots and the directories they live in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dagmar_common::ids::{ClusterId, LogIndex, ReplicaId, StorageId, Term};
use dagmar_coordinator::store::{LocalSnapshots, LocalStore, Owner, Store};
use dagmar_replica::{Persist, Recovered, Replica, ReplicaConfig, SnapshotMeta};

pub const OWNER: Owner =
    Owner { cluster: ClusterId(7), replica: ReplicaId(1), storage: StorageId(9) };

/// A directory of its own for one test, removed when it ends well.
pub struct Room(pub PathBuf);

impl Room {
    pub fn new(name: &str) -> Self {
        Room::under(&std::env::temp_dir(), name)
    }

    /// For tests that open a store thousands of times, and in which no power is lost.
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Room::under(memory, name) } else { Room::new(name) }
    }

    fn under(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("dagmar-store-{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Room(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A replica that is alone, and the store that its writes go to.
pub struct Pair {
    pub replica: Replica,
    pub store: LocalStore,
    pub snapshots: LocalSnapshots,
    pub applied: (LogIndex, Term),
}

fn config() -> ReplicaConfig {
    ReplicaConfig { id: OWNER.replica, seed: 1, boot_nonce: 1 }
}

impl Pair {
    pub fn create(path: &Path, first: &[u8]) -> Self {
        let recovered = Recovered::bootstrap(&[OWNER.replica]);
        let base = recovered.base.clone();
        let mut replica = Replica::new(config(), recovered).unwrap();
        replica.campaign();
        replica.propose(first.to_vec()).unwrap();
        let persist = replica.ready().unwrap().persist.unwrap();
        let (store, snapshots) = LocalStore::create(path, OWNER, &base, &persist).unwrap();
        replica.persisted(persist.token);
        let mut pair = Pair { replica, store, snapshots, applied: (base.index, base.term) };
        pair.settle();
        pair
    }

    pub fn open(path: &Path) -> Self {
        let opened = LocalStore::open(path).unwrap();
        let base = &opened.recovered.base;
        let applied = (base.index, base.term);
        let mut replica = Replica::new(config(), opened.recovered).unwrap();
        replica.campaign();
        let (store, snapshots) = (opened.store, opened.snapshots);
        let mut pair = Pair { replica, store, snapshots, applied };
        pair.settle();
        pair
    }

    pub fn propose(&mut self, data: &[u8]) {
        self.replica.propose(data.to_vec()).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(work) = self.replica.ready() {
            if let Some(persist) = work.persist {
                self.persist(&persist);
            }
            if let Some(last) = work.committed.last() {
                self.applied = (last.index, last.term);
                self.replica.applied(last.index);
            }
        }
    }

    fn persist(&mut self, persist: &Persist) {
        self.store.persist(persist).unwrap();
        self.replica.persisted(persist.token);
    }

    pub fn snapshot_meta(&self) -> SnapshotMeta {
        let (index, term) = self.applied;
        SnapshotMeta { index, term, membership: self.replica.membership() }
    }
}

/// What is in a store that can be opened: all that a start is built from.
pub fn contents(path: &Path) -> Result<(Recovered, Vec<u8>), String> {
    use dagmar_coordinator::store::SnapshotStore;
    let opened = LocalStore::open(path).map_err(|error| error.to_string())?;
    let mut state = Vec::new();
    if opened.has_snapshot {
        let mut each = |chunk: &[u8]| {
            state.extend_from_slice(chunk);
            Ok(())
        };
        let loaded = opened.snapshots.load(&opened.recovered.base, &mut each);
        loaded.map_err(|error| error.to_string())?;
    }
    assert_eq!(opened.owner, OWNER);
    Ok((opened.recovered, state))
}

pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
