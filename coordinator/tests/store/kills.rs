//! SIGKILL at any moment: whatever was acknowledged before is there after.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dagmar_common::ids::LogIndex;
use dagmar_coordinator::store::{SnapshotStore, Store};

use crate::builders::{Pair, Room, contents};

/// `DAGMAR_KILLS=500` takes longer and sees more.
const ROUNDS: u64 = 20;
const ROOM: &str = "DAGMAR_TEST_KILLED_STORE";
/// Between two snapshots, each followed by a truncation.
const SNAPSHOT_EVERY: u64 = 40;

/// The process that is killed. It writes numbered entries, and names each when it is durable.
#[test]
#[ignore = "started, and killed, by the test below"]
fn the_writer() {
    let room = std::env::var_os(ROOM).unwrap();
    let room = Path::new(&room);
    let mut pair =
        if room.join("log.redb").exists() { Pair::open(room) } else { Pair::create(room, b"") };
    let stdout = std::io::stdout();
    loop {
        let next = pair.applied.0.0 + 1;
        let length = 24 + (next * 7_919 % 9_000) as usize;
        let mut data = next.to_le_bytes().to_vec();
        data.resize(length, next as u8);
        pair.propose(&data);
        writeln!(stdout.lock(), "durable {next}").unwrap();
        if next.is_multiple_of(SNAPSHOT_EVERY) {
            let meta = pair.snapshot_meta();
            let chunks = vec![meta.index.0.to_le_bytes().to_vec(), vec![next as u8; 200_000]];
            pair.snapshots.save(&meta, &mut chunks.into_iter()).unwrap();
            pair.replica.snapshot_saved(meta.clone());
            pair.store.truncate_before(LogIndex(meta.index.0 + 1)).unwrap();
            pair.store.sync_watermark().unwrap();
        }
    }
}

fn start(room: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::the_writer", "--ignored", "--nocapture"])
        .env(ROOM, room)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the writer a moment after it said that so many entries were durable; the last that it
/// named before it died.
fn killed(room: &Path, entries: usize, moment: Duration) -> Option<u64> {
    let mut child = start(room);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut durable = lines.filter_map(|line| {
        let (_, number) = line.split_once("durable ")?;
        number.trim().parse().ok()
    });
    let before = durable.by_ref().take(entries).last();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    durable.last().or(before)
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let room = Room::new("kills");
    let asked = std::env::var("DAGMAR_KILLS").ok();
    let rounds = asked.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (mut acknowledged, mut snapshots) = (0, 0);
    for round in 0..rounds {
        let (entries, moment) = (round * 7 % 50, Duration::from_micros(round * 7_919 % 4_001));
        let last = killed(&room.0, entries as usize, moment);
        acknowledged = last.unwrap_or(0).max(acknowledged);
        if !room.0.join("log.redb").exists() {
            assert_eq!(acknowledged, 0, "round {round}");
            continue;
        }
        let (recovered, state) = contents(&room.0).unwrap();
        assert!(recovered.last_index().0 >= acknowledged, "round {round}: {acknowledged} is lost");
        for entry in recovered.entries.iter().filter(|entry| entry.data.len() >= 24) {
            let index = entry.index.0;
            assert_eq!(entry.data[..8], index.to_le_bytes(), "round {round}");
            assert!(entry.data[8..].iter().all(|byte| *byte == index as u8), "round {round}");
        }
        if !state.is_empty() {
            snapshots += 1;
            assert_eq!(state[..8], recovered.base.index.0.to_le_bytes(), "round {round}");
        }
    }
    assert!(acknowledged > 100, "only {acknowledged} entries in all rounds");
    assert!(snapshots > 0, "no round ended behind a snapshot");
}
