//! What waits for cpus at the supervisor: it begins in its turn, or never where it is taken back.

use std::time::Duration;

use dagmar_common::ids::Fence;
use dagmar_common::lease::Ending;
use dagmar_common::time::Span;

use crate::world::{World, limited, script};

pub fn no_more_run_at_once_than_there_are_cpus() {
    let mut world = World::of_cpus(2_000, |_| ());
    let text = "touch on.$DAGMAR_FENCE; ls -d on.* | wc -l; sleep 0.02; rm on.$DAGMAR_FENCE";
    let starts: Vec<_> = (1..=12).map(|fence| script(fence, text)).collect();
    world.run(&starts);
    for fence in 1..=12 {
        let outcome = world.outcome(fence);
        let log = world.log(&outcome);
        let beside: usize = log[0].trim().parse().unwrap_or_else(|_| panic!("{log:?}"));
        assert!((1..=2).contains(&beside), "{beside} ran at once");
    }
}

pub fn what_waits_begins_in_its_turn() {
    let mut world = World::of_cpus(1_000, |_| ());
    // As one batch, and the last ones later.
    let starts: Vec<_> = (1..=20).map(|fence| script(fence, "echo $DAGMAR_FENCE >> ran")).collect();
    world.run(&starts[..15]);
    world.run(&starts[15..]);
    let outcomes: Vec<_> = (1..=20).map(|fence| world.outcome(fence)).collect();
    assert!(outcomes.is_sorted_by_key(|outcome| outcome.began), "{outcomes:?}");
    let expected: String = (1..=20).map(|fence| format!("{fence}\n")).collect();
    assert_eq!(std::fs::read_to_string(world.file("ran")).unwrap(), expected);
}

pub fn what_waits_is_taken_back_and_its_time_does_not_run() {
    let mut world = World::of_cpus(1_000, |_| ());
    world.run(&[
        script(1, "sleep 1000"),
        script(2, "touch ran"),
        script(3, "touch ran"),
        limited(script(4, "true"), Span::from_millis(500)),
    ]);
    world.begun(1);
    world.executor().cancel(&[Fence(2)]);
    world.executor().kill(&[Fence(3)]);
    assert!(!world.returned(2) && !world.returned(3));
    // Longer than the limit of the one that waits: it has not begun.
    std::thread::sleep(Duration::from_millis(700));
    world.executor().cancel(&[Fence(1)]);
    assert_eq!(world.outcome(1).ending, Ending::Cancelled);
    assert_eq!(world.outcome(4).ending, Ending::Succeeded);
    assert!(!world.file("ran").exists());
    world.nobody_is_left();
}

pub fn a_shutdown_begins_nothing_that_waits() {
    let mut world = World::of_cpus(1_000, |_| ());
    world.run(&[script(1, "sleep 1000"), script(2, "touch ran"), script(3, "touch ran")]);
    world.begun(1);
    world.executor().shut_down();
    assert!(world.returned(1));
    assert!(!world.returned(2) && !world.returned(3));
    assert!(!world.file("ran").exists());
    world.nobody_is_left();
}
