//! What an entry, a name or a worker that misbehaves may not use up.

use dagmar_common::graph::Graph;
use dagmar_common::ids::RunId;
use dagmar_common::lease::Returned;
use dagmar_common::limits::{ENTRY_UNITS_MAX, NOT_STARTED_WAITS, RUN_ID_BYTES_MAX};
use dagmar_common::time::Span;

use super::drawing::{graph, task};
use super::world::{WORKER, World, life};
use crate::command::Command;
use crate::effect::{Refusal, Reply};

#[test]
fn entries_full_of_commands_leave_timers_their_turn() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a").attempts(2).backoff(Span::from_secs(1))]), &[]);
    world.fail("a");
    world.time += 1_000_000;
    world.apply(vec![Command::Continue; ENTRY_UNITS_MAX as usize]);
    assert_eq!(world.paths(), ["a"], "its backoff is over");
}

#[test]
fn a_lease_whose_start_fails_at_once_is_not_granted_again_at_once() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a")]), &[]);
    let first = world.fence("a");
    world.give_back(first);
    assert!(world.paths().is_empty(), "it waits");
    world.time += NOT_STARTED_WAITS.0;
    world.apply(vec![Command::Continue]);
    assert_ne!(world.fence("a"), first);
    world.succeed("a", &[]);
    assert_eq!(world.ended.len(), 1);
}

/// What had begun and is gone says nothing of its host: another may take it now.
#[test]
fn a_lease_that_had_begun_is_granted_again_at_once() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a")]), &[]);
    let first = world.fence("a");
    world.running.clear();
    let returned = vec![Returned { fence: first, started: true }];
    world.apply(vec![Command::Returned { worker: WORKER, incarnation: life(1), returned }]);
    assert_ne!(world.fence("a"), first);
}

fn submit(world: &mut World, graph: &Graph, run: &str, generated: bool) -> Reply {
    let mut submit = world.submission(run, graph, &[]);
    submit.generated = generated;
    world.apply(vec![Command::Submit(submit)]).remove(0)
}

#[test]
fn a_generated_name_is_looked_for_within_bounds() {
    let mut world = World::new(1);
    let graph = graph(&[task("a")]);
    let mut names = Vec::new();
    for _ in 0..200 {
        let Reply::Submitted { run, .. } = submit(&mut world, &graph, "dawn", true) else {
            panic!("a generated name that is taken gets a suffix");
        };
        names.push(run.to_string());
    }
    assert_eq!(names[..3], ["dawn", "dawn-2", "dawn-3"]);
    assert_eq!(names[199], "dawn-200", "after many the run's own number");
    let long = "n".repeat(RUN_ID_BYTES_MAX);
    submit(&mut world, &graph, &long, true);
    let refused = Reply::Refused(Refusal::RunIdTaken { run: RunId::new(&long) });
    assert_eq!(submit(&mut world, &graph, &long, true), refused, "a suffix makes it too long");
}
