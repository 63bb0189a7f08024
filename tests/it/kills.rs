//! Owners and supervisors that are killed: nothing runs on without them, and nothing is lost.

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::room::{Room, Working, signal, until};

/// Kills of one run's owner, each at another moment of its life.
const ROUNDS: u64 = 12;

/// A chain, and beside it a map; each step says in `ran` that it begins.
const STEPS: &str = "
parameters:
  items: [a, b, c]
steps:
  one: {command: 'echo one >> ran; sleep 0.03'}
  two: {needs: [one], command: 'echo two >> ran; sleep 0.03'}
  many:
    type: map
    needs: [one]
    iterate_on: items
    iterate_as: item
    branch:
      steps:
        work: {command: 'echo many.$item >> ran; sleep 0.03'}
  three: {needs: [two, many], command: 'echo three >> ran; sleep 0.03'}
  four: {needs: [three], command: 'echo four >> ran'}
";
const ALL: [&str; 7] = ["one", "two", "many.a", "many.b", "many.c", "three", "four"];

#[test]
fn an_owner_that_is_killed_at_any_moment_loses_nothing() {
    for round in 0..ROUNDS {
        let room = Room::with(STEPS);
        let mut owner = room.start(&["run", "--run-id", "r"]);
        // Twice: the run, and what goes on with it.
        for moment in [round * 20 + 5, round * 13 % 100 + 10] {
            std::thread::sleep(std::time::Duration::from_millis(moment));
            owner.signal(Signal::KILL);
            owner.end();
            room.until_nothing_runs();
            check_finished(&room, round);
            owner = room.start(&["resume", "r"]);
        }
        let resumed = owner.end();
        check_end(&room, round, resumed.code, &resumed.err);
    }
}

/// Notes how often each step that has ended by now was begun: a step that a kill interrupted was
/// begun before. That it is begun no more is seen at the end.
fn check_finished(room: &Room, round: u64) {
    let mut finished = Vec::new();
    if let Some(record) = room.record("r") {
        for (name, step) in steps(&record) {
            if step["status"] == "SUCCESS" {
                finished.push(name);
            }
        }
    }
    let ran = room.read("ran");
    let mut known = room.read("finished");
    for name in &finished {
        let begun = times(&ran, name);
        assert!(begun >= 1, "round {round}: {name} is recorded; ran:\n{ran}");
        known.push_str(&format!("{name} {begun}\n"));
    }
    room.write("finished", &known);
}

fn check_end(room: &Room, round: u64, code: Option<i32>, err: &str) {
    if room.record("r").is_none() {
        // Killed before anything was acknowledged: there is no such run, and its name is free.
        assert_eq!(code, Some(7), "round {round}: {err}");
        assert_eq!(room.read("ran"), "", "round {round}");
        let again = room.dagmar(&["run", "--run-id", "r"]);
        assert_eq!(again.code, Some(0), "round {round}: {}", again.err);
    } else if code != Some(0) {
        // It had ended before the last kill, and its archive was there.
        assert!(err.contains("E0302"), "round {round}: {code:?} {err}");
    }
    let record = room.record("r").expect("it has ended");
    assert_eq!(record["status"], "SUCCESS", "round {round}: {err}");
    let (ran, finished) = (room.read("ran"), room.read("finished"));
    for name in ALL {
        let begun = times(&ran, name);
        assert!(begun >= 1, "round {round}: {name} never ran");
        let noted = finished.lines().filter_map(|line| line.rsplit_once(' '));
        for (_, before) in noted.filter(|(noted, _)| *noted == name) {
            assert_eq!(before, begun.to_string(), "round {round}: {name} ran again:\n{ran}");
        }
    }
    for (name, step) in steps(&record) {
        let attempts = step["attempts"].as_array().expect("it was tried");
        let told = attempts.iter().filter(|one| one["status"] != "CANCELLED").count();
        let begun = times(&ran, &name);
        assert!(told >= begun, "round {round}: {name} began {begun} times: {attempts:?}\n{ran}");
    }
    assert_eq!(room.live(), [""; 0], "round {round}");
    room.until_nothing_runs();
}

fn times(ran: &str, name: &str) -> usize {
    ran.lines().filter(|line| *line == name).count()
}

/// The leaves of a run log under the names that they write.
fn steps(record: &Json) -> Vec<(String, &Json)> {
    let mut found = Vec::new();
    for (name, step) in record["steps"].as_object().into_iter().flatten() {
        if step["step_type"] != "map" {
            found.push((name.clone(), step));
        }
        for (_, branch) in step["branches"].as_object().into_iter().flatten() {
            let item = branch["label"].as_str().unwrap_or_default();
            let inner = branch["steps"].as_object().into_iter().flatten();
            found.extend(inner.map(|(_, step)| (format!("{name}.{item}"), step)));
        }
    }
    found
}

const HELD: &str = "
steps:
  hold:
    command: |
      echo hold >> ran
      until [ -e go ]; do sleep 0.01; done
      echo held
  after: {needs: [hold], command: 'echo after >> ran'}
";

fn begin_held(room: &Room) -> Working {
    let owner = room.begin("r");
    until("the step runs", || (room.read("ran") == "hold\n").then_some(()));
    owner
}

#[test]
fn a_step_whose_supervisor_is_killed_runs_again() {
    let room = Room::with(HELD);
    let owner = begin_held(&room);
    let supervisors = room.processes_of("__supervisor");
    assert_eq!(supervisors.len(), 1);
    signal(supervisors[0], Signal::KILL);
    until("it runs again", || (room.read("ran") == "hold\nhold\n").then_some(()));
    room.write("go", "");
    let done = owner.end();
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(room.read("ran"), "hold\nhold\nafter\n");
    let record = room.record("r").expect("it has ended");
    check_attempts(&record, "hold", &[("LOST", 1), ("SUCCESS", 1)]);
    let told = room.dagmar(&["logs", "r/hold"]);
    assert_eq!(told.out, "held\n", "{}", told.err);
    let shown = room.dagmar(&["show", "r"]);
    assert!(shown.out.contains("lost once"), "{}", shown.out);
    room.until_nothing_runs();
    let notices = done.err.matches("the supervisor process died").count();
    assert_eq!(notices, 1, "{}", done.err);
}

#[test]
fn a_failure_before_a_lost_attempt_is_told_once() {
    let failing = HELD
        .replace("  hold:\n", "  hold:\n    max_attempts: 3\n")
        .replace("hold >> ran\n", "hold >> ran; [ -e failed ] || { touch failed; exit 4; }\n");
    let room = Room::with(&failing);
    let owner = room.begin("r");
    until("it is tried again", || (room.read("ran") == "hold\nhold\n").then_some(()));
    signal(room.processes_of("__supervisor")[0], Signal::KILL);
    until("it runs again", || (room.read("ran") == "hold\n".repeat(3)).then_some(()));
    room.write("go", "");
    let done = owner.end();
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.err.matches(" hold:1 FAILED ").count(), 1, "{}", done.err);
}

#[test]
fn what_ran_when_its_owner_was_killed_is_told_as_lost() {
    let room = Room::with(HELD);
    let mut owner = begin_held(&room);
    for life in 2..4 {
        owner.signal(Signal::KILL);
        owner.end();
        room.until_nothing_runs();
        owner = room.start(&["resume", "r"]);
        let lines = "hold\n".repeat(life);
        until("it runs again", || (room.read("ran") == lines).then_some(()));
    }
    room.write("go", "");
    let done = owner.end();
    assert_eq!(done.code, Some(0), "{}", done.err);
    let record = room.record("r").expect("it has ended");
    check_attempts(&record, "hold", &[("LOST", 1), ("LOST", 1), ("SUCCESS", 1)]);
    check_attempts(&record, "after", &[("SUCCESS", 1)]);
    assert!(room.dagmar(&["show", "r"]).out.contains("lost 2 times"));
}

/// Status and number of each attempt, the oldest first.
fn check_attempts(record: &Json, step: &str, expected: &[(&str, u64)]) {
    let attempts = record["steps"][step]["attempts"].as_array().expect("it was tried");
    let found: Vec<_> = attempts
        .iter()
        .map(|one| (one["status"].as_str().unwrap_or(""), one["attempt_number"].as_u64()))
        .collect();
    let expected: Vec<_> = expected.iter().map(|(word, number)| (*word, Some(*number))).collect();
    assert_eq!(found, expected, "{step}: {attempts:?}");
}

#[test]
fn a_first_interrupt_cancels_and_leaves_an_archive() {
    let room = Room::with(HELD);
    let owner = begin_held(&room);
    owner.signal(Signal::INT);
    let done = owner.end();
    assert_eq!(done.code, Some(3), "{}", done.err);
    check_cancelled(&room);
}

#[test]
fn a_second_interrupt_kills_and_the_end_is_recorded_later() {
    // It would take its grace to give way to the first one.
    let stubborn = HELD.replace("echo hold >>", "trap '' TERM; echo hold >>");
    let room = Room::with(&stubborn);
    let mut owner = begin_held(&room);
    owner.signal(Signal::INT);
    until("the cancel is durable", || {
        room.dagmar(&["show", "r"]).out.contains("cancel").then_some(())
    });
    assert!(!owner.has_ended(), "the step gave way");
    owner.signal(Signal::INT);
    let done = owner.end();
    assert!(done.code.is_some_and(|code| code != 0), "{done:?}");
    assert!(done.err.contains("dagmar resume r"), "{}", done.err);
    room.until_nothing_runs();
    assert_eq!(room.live(), ["r"]);
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(3), "{}", resumed.err);
    check_cancelled(&room);
}

fn check_cancelled(room: &Room) {
    assert_eq!(room.read("ran"), "hold\n");
    assert_eq!(room.live(), [""; 0]);
    room.until_nothing_runs();
    let record = room.record("r").expect("there is an archive");
    assert_eq!(record["status"], "CANCELLED");
    assert_eq!(record["steps"]["hold"]["status"], "CANCELLED");
    assert_eq!(record["steps"]["after"]["message"], "upstream cancelled: hold");
}
