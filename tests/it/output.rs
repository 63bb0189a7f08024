//! What steps write, as their readers meet it: live, so far, cut off, and after a loss.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::room::{Room, signal, until};

/// Two steps side by side; each says something, then waits, then says another thing.
const TWO: &str = "
steps:
  a: {command: 'echo a begins; until [ -e go ]; do sleep 0.01; done; echo a ends'}
  b: {command: 'echo b begins; until [ -e go ]; do sleep 0.01; done; echo b ends'}
";

/// A reader that follows, and what it has printed so far.
struct Follower {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    fn of(room: &Room, arguments: &[&str]) -> Follower {
        let mut command = room.command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().expect("its stdout is ours");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                seen.lock().expect("nobody panics with it").push(line);
            }
        });
        Follower { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    #[track_caller]
    fn until(&self, line: &str) {
        until(line, || self.lines().iter().any(|seen| seen == line).then_some(()));
    }

    fn end(mut self) -> Vec<String> {
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "{status}");
        let done = || (Arc::strong_count(&self.lines) == 1).then_some(());
        until("its last line is read", done);
        self.lines()
    }
}

#[test]
fn steps_side_by_side_are_followed_side_by_side() {
    let room = Room::with(TWO);
    let owner = room.begin("r");
    let follower = Follower::of(&room, &["logs", "-f", "r"]);
    follower.until("a | a begins");
    follower.until("b | b begins");
    for (what, said) in [("r", "a | a begins\nb | b begins\n"), ("r/b", "b begins\n")] {
        let logs = room.dagmar(&["logs", what]);
        assert_eq!((logs.out.as_str(), logs.code), (said, Some(0)), "so far");
    }
    room.write("go", "");
    assert_eq!(owner.end().code, Some(0));
    let mut lines = follower.end();
    lines.sort();
    assert_eq!(lines, ["a | a begins", "a | a ends", "b | b begins", "b | b ends"]);
}

/// Says more and more until it may end, the first time and every time.
const TALKS: &str = "
steps:
  talks:
    command: |
      n=0
      until [ -e go ]; do n=$((n+1)); echo \"$DAGMAR_FENCE says $n\"; sleep 0.01; done
";

#[test]
fn a_lost_attempt_and_the_next_one_are_told_in_order_and_once() {
    let room = Room::with(TALKS);
    let owner = room.begin("r");
    let follower = Follower::of(&room, &["logs", "-f", "r"]);
    let says = |at_least| {
        until("it talks", || (follower.lines().len() >= at_least).then_some(()));
    };
    says(10);
    let supervisors = room.processes_of("__supervisor");
    supervisors.into_iter().for_each(|pid| signal(pid, Signal::KILL));
    until("the loss is told", || {
        follower.lines().iter().any(|line| line.starts_with("talks ! cut off")).then_some(())
    });
    says(follower.lines().len() + 10);
    room.write("go", "");
    assert_eq!(owner.end().code, Some(0));
    check_once(&follower.end());
    check_once(&room.dagmar(&["logs", "r"]).out.lines().map(str::to_owned).collect::<Vec<_>>());
}

/// Each attempt from its first word on, without a gap, and only the first of them cut off.
#[track_caller]
fn check_once(lines: &[String]) {
    let (mut fences, mut cuts, mut next) = (Vec::new(), 0, 1);
    for line in lines {
        if line.starts_with("talks ! ") {
            cuts += 1;
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let ["talks", "|", fence, "says", number] = words[..] else { panic!("{line:?}") };
        if fences.last() != Some(&fence) {
            fences.push(fence);
            next = 1;
        }
        assert_eq!(number.parse(), Ok(next), "{lines:#?}");
        next += 1;
    }
    assert_eq!((fences.len(), cuts), (2, 1), "{lines:#?}");
}

#[test]
fn what_a_killed_owner_had_kept_is_shown_before_and_after_it_goes_on() {
    let room = Room::with(TWO);
    let owner = room.begin("r");
    let follower = Follower::of(&room, &["logs", "-f", "r/a"]);
    follower.until("a begins");
    // Kept once a second.
    let segments = || room.names(".dagmar/live/r/logs");
    let kept =
        || segments().iter().any(|one| !room.read_bytes(".dagmar/live/r/logs", one).is_empty());
    until("its words are kept", || kept().then_some(()));
    owner.signal(Signal::KILL);
    owner.end();
    room.until_nothing_runs();
    let logs = room.dagmar(&["logs", "r/a"]);
    assert_eq!((logs.out.as_str(), logs.code), ("a begins\n", Some(0)));
    assert!(logs.err.contains("warning: a: cut off"), "{}", logs.err);
    let length = |record: &serde_json::Value| {
        record["steps"]["a"]["attempts"][0]["log"]["length"].as_u64().unwrap_or(0)
    };
    let so_far = room.record("r").expect("it is interrupted");
    assert!(length(&so_far) > 0, "{so_far:#}");
    room.write("go", "");
    assert_eq!(room.dagmar(&["resume", "r"]).code, Some(0));
    let record = room.record("r").expect("it has ended");
    let attempts = &record["steps"]["a"]["attempts"];
    assert_eq!(
        (&attempts[0]["status"], &attempts[1]["status"]),
        (&"LOST".into(), &"SUCCESS".into())
    );
    assert!(attempts[0]["log"]["length"].as_u64() > Some(0), "{attempts:#}");
    let logs = room.dagmar(&["logs", "r/a"]);
    assert_eq!(logs.out, "a begins\na begins\na ends\n");
    let named = room.dagmar(&["logs", "r/a:1"]);
    assert_eq!(named.out, "a begins\na ends\n", "what counts, not what was lost");
    let shown = room.dagmar(&["show", "r/a:1", "-o", "json"]);
    assert!(!shown.out.contains("LOST"), "{}", shown.out);
}
