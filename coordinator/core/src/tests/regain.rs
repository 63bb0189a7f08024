//! Leases that a lost worker gets back: what it holds while its trial waits under that very fence.

use dagmar_common::ids::{Fence, Session, WorkerId, WorkerNo};
use dagmar_common::lease::Ending;
use dagmar_common::limits::{CRASH_LIMIT, LOST_AFTER};
use dagmar_common::record::{AttemptStatus, RunStatus};

use super::drawing::{graph, task};
use super::leases::attempts;
use super::world::{WORKER, World, hello, life};
use crate::command::Command;
use crate::effect::Effect;

/// One worker of two cpus runs `a` and `b`, and is lost.
fn lost() -> World {
    let mut world = World::new(2);
    world.submit(&graph(&[task("a"), task("b")]), &[]);
    assert_eq!(world.paths(), ["a", "b"]);
    is_lost(&mut world, 1);
    world
}

fn is_lost(world: &mut World, session: u64) {
    let (worker, session) = (WORKER, Session(session));
    world.apply(vec![Command::WorkerSuspended { worker, session }]);
    world.time += LOST_AFTER.0;
    let (started, unsent) = (vec![Fence(1)], vec![]);
    world.apply(vec![Command::WorkerLost { worker, started, unsent }]);
    assert_eq!(used(world, 0), (0, 0));
}

/// The lost one is ready again, with these under way; what it is told to kill.
fn is_back(world: &mut World, incarnation: u64, runs: &[u64]) -> Vec<Fence> {
    let regains = runs.iter().copied().map(Fence).collect();
    let (incarnation, session) = (life(incarnation), Session(9));
    world.apply(vec![Command::WorkerReady { worker: WORKER, incarnation, session, regains }]);
    let kills = world.applied.effects.iter().filter_map(|effect| match effect {
        Effect::Kill { fence, .. } => Some(*fence),
        _ => None,
    });
    kills.collect()
}

fn used(world: &World, worker: u32) -> (u32, u64) {
    let view = world.state.worker(WorkerNo(worker)).expect("it is known");
    (view.leases, view.used)
}

#[test]
fn what_it_holds_goes_on_under_its_fence() {
    let mut world = lost();
    let (a, b) = (world.fence("a"), world.fence("b"));
    assert_eq!(is_back(&mut world, 1, &[a.0, b.0]), []);
    assert_eq!((used(&world, 0), world.fence("a"), world.fence("b")), ((2, 2_000), a, b));
    world.play(&[], &[]);
    let run = dagmar_common::ids::RunNo(1);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
    let (lost, done) = (AttemptStatus::Lost, AttemptStatus::Succeeded);
    assert_eq!(attempts(&world, run), [lost, done, lost, done]);
    assert_eq!(used(&world, 0), (0, 0));
}

#[test]
fn what_has_no_room_any_more_is_ahead_until_it_has() {
    let mut world = lost();
    let mut smaller = hello(WORKER, 2, 1);
    (smaller.born_ready, smaller.held) = (None, vec![]);
    world.apply(vec![Command::Hello(smaller)]);
    assert_eq!(is_back(&mut world, 2, &[1, 2]), []);
    assert_eq!(used(&world, 0), (2, 1_000));
    world.succeed("a", &[]);
    assert_eq!(used(&world, 0), (1, 1_000));
}

#[test]
fn what_it_does_not_hold_is_granted_anew() {
    let mut world = lost();
    let a = world.fence("a");
    assert_eq!(is_back(&mut world, 1, &[a.0]), []);
    assert_eq!(world.fence("a"), a);
    assert!(world.fence("b") > Fence(2), "under another fence");
    assert_eq!(used(&world, 0), (2, 2_000));
}

#[test]
fn what_another_one_has_is_killed() {
    let mut world = lost();
    world.apply(vec![Command::Hello(hello(WorkerId(8), 1, 1))]);
    let taken = world.fence("a");
    assert_eq!(used(&world, 1), (1, 1_000));
    assert_eq!(is_back(&mut world, 1, &[1, 2]), [Fence(1)]);
    assert_eq!((world.fence("a"), world.fence("b")), (taken, Fence(2)));
    world.end(Fence(1), Ending::Succeeded, &[]);
    assert_eq!(world.answers.last(), Some(&(Fence(1), false)), "another one has it");
}

#[test]
fn of_a_run_that_was_cancelled_nothing_goes_on() {
    let mut world = lost();
    world.cancel(dagmar_common::ids::RunNo(1));
    assert_eq!(is_back(&mut world, 1, &[1, 2]), [Fence(1), Fence(2)]);
    assert_eq!(used(&world, 0), (0, 0));
}

#[test]
fn it_gets_back_nothing_under_another_incarnation_and_nothing_of_others() {
    let mut world = lost();
    assert_eq!(is_back(&mut world, 2, &[1, 2]), [], "a word of nobody is void");
    assert_eq!(used(&world, 0), (0, 0));
    let mut other = hello(WorkerId(8), 1, 2);
    other.born_ready = None;
    let (incarnation, session, regains) = (life(1), Session(3), vec![Fence(1), Fence(7)]);
    let worker = other.worker;
    let ready = Command::WorkerReady { worker, incarnation, session, regains };
    world.apply(vec![Command::Hello(other), ready]);
    let kill = |fence| Effect::Kill { worker: WorkerNo(1), fence };
    assert_eq!(world.applied.effects[..2], [kill(Fence(1)), kill(Fence(7))]);
}

#[test]
fn the_same_fence_said_twice_is_leased_once() {
    let mut world = lost();
    assert_eq!(is_back(&mut world, 1, &[1, 1, 2]), []);
    assert_eq!(used(&world, 0), (2, 2_000));
}

#[test]
fn a_trial_whose_worker_came_back_felled_nobody() {
    let mut world = lost();
    for _ in 0..2 * CRASH_LIMIT {
        assert_eq!(is_back(&mut world, 1, &[1, 2]), []);
        is_lost(&mut world, 9);
    }
    assert_eq!(is_back(&mut world, 1, &[1, 2]), []);
}
