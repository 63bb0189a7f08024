//! Damage, bit by bit and cut by cut: it is found out, or it changes nothing.

use std::fs;
use std::path::PathBuf;

use dagmar_common::ids::LogIndex;
use dagmar_coordinator::store::{SnapshotStore, Store};

use crate::builders::{Pair, Room, contents, copy};

/// Every so many bytes of what the engine filled up; `DAGMAR_EVERY_BIT=1` takes all of these, and
/// all bits of what holds something.
const STRIDE: usize = 97;
/// After so many equal bytes more of them are filling.
const EQUALS: usize = 16;
/// The engine's head and its two commits: here every single bit counts.
const HEAD_BYTES: usize = 320;
/// A log is cut at each of these lengths; `DAGMAR_EVERY_BIT=1` cuts it at every one.
const CUTS_STRIDE: usize = 131;
/// Of a watermark in its envelope; a file that is shorter has not one slot.
const SLOT_BYTES: usize = 48;

/// A store with everything in it, as SIGKILL leaves it: entries before and behind a snapshot.
fn killed_store(room: &Room) -> PathBuf {
    let live = room.0.join("live");
    let mut pair = Pair::create(&live, b"first");
    for number in 0..7u8 {
        pair.propose(&vec![number; 4 * usize::from(number)]);
        if number == 4 {
            let meta = pair.snapshot_meta();
            let chunks = vec![vec![5; 1_000], vec![6; 100]];
            pair.snapshots.save(&meta, &mut chunks.into_iter()).unwrap();
            pair.store.truncate_before(LogIndex(meta.index.0 - 2)).unwrap();
        }
    }
    let killed = room.0.join("killed");
    copy(&live, &killed);
    killed
}

fn flipped(bytes: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1 << bit;
    damaged
}

/// Flips and cuts through one file; how many of each were found out.
fn damage(
    room: &Room,
    file: &str,
    places: impl Fn(&[u8]) -> Vec<(usize, usize)>,
    cuts_stride: usize,
) -> (usize, usize) {
    let (killed, probe) = (killed_store(room), room.0.join("probe"));
    let file = match file {
        "snapshot" => {
            let mut listed = fs::read_dir(killed.join("snapshots")).unwrap();
            let name = listed.next().unwrap().unwrap().file_name();
            format!("snapshots/{}", name.to_string_lossy())
        }
        name => name.into(),
    };
    let bytes = fs::read(killed.join(&file)).unwrap();
    copy(&killed, &probe);
    let whole = contents(&probe).unwrap();
    // Opening changes nothing of the other files.
    let found_out = |damaged: &[u8], what: &dyn Fn() -> String| {
        fs::write(probe.join(&file), damaged).unwrap();
        match contents(&probe) {
            Ok(found) => {
                assert!(found == whole, "{file}, {}: opens with other contents", what());
                false
            }
            Err(error) => {
                assert!(error.contains("keep a copy"), "{file}, {}: {error}", what());
                true
            }
        }
    };
    let flips = places(&bytes).into_iter().filter(|(at, bit)| {
        found_out(&flipped(&bytes, *at, *bit), &|| format!("bit {bit} of byte {at}"))
    });
    let flips = flips.count();
    let cuts = (0..bytes.len())
        .step_by(cuts_stride)
        .filter(|length| found_out(&bytes[..*length], &|| format!("cut at {length}")));
    (flips, cuts.count())
}

fn every_bit() -> bool {
    std::env::var_os("DAGMAR_EVERY_BIT").is_some()
}

/// Every byte of what holds something, and of the head every bit.
fn of_log(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut places, mut equals, mut before) = (Vec::new(), 0, None);
    for (at, byte) in bytes.iter().enumerate() {
        equals = if before == Some(byte) { equals + 1 } else { 0 };
        before = Some(byte);
        let holds_something = equals <= EQUALS;
        if at < HEAD_BYTES || (holds_something && every_bit()) {
            places.extend((0..8).map(|bit| (at, bit)));
        } else if holds_something || at.is_multiple_of(STRIDE) || every_bit() {
            places.push((at, at % 8));
        }
    }
    places
}

#[test]
fn a_log_with_a_flipped_bit_or_a_cut_is_refused_or_means_the_same() {
    let room = Room::in_memory("log");
    let stride = if every_bit() { 1 } else { CUTS_STRIDE };
    let (flips, cuts) = damage(&room, "log.redb", of_log, stride);
    assert!(flips > 1_000, "only {flips} were found out");
    assert!(cuts > 500, "only {cuts} were found out");
}

fn of_all(bytes: &[u8]) -> Vec<(usize, usize)> {
    let bits = move |at: usize| if every_bit() { 0..8 } else { at % 8..at % 8 + 1 };
    (0..bytes.len()).flat_map(|at| bits(at).map(move |bit| (at, bit))).collect()
}

#[test]
fn a_snapshot_with_a_flipped_bit_or_a_cut_is_refused() {
    let room = Room::in_memory("snapshot");
    let (flips, cuts) = damage(&room, "snapshot", of_all, 1);
    assert!(flips > 1_200 && cuts > 1_200, "{flips} flips and {cuts} cuts were found out");
}

#[test]
fn a_watermark_with_a_flipped_bit_or_a_cut_hides_nothing() {
    let room = Room::in_memory("watermark");
    let (flips, cuts) = damage(&room, "highest_durable", of_all, 1);
    // One slot is enough to know how far the log had come.
    assert_eq!((flips, cuts), (0, SLOT_BYTES));
    let (killed, probe) = (room.0.join("killed"), room.0.join("probe"));
    copy(&killed, &probe);
    fs::remove_file(probe.join("highest_durable")).unwrap();
    assert!(contents(&probe).unwrap_err().contains("missing"));
}

/// Why the watermark is noted with every write: nothing inside the log can tell this.
#[test]
fn the_one_bit_that_chooses_between_the_last_two_commits_is_found_out() {
    let room = Room::in_memory("bit");
    let killed = killed_store(&room);
    let bytes = fs::read(killed.join("log.redb")).unwrap();
    fs::write(killed.join("log.redb"), flipped(&bytes, 9, 0)).unwrap();
    let error = contents(&killed).unwrap_err();
    assert!(error.contains("the log went back"), "{error}");
}
