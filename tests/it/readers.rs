//! Readers of runs that nobody works on: they share, and keep nobody from going on.

use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::room::{Room, until};

/// More than a pipe holds, and more than the reader of it takes at once.
const LOUD: &str = "
steps:
  loud: {command: 'seq 100000'}
  last: {needs: [loud], command: 'echo begun >> ran; until [ -e go ]; do sleep 0.01; done'}
";
const READERS: usize = 6;

/// A run in the middle of its last step, its owner killed.
fn interrupted(room: &Room) {
    let owner = room.begin("r");
    until("its last step begins", || (!room.read("ran").is_empty()).then_some(()));
    owner.signal(Signal::KILL);
    owner.end();
    room.until_nothing_runs();
}

/// Reads the output of the run, and waits since nobody takes what it prints.
fn slow_reader(room: &Room) -> Child {
    let mut reader = room.command(&["logs", "r"]);
    let mut reader = reader.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut first = [0; 16];
    let out = reader.stdout.as_mut().expect("its stdout is ours");
    std::io::Read::read_exact(out, &mut first).expect("it prints what was said");
    assert!(first.starts_with(b"loud | 1\n"), "{first:?}");
    reader
}

#[test]
fn readers_of_an_interrupted_run_disturb_neither_each_other_nor_who_goes_on() {
    let room = Room::with(LOUD);
    interrupted(&room);
    let mut slow = slow_reader(&room);
    let ls = room.dagmar(&["ls", "-o", "json"]);
    let listed: Json = serde_json::from_str(&ls.out).expect("stdout is JSON");
    assert_eq!(listed[0]["status"], "INTERRUPTED", "{listed}");
    let others: Vec<_> = (0..READERS).map(|_| room.start(&["show", "r"])).collect();
    for other in others {
        let said = other.end();
        assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
        assert!(said.out.contains("interrupted"), "{}", said.out);
    }
    room.write("go", "");
    let resumed = room.dagmar(&["resume", "r"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    slow.kill().expect("it is ours");
    slow.wait().expect("it is ours");
}
