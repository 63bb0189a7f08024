//! What a store keeps over a restart, and what it refuses to do.

use std::fs;

use dagmar_common::ids::{LogIndex, StorageId, Term};
use dagmar_coordinator::store::{LocalStore, Owner, SnapshotStore, Store, StoreError};
use dagmar_replica::durable::EntryKind;
use dagmar_replica::{
    HardState, LogEntry, Persist, Recovered, Replica, ReplicaConfig, SnapshotMeta,
};

use crate::builders::{OWNER, Pair, Room, contents, copy};

fn data(recovered: &Recovered) -> Vec<Vec<u8>> {
    let data = recovered.entries.iter().map(|entry| entry.data.to_vec());
    data.filter(|data| !data.is_empty()).collect()
}

#[test]
fn the_first_transaction_and_all_that_follow_come_back() {
    let room = Room::new("keeps");
    let mut pair = Pair::create(&room.0, b"first");
    pair.propose(b"second");
    drop(pair);
    let (recovered, _) = contents(&room.0).unwrap();
    assert_eq!(data(&recovered), [b"first".to_vec(), b"second".to_vec()]);
    assert_eq!(recovered.hard_state.vote, Some(OWNER.replica));
    let mut pair = Pair::open(&room.0);
    pair.propose(&vec![7; 100 << 10]);
    drop(pair);
    let (recovered, _) = contents(&room.0).unwrap();
    assert_eq!(data(&recovered)[2], vec![7; 100 << 10]);
    assert_eq!(recovered.hard_state.term, Term(3));
}

#[test]
fn a_store_that_was_never_finished_is_none() {
    let room = Room::new("unborn");
    assert!(matches!(LocalStore::open(&room.0), Err(StoreError::NoLog { .. })));
    fs::write(room.0.join("log.redb.new"), b"half of a log").unwrap();
    assert!(matches!(LocalStore::open(&room.0), Err(StoreError::NoLog { .. })));
    let pair = Pair::create(&room.0, b"first");
    drop(pair);
    assert_eq!(data(&contents(&room.0).unwrap().0), [b"first".to_vec()]);
    let base = Recovered::bootstrap(&[OWNER.replica]).base;
    let again = LocalStore::create(&room.0, OWNER, &base, &some_persist());
    assert!(matches!(again, Err(StoreError::Exists { .. })));
}

#[test]
fn a_second_process_learns_who_has_it_open() {
    let room = Room::new("held");
    let pair = Pair::create(&room.0, b"first");
    let error = LocalStore::open(&room.0).err().unwrap();
    let pid = std::process::id();
    assert!(matches!(error, StoreError::Held { pid: Some(found), .. } if found == pid));
    assert!(error.to_string().contains(&format!("(pid {pid})")), "{error}");
    drop(pair);
    assert!(LocalStore::open(&room.0).is_ok());
}

#[test]
fn entries_of_a_later_leader_take_the_place_of_others() {
    let room = Room::new("replaces");
    let mut pair = Pair::create(&room.0, b"first");
    for text in [b"a", b"b", b"c"] {
        pair.propose(text);
    }
    // As a follower would be told: what stands from 5 on was never committed.
    let entry = |index: u64, text: &'static [u8]| LogEntry {
        index: LogIndex(index),
        term: Term(9),
        kind: EntryKind::Data,
        data: text.into(),
    };
    let hard_state = HardState { term: Term(9), vote: None, commit: LogIndex(4) };
    let entries = vec![entry(5, b"other")];
    pair.store.persist(&Persist { entries, hard_state, ..some_persist() }).unwrap();
    drop(pair);
    let (recovered, _) = contents(&room.0).unwrap();
    assert_eq!(data(&recovered), [&b"first"[..], b"a", b"other"]);
    assert_eq!(recovered.hard_state, hard_state);
}

#[test]
fn a_snapshot_comes_back_and_the_log_before_it_may_go() {
    let room = Room::new("snapshot");
    let mut pair = Pair::create(&room.0, b"first");
    pair.propose(b"second");
    let meta = pair.snapshot_meta();
    let refused = pair.store.truncate_before(LogIndex(meta.index.0 + 1));
    assert!(matches!(refused, Err(StoreError::NotHeld { .. })), "nothing holds it yet");
    let chunks = [vec![1; 1 << 20], vec![2; 10], Vec::new()];
    pair.snapshots.save(&meta, &mut chunks.clone().into_iter()).unwrap();
    pair.store.truncate_before(LogIndex(meta.index.0 + 1)).unwrap();
    pair.propose(b"third");
    drop(pair);
    let (recovered, state) = contents(&room.0).unwrap();
    assert_eq!(data(&recovered), [b"third".to_vec()]);
    assert_eq!((recovered.base, state), (meta, chunks.concat()));
}

#[test]
fn two_snapshots_are_kept_and_an_unfinished_one_is_removed() {
    let room = Room::new("two");
    let mut pair = Pair::create(&room.0, b"first");
    let mut taken = Vec::new();
    for number in 0..4u8 {
        pair.propose(&[number]);
        let meta = pair.snapshot_meta();
        pair.snapshots.save(&meta, &mut vec![vec![number]].into_iter()).unwrap();
        taken.push(meta);
    }
    assert_eq!(pair.snapshots.kept().unwrap(), taken[2..]);
    let unfinished = room.0.join("snapshots/00000000000000000099-1.unfinished");
    fs::write(&unfinished, b"half").unwrap();
    drop(pair);
    let (recovered, state) = contents(&room.0).unwrap();
    assert_eq!((recovered.base, state), (taken[3].clone(), vec![3]));
    assert!(!unfinished.exists());
}

#[test]
fn a_snapshot_from_the_leader_replaces_the_log() {
    let room = Room::new("install");
    let mut pair = Pair::create(&room.0, b"first");
    pair.propose(b"never committed");
    let membership = pair.replica.membership();
    let meta = SnapshotMeta { index: LogIndex(50), term: Term(8), membership };
    pair.snapshots.save(&meta, &mut vec![b"state".to_vec()].into_iter()).unwrap();
    let crashed = room.0.join("crashed");
    copy_parts(&room.0, &crashed);
    let hard_state = HardState { term: Term(8), vote: None, commit: LogIndex(50) };
    let snapshot = Some(meta.clone());
    pair.store.persist(&Persist { snapshot, hard_state, ..some_persist() }).unwrap();
    drop(pair);
    for (path, why) in [(&room.0, "installed"), (&crashed, "killed before the log knew")] {
        let (recovered, state) = contents(path).unwrap();
        assert_eq!(state, b"state", "{why}");
        assert_eq!((&recovered.base, recovered.entries.len()), (&meta, 0), "{why}");
        assert_eq!(recovered.hard_state, hard_state, "{why}");
        let entry = LogEntry {
            index: LogIndex(51),
            term: Term(8),
            kind: EntryKind::Data,
            data: b"next"[..].into(),
        };
        let next = Persist { entries: vec![entry], hard_state, ..some_persist() };
        LocalStore::open(path).unwrap().store.persist(&next).unwrap();
        assert_eq!(data(&contents(path).unwrap().0), [b"next"], "{why}");
    }
    fs::remove_dir_all(room.0.join("snapshots")).unwrap();
    let error = contents(&room.0).unwrap_err();
    assert!(error.contains("snapshot at entry 50 is missing"), "{error}");
}

#[test]
fn an_older_copy_of_the_log_or_another_ones_is_refused() {
    let room = Room::new("older");
    let live = room.0.join("live");
    let mut pair = Pair::create(&live, b"first");
    let old = fs::read(live.join("log.redb")).unwrap();
    pair.propose(b"second");
    drop(pair);
    let whole = room.0.join("whole");
    copy(&live, &whole);
    fs::write(live.join("log.redb"), old).unwrap();
    let error = contents(&live).unwrap_err();
    assert!(error.contains("the log went back"), "{error}");
    assert!(error.contains("restore it from a backup"), "{error}");
    let other = room.0.join("other");
    let owner = Owner { storage: StorageId(10), ..OWNER };
    let base = Recovered::bootstrap(&[OWNER.replica]).base;
    drop(LocalStore::create(&other, owner, &base, &some_persist()).unwrap());
    fs::copy(other.join("log.redb"), whole.join("log.redb")).unwrap();
    let error = contents(&whole).unwrap_err();
    assert!(error.contains("belongs to another log"), "{error}");
}

#[test]
fn after_its_first_error_it_refuses_everything() {
    let room = Room::new("poisoned");
    let mut pair = Pair::create(&room.0, b"first");
    // A file where the directory of snapshots belongs: the write fails.
    fs::write(room.0.join("snapshots"), b"").unwrap();
    let meta = pair.snapshot_meta();
    let first = pair.snapshots.save(&meta, &mut std::iter::empty()).unwrap_err();
    assert!(matches!(first, StoreError::Io { .. }), "{first}");
    fs::remove_file(room.0.join("snapshots")).unwrap();
    let second = pair.snapshots.save(&meta, &mut std::iter::empty()).unwrap_err();
    assert!(matches!(second, StoreError::Poisoned { .. }), "{second}");
}

fn some_persist() -> Persist {
    let recovered = Recovered::bootstrap(&[OWNER.replica]);
    let config = ReplicaConfig { id: OWNER.replica, seed: 1, boot_nonce: 1 };
    let mut replica = Replica::new(config, recovered).unwrap();
    replica.campaign();
    let persist = replica.ready().unwrap().persist.unwrap();
    Persist { entries: Vec::new(), ..persist }
}

/// A copy of the parts of a store, when its directory holds other things too.
fn copy_parts(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["log.redb", "highest_durable"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    copy(&from.join("snapshots"), &to.join("snapshots"));
}
