//! Harm to whatever a run left on the disk: told as damage or without effect, never other data.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::room::{Room, Said, TWO_STEPS};

/// Another one harms other places.
const SEED: u64 = 20_261_121;
/// Of each kind that a place is sampled for, in each file.
const FLIPS: usize = 2;
/// A sector.
const ZEROED: usize = 512;
/// Of the engine under the log: pages that stand for each other make it panic now and then.
const PAGE: usize = 4_096;
/// The log of a short run is not longer; what follows is empty.
const PAGES_IN_USE: usize = 12;

/// One way in which a disk, a file system or a person spoils a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Flipped {
        at: usize,
        by: u8,
    },
    Zeroed {
        at: usize,
    },
    Cut {
        to: usize,
    },
    Longer {
        by: usize,
    },
    /// Two pages, each whole, where the other belongs.
    Swapped {
        one: usize,
        other: usize,
    },
    Gone,
}

impl Harm {
    /// Some of each, spread over a file of `length` bytes.
    fn sample(random: &mut u64, length: usize) -> Vec<Harm> {
        let mut below = |bound: usize| {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*random >> 33) as usize % bound.max(1)
        };
        let mut harms: Vec<Harm> = (0..FLIPS)
            .map(|part| (part * length + below(length)) / FLIPS)
            .map(|at| Harm::Flipped { at, by: 1 << (at % 8) })
            .collect();
        harms.push(Harm::Zeroed { at: below(length) / ZEROED * ZEROED });
        harms.push(Harm::Cut { to: below(length) });
        harms.push(Harm::Longer { by: 1 + below(ZEROED) });
        harms.push(Harm::Gone);
        let pages = (length / PAGE).min(PAGES_IN_USE);
        harms.extend((0..pages).map(|one| Harm::Swapped { one, other: below(pages) }));
        harms
    }

    fn inflict(self, file: &Path) {
        let mut bytes = fs::read(file).expect("the file is there");
        let length = bytes.len();
        match self {
            Harm::Flipped { at, by } => bytes[at.min(length - 1)] ^= by,
            Harm::Zeroed { at } => bytes[at..(at + ZEROED).min(length)].fill(0),
            Harm::Cut { to } => bytes.truncate(to),
            Harm::Longer { by } => bytes.resize(length + by, b'x'),
            Harm::Swapped { one, other } => {
                let (low, high) = (one.min(other), one.max(other) * PAGE);
                let (front, back) = bytes.split_at_mut(high);
                if low < high / PAGE {
                    front[low * PAGE..][..PAGE].swap_with_slice(&mut back[..PAGE]);
                }
            }
            Harm::Gone => return fs::remove_file(file).expect("the file can be removed"),
        }
        // A new file: an archive's logs are the same files as others' under another name.
        fs::remove_file(file).expect("the file can be removed");
        fs::write(file, bytes).expect("the file can be written");
    }
}

/// Everything under `dir`, harmed file by file and each time made whole again.
fn harm_all(room: &Room, dir: &str, check: impl Fn(Harm, &str, &Path)) {
    let (dagmar, kept) = (room.path(".dagmar"), room.path("kept"));
    copy(&dagmar, &kept);
    let mut random = SEED;
    for file in files(&room.path(dir)) {
        let length = fs::metadata(&file).map_or(0, |found| found.len() as usize);
        // What a task was started with is written anew for each attempt, and a lock holds nothing.
        let is_read =
            !file.ends_with("log/lock") && !file.components().any(|it| it.as_os_str() == "tasks");
        if length == 0 || !is_read {
            continue;
        }
        for harm in Harm::sample(&mut random, length) {
            harm.inflict(&file);
            check(harm, &format!("{harm:?} in {}, seed {SEED}", file.display()), &file);
            room.until_nothing_runs();
            fs::remove_dir_all(&dagmar).expect("it can be removed");
            copy(&kept, &dagmar);
        }
    }
}

/// Either an answer or a complaint about damage; True for an answer.
fn is_answer(said: &Said, what: &str) -> bool {
    assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
    let Some(code) = said.code else { panic!("{what}: a signal: {said:?}") };
    if code != 0 {
        assert_eq!(code, 1, "{what}: {said:?}");
        let is_told = said.err.contains("E0901") || said.err.contains("E0902");
        assert!(is_told || said.err.contains("E0903"), "{what}: {said:?}");
        let is_placed = said.err.contains(".dagmar/");
        assert!(is_placed, "{what}: which file? {said:?}");
    }
    code == 0
}

/// The others are there, whatever happened to this one.
fn check_others(room: &Room, what: &str) {
    let ls = room.dagmar(&["ls"]);
    assert_eq!(ls.code, Some(0), "{what}: {ls:?}");
    assert!(ls.out.contains("\nother "), "{what}: {ls:?}");
    assert!((ls.out.clone() + &ls.err).contains("\nr "), "{what}: {ls:?}");
}

fn outputs(said: &Said, what: &str) -> Json {
    let record: Json = serde_json::from_str(&said.out).expect(what);
    record["steps"]["one"]["outputs"].clone()
}

#[test]
fn harm_to_an_interrupted_run_is_told_and_stays_its_own() {
    let room = Room::interrupted(TWO_STEPS);
    let expected = json!({"value": "first"});
    harm_all(&room, ".dagmar/live/r", |harm, what, file| {
        let show = room.dagmar(&["show", "r", "-o", "json"]);
        let is_shown = is_answer(&show, what);
        if is_shown {
            assert_eq!(outputs(&show, what), expected, "{what}");
        }
        if matches!(harm, Harm::Swapped { .. }) {
            return;
        }
        check_others(&room, what);
        let logs = room.dagmar(&["logs", "r/one"]);
        if is_answer(&logs, what) {
            assert_eq!(logs.out, "said by one\n", "{what}");
        }
        let resume = room.dagmar(&["resume", "r"]);
        if is_answer(&resume, what) {
            assert!(is_shown, "{what}: {show:?}");
            let end = room.dagmar(&["show", "r", "-o", "json"]);
            assert_eq!(outputs(&end, what), expected, "{what}");
            assert_eq!(room.live(), [""; 0], "{what}");
        } else {
            assert!(file.exists() || room.live() == ["r"], "{what}: it is lost");
        }
    });
    // As it was, it goes on.
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
}

#[test]
fn damaged_records_are_told_by_every_command() {
    let room = Room::interrupted(&TWO_STEPS.replace("two: {", "two: {idempotent: false, "));
    let (dagmar, kept) = (room.path(".dagmar"), room.path("kept"));
    copy(&dagmar, &kept);
    let file = room.path(".dagmar/live/r/records");
    let cuts = [0, 100, 150].map(|to| Harm::Cut { to });
    for harm in [Harm::Flipped { at: 100, by: 1 }, Harm::Gone].into_iter().chain(cuts) {
        harm.inflict(&file);
        for command in [&["show", "r"][..], &["why", "r/two"], &["logs", "r"], &["resume", "r"]] {
            let said = room.dagmar(command);
            assert!(!is_answer(&said, "damage"), "{harm:?} {command:?}: {said:?}");
            assert!(said.err.contains("E0901"), "{harm:?} {command:?}: {said:?}");
            assert!(said.err.contains(".dagmar/live/r/records"), "{command:?}: {said:?}");
        }
        assert_eq!(room.read("ran"), "two\n", "{harm:?}");
        // As the help says, whoever knows better goes on.
        match file.exists() {
            true => fs::rename(&file, file.with_extension("damaged")).expect("it can be moved"),
            false => fs::write(file.with_extension("damaged"), "").expect("it can be made"),
        }
        // Nobody knows whether it had begun: it does not begin again.
        let said = room.dagmar(&["resume", "r"]);
        assert_eq!(said.code, Some(1), "{harm:?}: {said:?}");
        assert!(said.err.contains("may not be started twice"), "{harm:?}: {said:?}");
        assert_eq!(room.read("ran"), "two\n", "{harm:?}");
        fs::remove_dir_all(&dagmar).expect("it can be removed");
        copy(&kept, &dagmar);
    }
    // Whose note is damaged is not blamed for it, and goes on without.
    let note = room.path(".dagmar/live/r/records.synced");
    Harm::Flipped { at: 30, by: 1 }.inflict(&note);
    let said = room.dagmar(&["resume", "r"]);
    assert!(said.err.contains("E0901") && said.err.contains("records.synced"), "{said:?}");
    fs::remove_file(&note).expect("as the help says");
    let why = room.dagmar(&["why", "r/two"]);
    assert!(why.out.contains("may not be started twice"), "{why:?}");
    // As it was, nothing runs twice.
    assert_eq!(room.dagmar(&["resume", "r"]).code, Some(1));
    assert_eq!(room.read("ran"), "two\n");
}

#[test]
fn harm_to_an_archive_is_told_and_stays_its_own() {
    let room = Room::with(TWO_STEPS);
    room.write("go", "");
    for run in ["other", "r"] {
        assert_eq!(room.dagmar(&["run", "--run-id", run]).code, Some(0));
    }
    let truth = room.dagmar(&["show", "r", "-o", "json"]);
    harm_all(&room, ".dagmar/runs/r/0", |_, what, _| {
        check_others(&room, what);
        let show = room.dagmar(&["show", "r", "-o", "json"]);
        if is_answer(&show, what) {
            assert_eq!(show.out, truth.out, "{what}");
        }
        let logs = room.dagmar(&["logs", "r/one"]);
        if is_answer(&logs, what) {
            assert_eq!(logs.out, "said by one\n", "{what}");
        }
        let again = room.dagmar(&["run", "--run-id", "r"]);
        assert!(again.err.contains("E0301"), "{what}: its name is free: {again:?}");
    });
    assert_eq!(room.dagmar(&["show", "r", "-o", "json"]).out, truth.out);
}

#[test]
fn harm_to_the_index_costs_nothing() {
    let room = Room::with("steps:\n  one: {command: 'true'}\n");
    for run in ["other", "r"] {
        assert_eq!(room.dagmar(&["run", "--run-id", run]).code, Some(0));
    }
    let index = room.path(".dagmar/index");
    let whole = fs::read(&index).expect("there is an index");
    let mut random = SEED;
    for harm in Harm::sample(&mut random, whole.len()) {
        harm.inflict(&index);
        check_others(&room, &format!("{harm:?}, seed {SEED}"));
        fs::write(&index, &whole).expect("the index can be written");
    }
}

#[test]
fn an_archive_that_was_harmed_before_its_run_was_removed_is_written_again() {
    let room = Room::interrupted(TWO_STEPS);
    // What an owner leaves that dies between its archive and the removal, and then is harmed.
    fs::create_dir_all(room.path(".dagmar/runs/r/0")).expect("it can be made");
    room.write(".dagmar/runs/r/0/manifest", "this is no manifest");
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let record = room.record("r").expect("there is an archive");
    assert_eq!(record["status"], "SUCCESS");
    let aside = room.read(".dagmar/runs/r/0.damaged-0/manifest");
    assert_eq!(aside, "this is no manifest", "nothing is thrown away");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("it lies in it"));
        fs::create_dir_all(target.parent().expect("it lies in something")).expect("can be made");
        fs::copy(&file, &target).expect("it can be copied");
    }
}
