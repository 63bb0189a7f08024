//! Damage, bit by bit and cut by cut: it is found out, or it changes nothing.

use std::fs;
use std::path::PathBuf;

use dagmar_common::ids::LogIndex;
use dagmar_coordinator::store::{SnapshotStore, Store};

use crate::builders::{Pair, Room, contents, copy};

/// Every so many bytes of what holds something; in between lies more of the same.
const STRIDE: usize = 7;
/// The engine's head and its two commits: here every single bit counts.
const HEAD_BYTES: usize = 320;
/// How much the engine writes at once.
const BLOCK_BYTES: usize = 512;

/// A store with everything in it, as SIGKILL leaves it: entries before and behind a snapshot.
fn killed_store(room: &Room) -> PathBuf {
    let live = room.0.join("live");
    let mut pair = Pair::create(&live, b"first");
    for number in 0..15u8 {
        pair.propose(&vec![number; 40 * usize::from(number)]);
        if number == 7 {
            let meta = pair.snapshot_meta();
            let chunks = vec![vec![5; 3_000], vec![6; 100]];
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
        .step_by(BLOCK_BYTES)
        .filter(|length| found_out(&bytes[..*length], &|| format!("cut at {length}")));
    (flips, cuts.count())
}

#[test]
fn a_log_with_a_flipped_bit_or_a_cut_is_refused_or_means_the_same() {
    let room = Room::in_memory("log");
    let places = |bytes: &[u8]| {
        let head = (0..HEAD_BYTES).flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let holds_something = |at: &usize| {
            let block = at / BLOCK_BYTES * BLOCK_BYTES;
            let end = (block + BLOCK_BYTES).min(bytes.len());
            at.is_multiple_of(BLOCK_BYTES) || bytes[block..end].iter().any(|byte| *byte != 0)
        };
        let rest = (HEAD_BYTES..bytes.len()).filter(holds_something).step_by(STRIDE);
        head.chain(rest.map(|at| (at, at % 8))).collect()
    };
    let (flips, cuts) = damage(&room, "log.redb", places);
    assert!(flips > 1_000, "only {flips} were found out");
    assert!(cuts > 100, "only {cuts} were found out");
}

#[test]
fn a_snapshot_with_a_flipped_bit_or_a_cut_is_refused() {
    let room = Room::in_memory("snapshot");
    let everywhere = |bytes: &[u8]| (0..bytes.len()).map(|at| (at, at % 8)).collect();
    let (flips, cuts) = damage(&room, "snapshot", everywhere);
    assert!(flips > 3_000 && cuts == 7, "{flips} flips and {cuts} cuts were found out");
}

#[test]
fn a_watermark_with_a_flipped_bit_or_a_cut_hides_nothing() {
    let room = Room::in_memory("watermark");
    let everywhere = |bytes: &[u8]| (0..bytes.len()).map(|at| (at, at % 8)).collect();
    let (flips, cuts) = damage(&room, "highest_durable", everywhere);
    // One slot is enough to know how far the log had come.
    assert_eq!((flips, cuts), (0, 1));
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
