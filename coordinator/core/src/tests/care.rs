//! Trials that a second process would harm, and workers that go for good: no lease ends too early.

use dagmar_common::ids::{ClusterId, Fence, RunNo, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Ending, Held, HeldAs, Returned};
use dagmar_common::limits::LOST_AFTER;
use dagmar_common::record::{AttemptStatus, RunStatus};
use dagmar_common::time::Span;

use super::drawing::{Step, graph, task};
use super::leases::{attempts, ready};
use super::world::{WORKER, World, hello, life, outcome};
use crate::ask::{Lack, Reason};
use crate::command::Command;
use crate::effect::{Effect, Reply};

const OTHER: WorkerId = WorkerId(8);

/// A run of these steps on a worker that may be away.
fn world(steps: &[Step]) -> (World, RunNo) {
    let mut world = World::new(2);
    let run = world.submit(&graph(steps), &[]);
    (world, run)
}

/// The worker's daemon was started anew, and lists only these.
fn next_life(world: &mut World, number: u64, held: &[(Fence, HeldAs)]) {
    let mut hello = hello(WORKER, number, 2);
    hello.born_ready = None;
    hello.held = held.iter().map(|(fence, state)| Held { fence: *fence, state: *state }).collect();
    world.running.retain(|fence, _| held.iter().any(|one| one.0 == *fence));
    world.apply(vec![Command::Hello(hello), ready(WORKER, number, number)]);
    world.settle();
}

fn passes(world: &mut World, span: Span) {
    world.time += span.0;
    world.apply(vec![Command::Continue]);
    world.settle();
}

fn returned(world: &mut World, fence: Fence, started: bool) {
    world.running.remove(&fence);
    let returned = vec![Returned { fence, started }];
    world.apply(vec![Command::Returned { worker: WORKER, incarnation: life(1), returned }]);
    world.settle();
}

fn lost(world: &mut World, started: &[Fence], unsent: &[Fence]) {
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session: Session(1) }]);
    world.time += LOST_AFTER.0;
    let (started, unsent) = (started.to_vec(), unsent.to_vec());
    let lost = Command::WorkerLost { worker: WORKER, started, unsent };
    assert_eq!(world.apply(vec![lost]), [Reply::Done]);
    world.running.clear();
    world.settle();
}

#[test]
fn an_exclusive_trial_waits_until_its_older_process_has_stopped() {
    let (mut world, _) = world(&[task("a").exclusive(), task("b")]);
    let (a, b) = (world.fence("a"), world.fence("b"));
    next_life(&mut world, 2, &[]);
    assert_eq!(world.paths(), ["b"], "what is not exclusive runs again at once");
    assert!(world.fence("b") > b);
    passes(&mut world, Span(LOST_AFTER.0 - 1));
    assert_eq!(world.paths(), ["b"]);
    passes(&mut world, Span(1));
    assert!(world.fence("a") > a);
}

#[test]
fn what_the_older_process_of_an_exclusive_trial_reports_still_counts() {
    let (mut world, run) = world(&[task("a").exclusive()]);
    let a = world.fence("a");
    next_life(&mut world, 2, &[]);
    world.end(a, Ending::Succeeded, &[]);
    assert_eq!(world.answers, [(a, true)]);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
    passes(&mut world, LOST_AFTER);
    assert!(world.paths().is_empty());
}

#[test]
fn an_exclusive_trial_of_a_lost_worker_has_waited_already() {
    let (mut world, _) = world(&[task("a").exclusive()]);
    let a = world.fence("a");
    lost(&mut world, &[a], &[]);
    world.apply(vec![Command::Hello(hello(OTHER, 1, 1))]);
    assert!(world.fence("a") > a);
}

/// Ends `unknown`, and is not tried again although attempts are left.
#[track_caller]
fn check_unknown(world: &World, run: RunNo) {
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Failed));
    assert_eq!(attempts(world, run), [AttemptStatus::Unknown]);
    assert!(world.paths().is_empty());
}

#[test]
fn what_may_have_run_once_is_not_run_again() {
    let steps = [task("a").once().attempts(3)];
    let (mut new_life, run) = world(&steps);
    let late = new_life.fence("a");
    next_life(&mut new_life, 2, &[]);
    check_unknown(&new_life, run);
    new_life.end(late, Ending::Succeeded, &[]);
    assert_eq!(new_life.answers, [(late, false)], "the attempt has its end");

    let (mut silent, run) = world(&steps);
    lost(&mut silent, &[], &[]);
    check_unknown(&silent, run);

    let (mut stopped, run) = world(&steps);
    let fence = stopped.fence("a");
    returned(&mut stopped, fence, true);
    check_unknown(&stopped, run);

    let (mut removed, run) = world(&steps);
    removed.running.clear();
    removed.apply(vec![Command::RemoveWorker { worker: WORKER }]);
    removed.settle();
    check_unknown(&removed, run);
}

#[test]
fn what_was_never_sent_or_comes_back_unbegun_is_granted_again() {
    let steps = [task("a").once()];
    let (mut unsent, _) = world(&steps);
    let fence = unsent.fence("a");
    lost(&mut unsent, &[], &[fence]);
    unsent.apply(vec![Command::Hello(hello(OTHER, 1, 1))]);
    assert!(unsent.fence("a") > fence);

    let (mut unbegun, run) = world(&steps);
    let fence = unbegun.fence("a");
    returned(&mut unbegun, fence, false);
    passes(&mut unbegun, Span::from_secs(1));
    unbegun.succeed("a", &[]);
    assert_eq!(unbegun.ended.get(&run), Some(&RunStatus::Succeeded));

    let (mut kept, _) = world(&steps);
    let fence = kept.fence("a");
    next_life(&mut kept, 2, &[(fence, HeldAs::Running)]);
    assert_eq!(kept.fence("a"), fence, "a new life that lists it keeps it");
}

#[test]
fn nothing_that_needs_care_is_granted_ahead() {
    for careful in [task("x").exclusive(), task("x").once()] {
        let step = |number| Step { name: format!("t{number}"), ..careful.clone() };
        let steps: Vec<Step> = (0..40).map(step).collect();
        let (mut world, _) = world(&steps);
        world.succeed("t0", &[]);
        assert_eq!(world.running.len(), 2, "as many as run at once, short as they are");
    }
}

#[test]
fn workers_lost_under_what_never_began_are_no_crashes() {
    let (mut world, run) = world(&[task("a")]);
    for session in 1..=7 {
        let fence = world.fence("a");
        let unsent = if session % 2 == 0 { vec![fence] } else { Vec::new() };
        let started = unsent.clone();
        world.apply(vec![Command::WorkerSuspended { worker: WORKER, session: Session(session) }]);
        world.time += LOST_AFTER.0;
        world.apply(vec![
            Command::WorkerLost { worker: WORKER, started, unsent },
            ready(WORKER, 1, session + 1),
        ]);
        world.running.remove(&fence);
    }
    world.succeed("a", &[]);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
}

#[test]
fn the_word_of_another_incarnation_or_an_older_session_is_void() {
    let (mut world, _) = world(&[task("a")]);
    let a = world.fence("a");
    next_life(&mut world, 2, &[(a, HeldAs::Running)]);
    // An older life, copied with its disk, gives back what runs in the newer one.
    let given = vec![Returned { fence: a, started: false }];
    let older = Command::Returned { worker: WORKER, incarnation: life(1), returned: given.clone() };
    assert_eq!(world.apply(vec![older]), [Reply::Dropped]);
    assert_eq!(world.state.leases_of(WorkerNo(0)).collect::<Vec<_>>(), [a]);
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session: Session(2) }]);
    assert_eq!(world.apply(vec![ready(WORKER, 1, 9)]), [Reply::Dropped]);
    assert_eq!(world.apply(vec![ready(WORKER, 2, 1)]), [Reply::Dropped]);
    let current = Command::Returned { worker: WORKER, incarnation: life(2), returned: given };
    assert_eq!(world.apply(vec![current]), [Reply::Done]);
    assert_eq!(world.state.leases_of(WorkerNo(0)).count(), 0);
}

#[test]
fn a_drained_worker_ends_what_it_has_and_gets_no_more() {
    let steps: Vec<_> = (0..5).map(|number| task(&format!("t{number}"))).collect();
    let (mut world, run) = world(&steps);
    let held: Vec<Fence> = world.state.leases_of(WorkerNo(0)).collect();
    world.apply(vec![Command::Drain { worker: WORKER, is_on: true }]);
    let recall = |fence: &Fence| Effect::Recall { worker: WorkerNo(0), fence: *fence };
    assert_eq!(world.applied.effects, held.iter().map(recall).collect::<Vec<_>>());
    world.give_back(held[1]);
    world.succeed("t0", &[]);
    assert!(world.paths().is_empty());
    let Some(Reason::Needs { workers, .. }) = world.why(run, Some("t4")).into_iter().next() else {
        panic!("it waits for a worker")
    };
    assert_eq!(workers, [("w7".into(), Lack::Draining)]);
    // Nothing clears it but its opposite.
    next_life(&mut world, 2, &[]);
    assert!(world.paths().is_empty());
    world.apply(vec![Command::Drain { worker: WORKER, is_on: false }]);
    world.settle();
    assert!(world.paths().len() >= 2);
}

#[test]
fn a_removed_worker_is_gone_for_good_and_exclusive_trials_wait() {
    let (mut world, _) = world(&[task("a").exclusive(), task("b")]);
    let a = world.fence("a");
    world.running.clear();
    world.apply(vec![Command::Hello(hello(OTHER, 1, 2))]);
    let removed = vec![Command::RemoveWorker { worker: WORKER }];
    assert_eq!(world.apply(removed.clone()), [Reply::Done]);
    assert!(world.applied.effects.contains(&Effect::Stale { worker: WorkerNo(0) }));
    world.settle();
    assert_eq!(world.paths(), ["b"]);
    for refused in [Command::Hello(hello(WORKER, 9, 2)), ready(WORKER, 1, 9)] {
        assert_eq!(world.apply(vec![refused]), [Reply::Dropped]);
    }
    assert_eq!(world.apply(removed), [Reply::Done], "said again it changes nothing");
    assert!(world.applied.effects.is_empty());
    passes(&mut world, LOST_AFTER);
    assert!(world.fence("a") > a);
    assert_eq!(world.state.leases_of(WorkerNo(0)).count(), 0);
}

#[test]
fn a_restored_cluster_trusts_no_worker_and_no_fence_of_the_other() {
    let (mut world, run) = world(&[task("a"), task("b").exclusive()]);
    let a = world.fence("a");
    let restored = || vec![Command::LeaderUp, Command::Restored { cluster: ClusterId(5) }];
    world.running.clear();
    world.apply(restored());
    world.settle();
    assert_eq!(attempts(&world, run)[0], AttemptStatus::Lost);
    assert_eq!(world.apply(vec![Command::Hello(hello(WORKER, 2, 2))]), [Reply::Dropped]);
    world.apply(vec![Command::Hello(hello(OTHER, 1, 2))]);
    let again = world.fence("a");
    assert_eq!(again, Fence(1 << 48 | 1), "above all that the other cluster can have given");
    assert_eq!(world.paths(), ["a"], "b may run there still");
    // What the other cluster gave after the backup was never recorded here.
    let given_there = Fence(a.0 + 1_000);
    let outcomes = vec![outcome(given_there, Ending::Succeeded, &[])];
    world.apply(vec![Command::Outcomes { worker: OTHER, outcomes }]);
    assert_eq!(world.answers, [(given_there, false)]);
    passes(&mut world, LOST_AFTER);
    assert_eq!(world.paths(), ["a", "b"]);
    // A second leader of the restored cluster says it again.
    world.apply(restored());
    assert_eq!(world.state.leases_of(WorkerNo(1)).count(), 2);
}
