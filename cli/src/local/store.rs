//! The log of one live run: begun, read to go on with it, or only looked at.

use std::io;
use std::path::{Path, PathBuf};

use dagmar_common::ids::{ClusterId, ReplicaId, StorageId};
use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::disk::Log;
use dagmar_coordinator::replay::{self, RestoreFailure};
use dagmar_coordinator::store::{LocalSnapshots, LocalStore, Looked, Opened, Owner, Store};
use dagmar_coordinator_core::State;
use dagmar_replica::Recovered;

use super::damage;

/// The only replica of a local run.
pub const REPLICA: ReplicaId = ReplicaId(1);

/// What a driver begins with: a log that its first write makes, or one that is there.
pub struct OpenLog {
    pub log: Log,
    pub snapshots: LocalSnapshots,
    pub owner: Owner,
    pub recovered: Recovered,
    pub state: State,
    pub is_new: bool,
}

impl OpenLog {
    pub fn begin(directory: &Path) -> Result<OpenLog, Problem> {
        let random = random().map_err(no_random)?;
        let owner = Owner {
            cluster: ClusterId(random[0]),
            replica: REPLICA,
            storage: StorageId(random[1]),
        };
        let recovered = Recovered::bootstrap(&[REPLICA]);
        let (directory, base) = (store_directory(directory), recovered.base.clone());
        let snapshots = LocalSnapshots::new(&directory, owner.cluster);
        let make = move |first: &dagmar_replica::Persist| {
            let (store, _) = LocalStore::create(&directory, owner, &base, first)?;
            Ok(Box::new(store) as Box<dyn Store>)
        };
        let log = Log::New(Box::new(make));
        Ok(OpenLog { log, snapshots, owner, recovered, state: State::new(), is_new: true })
    }

    pub fn read(directory: &Path) -> Result<OpenLog, Problem> {
        let opened = LocalStore::open(&store_directory(directory));
        let opened = opened.map_err(|error| damage::of_store(directory, &error))?;
        let Opened { store, snapshots, owner, recovered, has_snapshot } = opened;
        let state = state_of(directory, &snapshots, &recovered, has_snapshot)?;
        let log = Log::Open(Box::new(store));
        Ok(OpenLog { log, snapshots, owner, recovered, state, is_new: false })
    }
}

/// What the log in a live directory holds, for whoever only looks.
pub fn look(directory: &Path) -> Result<(Recovered, State), Problem> {
    let looked = LocalStore::look(&store_directory(directory));
    let looked = looked.map_err(|error| damage::of_store(directory, &error))?;
    let Looked { snapshots, recovered, has_snapshot } = looked;
    let state = state_of(directory, &snapshots, &recovered, has_snapshot)?;
    Ok((recovered, state))
}

/// As the newest snapshot has it: what `recovered` brings comes on top.
fn state_of(
    directory: &Path,
    snapshots: &LocalSnapshots,
    recovered: &Recovered,
    has_snapshot: bool,
) -> Result<State, Problem> {
    if !has_snapshot {
        return Ok(State::new());
    }
    replay::restore(snapshots, &recovered.base).map_err(|failure| match failure {
        RestoreFailure::Store(error) => damage::of_store(directory, &error),
        RestoreFailure::State(error) => {
            let base = recovered.base.index;
            let why = format!("its snapshot at entry {base} cannot be read: {error}");
            damage::of_log(directory, &store_directory(directory), why)
        }
    })
}

fn store_directory(directory: &Path) -> PathBuf {
    directory.join(super::live::LOG)
}

fn random() -> io::Result<[u128; 2]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let (low, high) = bytes.split_at(16);
    let number = |part: &[u8]| part.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    Ok([number(low), number(high)])
}

fn no_random(error: io::Error) -> Problem {
    Problem::new(Code::Storage, "this process cannot draw a random number")
        .because(error.to_string())
}
