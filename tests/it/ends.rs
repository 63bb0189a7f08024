//! Owners that die between a run's end and the last of what it leaves: every end is shown after.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::room::{Room, TWO_STEPS, until};

const PIPELINE: &str = "
steps:
  one: {command: 'echo one >> ran; echo value=first >> $DAGMAR_OUTPUT'}
  two:
    needs: [one]
    command: |
      until [ -e go ]; do sleep 0.01; done
      echo two >> ran
      echo said by two
";
/// Kills at each step of the end; the moment is the scheduler's, so more see more.
const KILLS: usize = 3;

/// The end of run `r` is there, and stays; what is left of it goes away, and nothing runs again.
#[track_caller]
fn check(room: &Room, what: &str) {
    let has_archive = room.path(".dagmar/runs/r/0").exists();
    let shown = room.record("r").unwrap_or_else(|| panic!("{what}: it is lost"));
    // Until its archive is there nobody was told of its end.
    let is_known = shown["status"] == "SUCCESS" || !has_archive;
    assert!(is_known, "{what}: {}", shown["status"]);
    let resumed = room.dagmar(&["resume", "r"]);
    let has_ended = resumed.code == Some(0) || resumed.err.contains("E0302");
    assert!(has_ended, "{what}: {resumed:?}");
    assert_eq!(room.live(), [""; 0], "{what}");
    assert_eq!(room.read("ran"), "one\ntwo\n", "{what}: a step ran again");
    let record = room.record("r").unwrap_or_else(|| panic!("{what}: its end is lost"));
    assert_eq!(record["status"], "SUCCESS", "{what}");
    assert_eq!(record["steps"]["one"]["outputs"]["value"], "first", "{what}");
    assert!(!has_archive || record == shown, "{what}: it is told otherwise");
    let ls = room.dagmar(&["ls"]);
    assert_eq!(ls.code, Some(0), "{what}: {ls:?}");
    let lines = ls.out.lines().filter(|line| line.starts_with("r ")).count();
    assert_eq!(lines, 1, "{what}: {ls:?}");
    assert_eq!(room.dagmar(&["logs", "r/two"]).out, "said by two\n", "{what}");
    room.until_nothing_runs();
}

/// Each step of the end as a crash leaves it, put together from a run that could not be archived
/// at first.
#[test]
fn whatever_of_the_end_is_there_it_is_brought_to_its_end() {
    let room = Room::with(PIPELINE);
    let owner = room.begin("r");
    let dagmar = room.path(".dagmar");
    fs::create_dir_all(dagmar.join("runs")).expect("it can be made");
    fs::write(dagmar.join("runs/r"), "in the way").expect("it can be written");
    room.write("go", "");
    let refused = owner.end();
    assert_eq!(refused.code, Some(1), "it could not be archived: {refused:?}");
    room.until_nothing_runs();
    fs::remove_file(dagmar.join("runs/r")).expect("it is there");
    let (ended, done) = (room.path("ended"), room.path("done"));
    copy(&dagmar, &ended);
    check(&room, "nothing was in the way any more");
    copy(&dagmar, &done);

    let live = |name: &str| copy(&ended.join("live/r"), &dagmar.join("live").join(name));
    let archive = |part: &str, name: &str| {
        copy(&done.join("runs/r/0").join(part), &dagmar.join("runs/r").join(name).join(part));
    };
    let index = |share: usize| {
        let whole = fs::read(done.join("index")).expect("there is an index");
        fs::write(dagmar.join("index"), &whole[..whole.len() * share / 4]).expect("it is written");
    };
    let states: [(&str, &dyn Fn()); 7] = [
        ("nothing of the archive is there", &|| live("r")),
        ("half of the archive is there", &|| {
            live("r");
            archive("segments", ".0.new");
        }),
        ("the archive is there, without its name", &|| {
            live("r");
            archive("", ".0.new");
        }),
        ("the archive is there, and the index does not know", &|| {
            live("r");
            archive("", "0");
        }),
        ("the line of the index is torn", &|| {
            live("r");
            archive("", "0");
            index(2);
        }),
        ("the index knows, and the live directory is there", &|| {
            live("r");
            archive("", "0");
            index(4);
        }),
        ("half of the live directory is gone", &|| {
            live(".ended-r");
            let log = dagmar.join("live/.ended-r/log/log.redb");
            fs::remove_file(log).expect("it is there");
            archive("", "0");
            index(4);
        }),
    ];
    for (what, make) in states {
        fs::remove_dir_all(&dagmar).expect("it can be removed");
        fs::create_dir_all(dagmar.join("live")).expect("it can be made");
        make();
        check(&room, what);
    }
}

/// What whoever looks at the directory sees of the end, one after another.
type Seen = fn(&Room) -> bool;
const END: [(&str, Seen); 4] = [
    ("its archive is being written", |room| room.path(".dagmar/runs/r").exists()),
    ("its archive is there", |room| room.path(".dagmar/runs/r/0").exists()),
    ("the index has a line", |room| !room.read(".dagmar/index").is_empty()),
    ("its live directory goes away", |room| !room.path(".dagmar/live/r").exists()),
];

#[test]
fn an_owner_that_is_killed_at_any_step_of_the_end_loses_none_of_it() {
    for round in 0..KILLS {
        for (what, is_seen) in END {
            let room = Room::with(PIPELINE);
            let mut owner = room.begin("r");
            room.write("go", "");
            // Without a pause: the steps are as short as an fsync.
            while !is_seen(&room) && !owner.has_ended() {}
            owner.signal(Signal::KILL);
            owner.end();
            room.until_nothing_runs();
            check(&room, &format!("round {round}, killed when {what}"));
        }
    }
}

/// No comfort where there is none: the record went with the directory.
#[test]
fn a_run_whose_directory_was_removed_says_that_its_record_is_lost() {
    let room = Room::with(TWO_STEPS);
    let owner = room.begin("r");
    until("the second step runs", || room.path("ran").exists().then_some(()));
    fs::remove_dir_all(room.path(".dagmar")).expect("nothing in it is held");
    room.write("go", "");
    let said = owner.end();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("r SUCCEEDED"), "{said:?}");
    assert!(said.err.contains("somebody removed that directory while r went on"), "{said:?}");
    assert!(!said.err.contains("dagmar resume"), "{said:?}");
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).expect("it can be copied");
        return;
    }
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there").flatten() {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
