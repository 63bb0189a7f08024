//! Flipped bytes in what a run left: told as damage or without effect, never other data.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::room::{Room, Said, until};

const PLACES: usize = 8;

const PIPELINE: &str = "
steps:
  one: {command: 'echo value=first >> $DAGMAR_OUTPUT; echo said by one'}
  two: {needs: [one], command: 'echo two >> ran; until [ -e go ]; do sleep 0.01; done'}
";

/// Flips a byte at places all over a file, each alone, and looks what a reader makes of it.
fn flip_all_over(file: &Path, check: impl Fn(&str)) {
    let whole = fs::read(file).expect("the file is there");
    for number in 0..PLACES.min(whole.len()) {
        // Spread over the file, and never at the same place of a page.
        let place = (number * whole.len() / PLACES + number * 37) % whole.len();
        let mut bytes = whole.clone();
        bytes[place] ^= 0x5a;
        fs::write(file, bytes).expect("the file can be written");
        check(&format!("byte {place} of {}", file.display()));
    }
    fs::write(file, whole).expect("the file can be written");
}

/// Either the truth or a complaint; True for the truth.
fn is_truth(said: &Said, what: &str) -> bool {
    assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
    let Some(code) = said.code else { panic!("{what}: a signal: {said:?}") };
    if code != 0 {
        assert_eq!(said.out, "", "{what}: {said:?}");
        assert!(said.err.starts_with("error[E09") || said.err.starts_with('{'), "{what}: {said:?}");
    }
    code == 0
}

fn outputs(said: &Said, what: &str) -> Json {
    let record: Json = serde_json::from_str(&said.out).expect(what);
    record["steps"]["one"]["outputs"].clone()
}

#[test]
fn a_damaged_log_of_an_interrupted_run_is_told_as_that() {
    let room = Room::with(PIPELINE);
    let owner = room.begin("r");
    until("the second step runs", || (room.read("ran") == "two\n").then_some(()));
    owner.signal(Signal::KILL);
    owner.end();
    room.until_nothing_runs();
    let expected = serde_json::json!({"value": "first"});
    let mut complaints = 0;
    for name in ["log.redb", "highest_durable"] {
        let file = room.path(".dagmar/live/r/log").join(name);
        let complained = std::cell::Cell::new(0);
        flip_all_over(&file, |what| {
            let show = room.dagmar(&["show", "r", "-o", "json"]);
            if is_truth(&show, what) {
                assert_eq!(outputs(&show, what), expected, "{what}");
                return;
            }
            complained.set(complained.get() + 1);
            let resume = room.dagmar(&["resume", "r"]);
            assert!(!is_truth(&resume, what), "{what}: {resume:?}");
        });
        complaints += complained.get();
    }
    assert!(complaints > 0, "no damage was seen");
    // As it was, it goes on.
    room.write("go", "");
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
}

#[test]
fn a_damaged_archive_is_told_as_that() {
    let room = Room::with(PIPELINE);
    room.write("go", "");
    assert_eq!(room.dagmar(&["run", "--run-id", "r"]).code, Some(0));
    let truth = room.dagmar(&["show", "r", "-o", "json"]);
    let archive = room.path(".dagmar/runs/r/0");
    for file in files(&archive) {
        let is_output = file.parent().is_some_and(|parent| parent.ends_with("logs"));
        flip_all_over(&file, |what| {
            if is_output {
                let logs = room.dagmar(&["logs", "r/one"]);
                assert!(!logs.err.contains("panicked"), "{what}: {}", logs.err);
                let is_whole = logs.out == "said by one\n";
                assert!(is_whole || logs.code != Some(0), "{what}: {logs:?}");
            } else {
                let show = room.dagmar(&["show", "r", "-o", "json"]);
                assert!(!show.err.contains("panicked"), "{what}: {}", show.err);
                assert!(show.out == truth.out || show.code == Some(1), "{what}: {show:?}");
            }
        });
    }
    assert_eq!(room.dagmar(&["show", "r", "-o", "json"]).out, truth.out);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}
