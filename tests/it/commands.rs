//! Commands of other terminals on live runs: they look, follow, ask why, and cancel.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::Signal;

use crate::room::{Room, TWO_STEPS, until};

/// Who owns nothing.
const NOBODY: u32 = 65_534;

const TALKER: &str = "
steps:
  talk:
    command: |
      echo first line
      until [ -e go ]; do sleep 0.01; done
      echo last line
  after: {needs: [talk], command: 'echo done'}
";

#[test]
fn two_runs_in_one_directory_are_seen_and_cancelled_apart() {
    let room = Room::with(TALKER);
    let (one, other) = (room.begin("one"), room.begin("other"));
    let ls = room.dagmar(&["ls"]);
    assert_eq!(ls.code, Some(0), "{}", ls.err);
    assert_eq!(ls.out.matches("● running").count(), 2, "{}", ls.out);
    let rows = room.dagmar(&["ls", "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&rows.out).expect("stdout is JSON");
    assert!(rows.to_string().contains("\"other\""), "{rows:#}");

    until("the step runs", || {
        let show = room.dagmar(&["show", "one"]);
        assert_eq!(show.code, Some(0), "{}", show.err);
        show.out.contains("talk   ● running").then_some(())
    });
    let record = room.record("one").expect("its owner answers");
    assert_eq!(record["status"], "PROCESSING");
    let why = room.dagmar(&["why", "one/after"]);
    assert_eq!(why.code, Some(0), "{}", why.err);
    assert!(why.out.contains("talk"), "{}", why.out);

    let follower = room.start(&["logs", "-f", "one/talk"]);
    let cancelled = room.dagmar(&["cancel", "other"]);
    assert_eq!((cancelled.code, other.end().code), (Some(0), Some(3)), "{}", cancelled.err);
    let show = room.dagmar(&["show", "other"]);
    assert!(show.out.contains("cancelled"), "{}", show.out);

    room.write("go", "");
    let (followed, done) = (follower.end(), one.end());
    assert_eq!((followed.code, followed.out.as_str()), (Some(0), "first line\nlast line\n"));
    assert_eq!(done.code, Some(0), "{}", done.err);
    room.until_nothing_runs();
    assert_eq!(room.live(), [""; 0]);
}

#[test]
fn a_detached_run_goes_on_by_itself_and_its_host_goes_with_it() {
    let room = Room::with(TALKER);
    let begun = room.dagmar(&["run", "--detach", "--run-id", "d"]);
    assert_eq!((begun.code, begun.out.as_str()), (Some(0), "d\n"), "{}", begun.err);
    assert_eq!(room.processes_of("__host").len(), 1);
    let follower = room.start(&["logs", "-f", "d"]);

    for arguments in [&["run", "--run-id", "d"][..], &["run", "--detach", "--run-id", "d"]] {
        let again = room.dagmar(arguments);
        assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{}", again.err);
        assert_eq!(again.err.matches("error[").count(), 1, "{}", again.err);
        assert!(again.err.contains("E0301"), "{}", again.err);
    }
    room.write("go", "");
    let followed = follower.end();
    assert_eq!(followed.code, Some(0), "{}", followed.err);
    assert_eq!(followed.out, "talk | first line\ntalk | last line\nafter | done\n");
    room.until_nothing_runs();
    assert_eq!(room.record("d").map(|record| record["status"].clone()), Some("SUCCESS".into()));
    let again = room.dagmar(&["run", "--run-id", "d"]);
    assert_eq!(again.code, Some(1), "an archive keeps its name: {}", again.err);
}

#[test]
fn a_host_that_is_killed_leaves_a_run_that_goes_on() {
    let room = Room::with(TALKER);
    assert_eq!(room.dagmar(&["run", "--detach", "--run-id", "d"]).code, Some(0));
    let host = room.processes_of("__host");
    assert_eq!(host.len(), 1);
    crate::room::signal(host[0], Signal::KILL);
    room.until_nothing_runs();
    let ls = room.dagmar(&["ls"]);
    assert!(ls.out.contains("interrupted"), "{}", ls.out);
    let cancel = room.dagmar(&["cancel", "d"]);
    assert_eq!(cancel.code, Some(1), "{}", cancel.err);
    room.write("go", "");
    let resumed = room.dagmar(&["resume", "d"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
}

#[test]
fn problems_are_told_with_their_code_and_stdout_stays_empty() {
    let room = Room::with(TALKER);
    let missing = [
        &["show", "nothing"][..],
        &["show", "nothing", "-o", "json"],
        &["logs", "nothing"],
        &["cancel", "nothing"],
        &["why", "nothing"],
        &["resume", "nothing"],
    ];
    for arguments in missing {
        let said = room.dagmar(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(7), ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains("nothing"), "{arguments:?}: {}", said.err);
    }
    let usage = room.dagmar(&["run", "--run-id", "a/b"]);
    assert_eq!(usage.code, Some(2), "{}", usage.err);
    let no_file = Room::new().dagmar(&["run"]);
    assert_eq!(no_file.code, Some(2), "{}", no_file.err);
}

#[test]
fn an_interrupted_run_says_so_and_how_it_goes_on() {
    let room = Room::with(TALKER);
    let owner = room.begin("i");
    until("the step has spoken", || {
        let log = room.path(".dagmar/live/i/logs/00000001.log");
        std::fs::metadata(log).is_ok_and(|found| found.len() > 0).then_some(())
    });
    // Its terminal went away.
    owner.signal(Signal::HUP);
    owner.end();
    room.until_nothing_runs();
    let check = |arguments: &[&str], code: i32, parts: &[&str]| {
        let said = room.dagmar(arguments);
        let all = said.out.clone() + &said.err;
        assert_eq!(said.code, Some(code), "{arguments:?}: {all}");
        for part in parts {
            assert!(all.contains(part), "{arguments:?}: no {part:?} in {all}");
        }
    };
    check(&["ls"], 0, &["i    ⏸ interrupted  -  ", "pipeline.yaml", "dagmar resume i"]);
    check(&["ls", "-o", "json"], 0, &["\"counts\": null", "\"INTERRUPTED\""]);
    check(&["show", "i"], 0, &["1 interrupted, 1 waiting", "talk   ⏸ interrupted", "go on"]);
    check(&["logs", "i"], 0, &["talk | first line\n"]);
    check(&["logs", "i/talk"], 0, &["first line\n"]);
    check(&["why", "i"], 0, &["attempt 1 was interrupted", "dagmar resume i"]);
    check(&["why", "i/after"], 0, &["it waits for talk, which was interrupted"]);
    check(&["cancel", "i"], 1, &["E0303", "dagmar resume i"]);
    check(&["logs", "i/nobody"], 7, &["i has no step nobody", "try: dagmar show i"]);
    check(&["why", "i/nobody"], 7, &["i has no step nobody"]);
    check(&["show", "i/talk:7"], 7, &["i/talk has no attempt 7"]);
    check(&["logs", "i/talk:7"], 7, &["i/talk has no attempt 7"]);
    check(&["resume", "i/talk"], 2, &["try: dagmar resume i"]);
    // Who signed is a hint; what was acknowledged is not lost with it.
    room.remove(".dagmar/live/i/owner.json");
    room.write("go", "");
    check(&["resume", "i"], 0, &["✓ i done in"]);
    check(&["resume", "i"], 1, &["E0302", "dagmar show i"]);
    check(&["cancel", "i"], 1, &["E0302", "i has ended: done"]);
}

#[test]
fn a_log_without_a_run_is_told_and_gone() {
    let room = Room::with("steps:\n  one: {command: 'true'}\n");
    for verb in ["show", "logs", "why", "cancel", "resume"] {
        // What a kill leaves while a large graph is on its way: a log, and no run in it.
        std::fs::create_dir_all(room.path(".dagmar/live/r")).expect("it can be made");
        let log = room.path(".dagmar/live/r/log");
        dagmar_coordinator::store::time_commits(&log, 0, 0).expect("a log can be written");
        let said = room.dagmar(&[verb, "r"]);
        assert_eq!((said.code, said.out.as_str()), (Some(7), ""), "{verb}: {}", said.err);
        for part in ["E0702", "r was never accepted", "try: dagmar run FILE --run-id r"] {
            assert!(said.err.contains(part), "{verb}: no {part:?} in {}", said.err);
        }
        assert_eq!(room.live(), [""; 0], "{verb}");
        room.until_nothing_runs();
    }
    let run = room.dagmar(&["run", "--run-id", "r"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
}

#[test]
fn an_owner_that_is_stopped_keeps_nobody_waiting() {
    let room = Room::with(TALKER);
    let owner = room.begin("s");
    until("it is signed", || room.path(".dagmar/live/s/owner.json").exists().then_some(()));
    owner.signal(Signal::STOP);
    let ls = room.dagmar(&["ls"]);
    assert_eq!(ls.code, Some(0), "{}", ls.err);
    assert!(ls.out.contains("s    ● running") && ls.err.contains("stopped"), "{ls:?}");
    let show = room.dagmar(&["show", "s"]);
    assert_eq!((show.code, show.out.as_str()), (Some(5), ""), "{}", show.err);
    assert!(show.err.contains("kill -CONT"), "{}", show.err);
    owner.signal(Signal::CONT);
    room.write("go", "");
    let done = owner.end();
    assert_eq!(done.code, Some(0), "{}", done.err);
}

/// Its owner is healthy, and nothing to kill.
#[test]
fn a_run_of_another_user_is_told_so() {
    if !rustix::process::geteuid().is_root() {
        println!("-- SKIPPED: only root can be two users");
        return;
    }
    let room = Room::with(TWO_STEPS);
    let owner = room.begin("r");
    let program = room.path("program");
    fs::copy(env!("CARGO_BIN_EXE_test-dagmar"), &program).expect("others can reach it there");
    let mut other = Command::new(&program);
    other.args(["cancel", "r"]).current_dir(room.path("")).uid(NOBODY).gid(NOBODY);
    let said = match other.env("XDG_RUNTIME_DIR", room.path("run")).output() {
        Ok(said) => said,
        Err(error) => {
            println!("-- SKIPPED: nobody else can start a program here: {error}");
            return;
        }
    };
    let error = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(4), "{error}");
    assert!(error.contains("E0401") && !error.contains("kill"), "{error}");
    room.write("go", "");
    assert_eq!(owner.end().code, Some(0), "it is not cancelled");
}
