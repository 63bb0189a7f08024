//! What a run tells of itself: what runs and what only waits, what never can, and what is inside.

use std::thread::available_parallelism;

use serde_json::Value as Json;

use crate::room::{Room, until};

/// The end of this many that are quick has more granted than can run at once.
const QUICK: usize = 48;

fn many() -> String {
    let items: Vec<usize> = (0..QUICK).collect();
    format!(
        "parameters: {{items: {items:?}}}
steps:
  quick:
    type: map
    iterate_on: items
    iterate_as: x
    branch: {{steps: {{w: {{command: ['true']}}}}}}
  slow:
    type: map
    needs: [quick]
    iterate_on: items
    iterate_as: x
    branch: {{steps: {{w: {{command: 'until [ -e go ]; do sleep 0.01; done'}}}}}}
"
    )
}

/// Items of `slow` at work, and those of them whose attempt has begun.
fn at_work(record: &Json) -> (usize, usize) {
    let none = serde_json::Map::new();
    let branches = record["steps"]["slow"]["branches"].as_object().unwrap_or(&none);
    let steps = branches.iter().map(|(name, branch)| &branch["steps"][format!("{name}.w")]);
    let running: Vec<&Json> = steps.filter(|step| step["status"] == "PROCESSING").collect();
    let begun = running.iter().filter(|step| !step["attempts"][0]["start_time"].is_null());
    (running.len(), begun.count())
}

#[test]
fn only_what_has_begun_is_told_as_running() {
    let room = Room::with(&many());
    let cpus = available_parallelism().map_or(1, usize::from).min(QUICK);
    let owner = room.begin("r");
    let record = until("every cpu is at work", || {
        let record = room.record("r").expect("its owner answers");
        (at_work(&record).0 >= cpus).then_some(record)
    });
    assert_eq!(at_work(&record), (cpus, cpus), "{record:#}");
    assert_eq!(record["counts"]["active"], cpus + 1, "and the map itself: {record:#}");
    let show = room.dagmar(&["show", "r"]);
    assert_eq!(show.out.matches("● running").count(), cpus + 2, "with the run: {}", show.out);
    assert!(show.out.contains(&format!("{} running", cpus + 1)), "{}", show.out);
    room.write("go", "");
    assert_eq!(owner.end().code, Some(0));
}

#[test]
fn what_no_worker_can_run_is_told_at_once() {
    let room = Room::with("steps:\n  fit: {command: 'true', resources: {cpus: 4000}}\n");
    let lint = room.dagmar(&["lint"]);
    assert_eq!((lint.code, lint.err.as_str()), (Some(0), ""), "nothing is wrong with the file");
    let run = room.dagmar(&["run", "--detach", "--run-id", "r"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    for part in ["warning[E0217]: this asks for 4000 cpus", "pipeline.yaml:2:", "ask for "] {
        assert!(run.err.contains(part), "no {part:?} in {}", run.err);
    }
    let why = room.dagmar(&["why", "r/fit"]);
    for part in ["r/fit  no worker can run it: it needs 4000 cpus on one (E0217)", "local: has "] {
        assert!(why.out.contains(part), "no {part:?} in {}", why.out);
    }
    let cancel = room.dagmar(&["cancel", "r"]);
    assert_eq!(cancel.code, Some(0), "{}", cancel.err);
}

#[test]
fn what_happens_inside_is_told_to_whoever_asks() {
    let room = Room::with("steps:\n  one: {command: 'true'}\n");
    let said = |asked: bool, run: &str| {
        let mut command = room.command(&["run", "-q", "--run-id", run]);
        let command = if asked { command.env("DAGMAR_LOG", "debug") } else { &mut command };
        let output = command.output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
        (text(output.stdout), text(output.stderr))
    };
    assert_eq!(said(false, "quiet"), ("quiet\n".to_owned(), String::new()));
    let (out, err) = said(true, "open");
    assert_eq!(out, "open\n");
    let told = [
        "this process owns it",
        "a supervisor is started",
        "a write is durable",
        "an entry is applied",
        "the supervisor is asked to start",
        "a process began",
        "a process ended",
        "its archive is durable",
    ];
    for part in told {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
}
