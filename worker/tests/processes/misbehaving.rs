//! Tasks that fork, hide, hold, flood, refuse and break things: each ends, bounded, and alone.

use dagmar_common::ids::Fence;
use dagmar_common::lease::{Ending, ExitReason};
use dagmar_common::limits::LOG_BYTES_MAX;
use dagmar_common::time::Span;

use crate::world::{World, eventually, limited, runs, script, words};

fn impatient() -> World {
    World::with(|config| config.grace = Span::from_millis(200))
}

pub fn whoever_ignores_term_is_killed() {
    let mut world = impatient();
    let deaf = "trap '' TERM; touch up; while :; do sleep 0.05; done";
    world.run(&[script(1, deaf), limited(script(2, deaf), Span::from_millis(300))]);
    let up = world.file("up");
    eventually("it is up", || up.exists());
    world.executor().cancel(&[Fence(1)]);
    assert_eq!(world.outcome(1).ending, Ending::Cancelled);
    assert_eq!(world.outcome(2).ending, Ending::Failed(ExitReason::TimeLimit));
    // One that is stopped hears no TERM, and one that is killed makes no outcome.
    world.run(&[script(3, "kill -STOP $$"), script(4, "sleep 1000")]);
    world.begun(3);
    world.begun(4);
    world.executor().cancel(&[Fence(3)]);
    world.executor().kill(&[Fence(4)]);
    assert_eq!(world.outcome(3).ending, Ending::Cancelled);
    assert!(world.returned(4));
    world.nobody_is_left();
}

/// In its group, in a session of its own, orphaned twice, deaf: gone before the outcome is told.
pub fn nobody_outlives_its_trial() {
    let mut world = World::new();
    let mut neighbour = 0;
    world.run(&[script(1, "(setsid sleep 1000 &) ; touch there; sleep 1000")]);
    let there = world.file("there");
    eventually("the neighbour's orphan is there", || {
        neighbour = world.alive().len();
        there.exists() && neighbour == 3
    });
    for (fence, text) in [
        (2, "sleep 1000 >/dev/null 2>&1 & echo done"),
        (3, "setsid sleep 1000 >/dev/null 2>&1 & sleep 0.05"),
        (4, "setsid sh -c 'trap \"\" TERM HUP; (sleep 1000; true) & wait' & sleep 0.05; exit 3"),
        (5, "(setsid sh -c '(setsid sleep 1000 &); sleep 1000' &) ; sleep 0.05"),
    ] {
        let outcome = world.script(fence, text);
        assert!(!matches!(outcome.ending, Ending::Cancelled));
        assert_eq!(world.alive().len(), neighbour, "{text}: and the neighbour's go on");
    }
    world.executor().kill(&[Fence(1)]);
    assert!(world.returned(1));
    assert_eq!(world.alive(), [0_u32; 0]);
    // One that threw away its marks too is known from nobody's, and goes with the last.
    world.script(6, "env -i setsid sleep 987654 & sleep 0.05");
    eventually("the nameless one is gone", || !runs("sleep\0987654\0"));
}

pub fn a_held_pipe_holds_up_nothing() {
    let mut world = World::new();
    let outcome = world.script(1, "setsid sleep 1000 & sleep 1000 & echo said");
    assert_eq!(outcome.ending, Ending::Succeeded);
    assert_eq!(world.log(&outcome)[0], "said\n");
    assert!(outcome.took < Span::from_secs(500));
    // One that writes for ever behind its leader.
    let outcome = world.script(2, "(while :; do echo more; done) & sleep 0.05; exit 4");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::Code(4)));
    world.nobody_is_left();
}

/// The last words of a `>(tee log)`, which outlives the shell that it belongs to.
pub fn a_reader_of_its_output_may_finish() {
    let mut world = World::new();
    let outcome = world.script(1, "(sleep 0.1; echo last words) & echo first");
    assert_eq!(world.log(&outcome)[0], "first\nlast words\n");
    assert_eq!(outcome.ending, Ending::Succeeded);
}

pub fn too_much_output_is_counted() {
    let mut world = World::new();
    let extra = 16 << 20;
    let all = LOG_BYTES_MAX + extra;
    // One line of it, and stderr beside it.
    world.run(&[
        script(1, &format!("head -c {all} /dev/zero; echo end >&2; exit 1")),
        script(2, "i=0; while [ $i -lt 100000 ]; do echo $i; i=$((i+1)); done"),
    ]);
    let outcome = world.outcome(1);
    let place = outcome.log.unwrap();
    assert_eq!(place.dropped, extra);
    assert!(place.length > LOG_BYTES_MAX);
    let [stdout, stderr] = world.log(&outcome);
    assert_eq!((stdout.len() as u64, stderr.as_str()), (LOG_BYTES_MAX, "end\n"));
    assert_eq!(&*outcome.last_lines, "end", "whole lines only");
    let outcome = world.outcome(2);
    let [stdout, _] = world.log(&outcome);
    let lines: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    assert!(stdout == lines, "{} bytes of {}", stdout.len(), lines.len());
}

pub fn closed_streams_are_fine() {
    let mut world = World::new();
    let outcome = world.script(1, "exec >&- 2>&-; sleep 0.1; exit 3");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::Code(3)));
    assert!(outcome.took >= Span::from_millis(100), "its end counts, not that of its streams");
    // Written in pieces of no size that anybody expects, also none.
    world.run(&[words(2, &["printf", "\\0\\377\\r\\033[31m\\n\\0"])]);
    let outcome = world.outcome(2);
    assert_eq!(world.log(&outcome)[0], "\0\u{fffd}\r\u{1b}[31m\n\0");
}

pub fn its_directory_may_vanish() {
    let mut world = World::new();
    let outcome = world.script(1, "rm -rf ../here; mkfifo $DAGMAR_OUTPUT; echo still here");
    assert_eq!(world.log(&outcome)[0], "still here\n");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::BadOutput));
    let outcome = world.script(2, "true");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::NotStarted(2)));
}

/// Bounded, for the machine is shared; in groups of their own, for one group dies at once.
pub fn a_fork_bomb_is_ended() {
    let mut world = impatient();
    let bomb = "f() { [ $1 -gt 6 ] || { setsid sh -c \"$body\" sh $(($1+1)) & \
                setsid sh -c \"$body\" sh $(($1+1)) & }; }; ";
    let body = format!("{bomb} f $1; trap '' TERM; sleep 1000");
    let mut start = script(1, &format!("export body; touch up; {bomb} f 1; sleep 1000"));
    start.scope = crate::world::scope(&[("body", &serde_json::to_string(&body).unwrap())]);
    world.run(&[start]);
    let up = world.file("up");
    eventually("it grows", || up.exists() && world.alive().len() > 20);
    world.executor().cancel(&[Fence(1)]);
    assert_eq!(world.outcome(1).ending, Ending::Cancelled);
    world.nobody_is_left();
}
