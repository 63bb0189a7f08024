//! Crashes in the middle of a commit: every place where it can stop, and every write it can lose.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use dagmar_common::ids::{ClusterId, LogIndex, ReplicaId, StorageId, Term};
use dagmar_replica::durable::EntryKind;
use dagmar_replica::{HardState, LogEntry, Persist, Recovered, SnapshotMeta, Token};

use super::file::Done;
use super::local::LocalStore;
use super::{Owner, SnapshotStore, Store};

const OWNER: Owner = Owner { cluster: ClusterId(7), replica: ReplicaId(1), storage: StorageId(9) };
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Of more writes between two fsyncs not every subset is tried.
const SUBSETS_MAX: u64 = 64;

/// A directory of its own, in memory: no power is lost here but the one that is played.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("dagmar-torn-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Room(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Entries from `first` on, of these lengths.
fn entries(first: u64, term: u64, lengths: &[usize]) -> Persist {
    let entry = |(index, length): (u64, &usize)| LogEntry {
        index: LogIndex(index),
        term: Term(term),
        kind: EntryKind::Data,
        data: vec![index as u8; *length].into(),
    };
    let entries: Vec<_> = (first..).zip(lengths).map(entry).collect();
    let hard_state =
        HardState { term: Term(term), vote: Some(OWNER.replica), commit: LogIndex(first - 1) };
    Persist { token: Token::UNASKED, snapshot: None, entries, hard_state }
}

/// All that a start is built from, or why there is no start.
fn contents(directory: &Path) -> Result<Recovered, String> {
    LocalStore::open(directory).map(|opened| opened.recovered).map_err(|error| error.to_string())
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => fs::copy(entry.path(), target).map(|_| ()).unwrap(),
        }
    }
}

/// A file as a crash finds it.
#[derive(Clone)]
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, done: &Done) {
        match done {
            Done::Wrote { offset, data } => self.put_part(*offset, data),
            Done::SetLen(length) => self.0.resize(*length as usize, 0),
            Done::Synced => {}
        }
    }

    fn put_part(&mut self, offset: u64, data: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + data.len());
        self.0.resize(self.0.len().max(end), 0);
        self.0[start..end].copy_from_slice(data);
    }
}

/// Every file that a crash within `done` can leave of `before`.
fn crashes(before: &Image, done: &[Done], each: &mut dyn FnMut(Image, String)) {
    let (mut synced, mut random) = (before.clone(), 1_u64);
    for (group, writes) in done.split(|one| matches!(one, Done::Synced)).enumerate() {
        // The process dies: what it wrote is there, of the last write a part.
        let mut written = synced.clone();
        for (place, write) in writes.iter().enumerate() {
            if let Done::Wrote { offset, data } = write {
                for cut in cuts(data) {
                    let mut image = written.clone();
                    image.put_part(*offset, &data[..cut]);
                    each(image, format!("write {place} of group {group}, cut at {cut}"));
                }
            }
            written.put(write);
            each(written.clone(), format!("behind write {place} of group {group}"));
        }
        // The power is lost: of what was not synced any part is there, sector by sector.
        let count = writes.len() as u32;
        let all = 1_u64.checked_shl(count).unwrap_or(u64::MAX);
        for number in 0..all.min(SUBSETS_MAX) {
            let subset = if all <= SUBSETS_MAX { number } else { next(&mut random) };
            let mut image = synced.clone();
            for (place, write) in writes.iter().enumerate() {
                if subset >> (place % 64) & 1 == 1 {
                    image.put(write);
                }
            }
            each(image, format!("writes {subset:b} of group {group}"));
            let mut image = synced.clone();
            for write in writes {
                match write {
                    Done::Wrote { offset, data } => {
                        for (sector, bytes) in (0_u64..).zip(data.chunks(SECTOR_BYTES)) {
                            if next(&mut random).is_multiple_of(2) {
                                image.put_part(offset + sector * SECTOR_BYTES as u64, bytes);
                            }
                        }
                    }
                    other => image.put(other),
                }
            }
            each(image, format!("sectors of group {group}, sample {number}"));
        }
        synced = written;
    }
}

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *random >> 16
}

/// Where a write may stop: anywhere in the engine's head, between sectors elsewhere.
fn cuts(data: &[u8]) -> Vec<usize> {
    let step = if data.len() <= SECTOR_BYTES { 1 } else { SECTOR_BYTES };
    (1..data.len()).step_by(step).collect()
}

/// A crash anywhere in `act` leaves what was there before it, or what is there after it.
#[track_caller]
fn check(name: &str, act: impl FnOnce(&mut LocalStore)) {
    let room = Room::new(name);
    let [live, before, after, probe] =
        ["live", "before", "after", "probe"].map(|it| room.0.join(it));
    let base = Recovered::bootstrap(&[OWNER.replica]).base;
    let first = base.index.0 + 1;
    let (mut store, mut snapshots) =
        LocalStore::create(&live, OWNER, &base, &entries(first, 1, &[9])).unwrap();
    for index in first + 1..first + 8 {
        store.persist(&entries(index, 1, &[40 * index as usize])).unwrap();
    }
    let held = SnapshotMeta { index: LogIndex(first + 4), term: Term(1), ..base };
    snapshots.save(&held, &mut vec![vec![5; 300]].into_iter()).unwrap();
    store.truncate_before(LogIndex(first + 2)).unwrap();
    copy(&live, &before);
    store.log.take_done();
    act(&mut store);
    let done = store.log.take_done();
    copy(&live, &after);
    drop(store);

    let image = Image(fs::read(before.join("log.redb")).unwrap());
    // Noted only after the commit, the watermark is as it was before; or, without power, older.
    copy(&before, &probe);
    let [was, is] = [before, after].map(|one| contents(&one).unwrap());
    assert!(was != is && done.iter().any(|one| matches!(one, Done::Synced)), "{done:?}");
    let mut seen = [0; 2];
    crashes(&image, &done, &mut |image, what| {
        fs::write(probe.join("log.redb"), &image.0).unwrap();
        match contents(&probe) {
            Ok(found) if found == was => seen[0] += 1,
            Ok(found) if found == is => seen[1] += 1,
            Ok(found) => panic!("{name}, {what}: neither before nor after: {found:?}"),
            Err(error) => panic!("{name}, {what}: {error}"),
        }
    });
    assert!(seen[0] > 20 && seen[1] > 0, "{name}: {seen:?}");
}

#[test]
fn a_commit_of_entries_that_is_cut_anywhere_was_never_or_is_whole() {
    check("append", |store| {
        store.persist(&entries(10, 1, &[100, 3_000])).unwrap();
    });
}

#[test]
fn a_commit_that_replaces_entries_was_never_or_is_whole() {
    check("replace", |store| store.persist(&entries(8, 3, &[50])).unwrap());
}

#[test]
fn a_commit_that_makes_the_file_longer_was_never_or_is_whole() {
    check("longer", |store| store.persist(&entries(10, 1, &[120 << 10, 120 << 10])).unwrap());
}

#[test]
fn a_truncation_was_never_or_is_whole() {
    check("truncate", |store| store.truncate_before(LogIndex(7)).unwrap());
}

#[test]
fn a_snapshot_that_replaces_the_log_was_never_or_is_whole() {
    check("install", |store| {
        let base = Recovered::bootstrap(&[OWNER.replica]).base;
        let meta = SnapshotMeta { index: LogIndex(6), term: Term(1), ..base };
        let mut persist = entries(7, 4, &[10]);
        persist.snapshot = Some(meta);
        store.persist(&persist).unwrap();
    });
}
