//! Leases, workers and time: grants, losses, attempts, timers, and the answers to why.

use dagmar_common::graph::Graph;
use dagmar_common::ids::{Fence, RunNo, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Ending, ExitReason, Outcome};
use dagmar_common::limits::{CRASH_LIMIT, LOST_AFTER, LOST_AFTER_MIN, LOST_ATTEMPTS_MAX};
use dagmar_common::record::{AttemptRecord, AttemptStatus, NodeStatus, RunStatus};
use dagmar_common::time::{Span, WallTime};

use super::drawing::{graph, task};
use super::world::{WORKER, World, hello, life, outcome};
use crate::ask::{Begun, Lack, Reason, RunView};
use crate::command::Command;
use crate::effect::{Effect, Reply};
use crate::state::lease::RECORDED_OUTCOMES_MAX;

#[test]
fn row_28_attempts_and_their_backoff() {
    let mut world = World::new(1);
    let step = task("a").attempts(3).backoff(Span::from_secs(2));
    let run = world.submit(&graph(&[step]), &[]);
    for waits in [2, 4] {
        world.fail("a");
        assert!(world.running.is_empty(), "the next attempt waits");
        let until = dagmar_common::time::LogTime(world.time + waits * 1_000_000);
        assert_eq!(world.state.next_deadline(), Some(until));
        let attempt = if waits == 2 { 2 } else { 3 };
        assert_eq!(world.why(run, Some("a")), [Reason::Backoff { until, attempt }]);
        world.time = until.0;
        world.apply(vec![Command::Continue]);
    }
    world.succeed("a", &[]);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
    let attempts = attempts(&world, run);
    let failed = AttemptStatus::Failed;
    assert_eq!(attempts, [failed, failed, AttemptStatus::Succeeded]);
}

pub fn ready(worker: WorkerId, incarnation: u64, session: u64) -> Command {
    let (incarnation, session) = (life(incarnation), Session(session));
    Command::WorkerReady { worker, incarnation, session, regains: Vec::new() }
}

pub fn attempts(world: &World, run: RunNo) -> Vec<AttemptStatus> {
    records(world, run).iter().map(|attempt| attempt.status).collect()
}

fn numbers(world: &World, run: RunNo) -> Vec<u32> {
    records(world, run).iter().map(|attempt| attempt.number).collect()
}

fn records(world: &World, run: RunNo) -> Vec<AttemptRecord> {
    let records = world.state.node_records(run).expect("it is not archived");
    let nodes = records.filter_map(|entry| match entry {
        dagmar_common::record::Entry::Node(node) => Some(node),
        _ => None,
    });
    nodes.flat_map(|node| node.attempts).collect()
}

#[test]
fn row_29_a_cancel_runs_no_handler() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a").fails("h"), task("h"), task("b")]), &[]);
    world.cancel(run);
    let fence = world.fence("a");
    assert_eq!(world.cancels, [fence]);
    world.end(fence, Ending::Cancelled, &[]);
    assert_eq!(world.shape(run), "a⊘ b⊘ h–");
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Cancelled));
}

#[test]
fn row_30_the_time_limit_of_a_run() {
    let limited = Graph {
        time_limit: Some(Span::from_secs(60)),
        ..graph(&[task("a").fails("h"), task("h")])
    };
    let mut world = World::new(1);
    let run = world.submit(&limited, &[]);
    assert_eq!(world.state.next_deadline(), Some(dagmar_common::time::LogTime(60_000_000)));
    world.time = 60_000_000;
    world.apply(vec![Command::Continue]);
    world.settle();
    let fence = world.fence("a");
    assert_eq!(world.cancels, [fence]);
    world.end(fence, Ending::Cancelled, &[]);
    assert_eq!(world.shape(run), "a⊘ h–");
    let record = world.state.run(run).expect("it is here").record();
    assert_eq!((record.status, record.reason.as_str()), (RunStatus::Failed, "time limit"));
}

#[test]
fn an_outcome_is_recorded_once_and_each_is_answered() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a").attempts(2)]), &[]);
    let first = world.fence("a");
    let failed = Ending::Failed(ExitReason::Code(1));
    world.end(first, failed, &[]);
    let second = world.fence("a");
    assert!(second > first);
    // The same again stands; another one under the same fence never will.
    world.end(first, failed, &[]);
    world.end(first, Ending::Succeeded, &[]);
    world.end(second, Ending::Succeeded, &[("x", "1")]);
    world.end(second, Ending::Succeeded, &[("x", "1")]);
    world.end(second, Ending::Succeeded, &[("x", "2")]);
    world.end(Fence(999), Ending::Succeeded, &[]);
    let expected = [
        (first, true),
        (first, true),
        (first, false),
        (second, true),
        (second, true),
        (second, false),
        (Fence(999), false),
    ];
    assert_eq!(world.answers, expected);
}

#[test]
fn an_outcome_that_is_said_again_after_very_many_others_is_refused() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a"), task("b")]), &[]);
    let early = world.fence("a");
    world.succeed("a", &[]);
    // As if that many had been granted meanwhile.
    for state in [&mut world.state, &mut world.twin] {
        state.leases.last_fence += RECORDED_OUTCOMES_MAX - 2;
    }
    world.submit(&graph(&[task("c")]), &[]);
    world.succeed("b", &[]);
    let late = world.fence("c");
    assert_eq!(late.0 % RECORDED_OUTCOMES_MAX, early.0 % RECORDED_OUTCOMES_MAX);
    world.end(early, Ending::Succeeded, &[]);
    world.succeed("c", &[]);
    world.end(late, Ending::Succeeded, &[]);
    world.end(early, Ending::Succeeded, &[]);
    let answers: Vec<bool> = world.answers.iter().map(|(_, is_recorded)| *is_recorded).collect();
    assert_eq!(answers, [true, true, true, true, true, false]);
}

#[test]
fn a_returned_trial_may_still_be_recorded_until_it_is_granted_again() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a"), task("b")]), &[]);
    let first = world.fence("a");
    world.give_back(first);
    // Behind b now: the trial waits, and the outcome that was under way is still its latest's.
    world.end(first, Ending::Succeeded, &[]);
    assert_eq!(world.answers, [(first, true), (first, true)]);
    world.succeed("b", &[]);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
}

#[test]
fn a_lost_worker_loses_its_leases_only_after_its_time() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a")]), &[]);
    let fence = world.fence("a");
    let session = Session(1);
    let lost = || Command::WorkerLost { worker: WORKER, started: vec![fence], unsent: vec![] };
    assert_eq!(world.apply(vec![lost()]), [Reply::Dropped], "it is not suspended");
    let other = Command::WorkerSuspended { worker: WORKER, session: Session(9) };
    assert_eq!(world.apply(vec![other]), [Reply::Dropped], "another session's word is void");
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session }]);
    assert_eq!(world.apply(vec![lost()]), [Reply::Dropped], "it is not away for long");
    assert_eq!(world.state.next_deadline().map(|at| at.0), Some(LOST_AFTER.0));
    world.time = LOST_AFTER.0;
    assert_eq!(world.apply(vec![lost()]), [Reply::Done]);
    world.running.clear();
    let Some(Reason::Needs { workers, .. }) = world.why(run, Some("a")).pop() else {
        panic!("it waits for a worker")
    };
    assert_eq!(workers, [("w7".into(), Lack::Lost)]);
    world.apply(vec![ready(WORKER, 1, 2)]);
    let again = world.fence("a");
    assert!(again > fence);
    // What the lost one comes back with is late.
    world.end(fence, Ending::Succeeded, &[]);
    assert_eq!(world.answers, [(fence, false)]);
    world.succeed("a", &[]);
    assert_eq!(attempts(&world, run), [AttemptStatus::Lost, AttemptStatus::Succeeded]);
}

#[test]
fn a_trial_under_which_workers_are_lost_again_and_again_fails() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a")]), &[]);
    for life in 2..=u64::from(CRASH_LIMIT) + 1 {
        let mut hello = hello(WORKER, life, 1);
        hello.born_ready = None;
        world.apply(vec![Command::Hello(hello), ready(WORKER, life, life)]);
        world.settle();
    }
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Failed));
}

#[test]
fn every_attempt_that_was_lost_is_told_and_spends_none() {
    let (failed, lost) = (AttemptStatus::Failed, AttemptStatus::Lost);
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a").attempts(2)]), &[]);
    world.restart_worker(1);
    world.lose("a");
    assert_eq!(attempts(&world, run), [lost, lost, AttemptStatus::Running]);
    world.fail("a");
    world.lose("a");
    world.succeed("a", &[]);
    assert_eq!(attempts(&world, run), [lost, lost, failed, lost, AttemptStatus::Succeeded]);
    assert_eq!(numbers(&world, run), [1, 1, 1, 2, 2]);
}

/// It never began, so there is nothing to tell; nothing was lost with it.
#[test]
fn a_lease_that_never_began_leaves_no_attempt() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a")]), &[]);
    world.running.clear();
    world.restart_worker(1);
    world.succeed("a", &[]);
    assert_eq!(attempts(&world, run), [AttemptStatus::Succeeded]);
}

#[test]
fn of_leases_of_a_lost_worker_those_that_had_its_cpus_were_attempts() {
    let mut world = World::new(1);
    let steps: Vec<_> = (0..4).map(|number| task(&format!("t{number}"))).collect();
    let run = world.submit(&graph(&steps), &[]);
    world.succeed("t0", &[]);
    assert_eq!(world.paths(), ["t1", "t2", "t3"], "two of them ahead");
    let session = Session(1);
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session }]);
    world.time = LOST_AFTER.0;
    world.apply(vec![Command::WorkerLost { worker: WORKER, started: vec![], unsent: vec![] }]);
    let (lost, done) = (AttemptStatus::Lost, AttemptStatus::Succeeded);
    assert_eq!(attempts(&world, run), [done, lost]);
}

#[test]
fn a_trial_that_kills_its_supervisor_again_and_again_fails() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a")]), &[]);
    for _ in 0..CRASH_LIMIT {
        world.lose("a");
    }
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Failed));
    assert_eq!(attempts(&world, run), [AttemptStatus::Lost; CRASH_LIMIT as usize]);
}

#[test]
fn of_very_many_lost_attempts_the_first_ones_and_the_last_are_told() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a")]), &[]);
    let mut granted = Vec::new();
    for _ in 0..LOST_ATTEMPTS_MAX + 3 {
        granted.push(world.state.last_applied());
        world.restart_worker(1);
    }
    world.succeed("a", &[]);
    let told = records(&world, run);
    assert_eq!(told.len(), LOST_ATTEMPTS_MAX as usize + 1);
    let last = &told[LOST_ATTEMPTS_MAX as usize - 1];
    assert_eq!(told[0].granted, granted[0]);
    assert_eq!(Some(&last.granted), granted.last());
}

#[test]
fn nobody_is_lost_within_a_minute() {
    let mut world = World::empty();
    let mut hello = hello(WORKER, 1, 1);
    hello.lost_after = Some(Span::from_secs(1));
    world.apply(vec![Command::LeaderUp, Command::Hello(hello)]);
    world.submit(&graph(&[task("a")]), &[]);
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session: Session(1) }]);
    let lost = || Command::WorkerLost { worker: WORKER, started: vec![], unsent: vec![] };
    world.time = LOST_AFTER_MIN.0 - 1;
    assert_eq!(world.apply(vec![lost()]), [Reply::Dropped]);
    world.time = LOST_AFTER_MIN.0;
    assert_eq!(world.apply(vec![lost()]), [Reply::Done]);
}

#[test]
fn a_new_leader_grants_only_to_workers_ready_under_it() {
    let mut world = World::new(1);
    world.apply(vec![Command::LeaderUp]);
    let run = world.submit(&graph(&[task("a")]), &[]);
    assert!(world.running.is_empty());
    let Some(Reason::Needs { workers, .. }) = world.why(run, Some("a")).pop() else {
        panic!("it waits for a worker")
    };
    assert!(matches!(workers[..], [(_, Lack::Suspended { .. })]));
    world.apply(vec![ready(WORKER, 1, 5)]);
    assert_eq!(world.paths(), ["a"]);
}

#[test]
fn short_trials_are_granted_ahead_and_taken_back_for_an_idle_worker() {
    let mut world = World::new(1);
    let steps: Vec<_> = (0..1_040).map(|number| task(&format!("t{number}"))).collect();
    world.submit(&graph(&steps), &[]);
    assert_eq!(world.running.len(), 1, "nobody knows yet how long they take");
    world.succeed("t0", &[]);
    // 100 µs each: 1,000 of them are 100 ms.
    assert_eq!(world.running.len(), 1_001);
    let other = WorkerId(8);
    world.apply(vec![Command::Hello(hello(other, 1, 2))]);
    let on_other = world.state.leases_of(WorkerNo(1)).count();
    assert_eq!(on_other, 38, "what is left, two of them at work");
    let second = WorkerId(9);
    world.apply(vec![Command::Hello(hello(second, 1, 2))]);
    let recalls: Vec<Fence> = world
        .applied
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Recall { worker: WorkerNo(0), fence } => Some(*fence),
            _ => None,
        })
        .collect();
    assert_eq!(recalls.len(), 2, "as many as the idle one can run now");
    let latest = world.state.leases_of(WorkerNo(0)).last();
    assert_eq!(recalls.first().copied(), latest);
    world.give_back(recalls[0]);
    assert_eq!(world.state.leases_of(WorkerNo(2)).count(), 1, "the idle one runs it");
}

#[test]
fn the_run_with_fewest_leases_comes_first() {
    let mut world = World::new(4);
    let wide: Vec<_> = (0..50).map(|number| task(&format!("wide{number}"))).collect();
    world.submit(&graph(&wide), &[]);
    assert_eq!(world.running.len(), 4);
    let small = world.submit(&graph(&[task("small")]), &[]);
    let reasons = world.why(small, Some("small"));
    let workers = vec![("w7".into(), Lack::Busy { free: 0 })];
    assert_eq!(reasons, [Reason::Needs { cpu_millis: 1_000, workers }]);
    let fence = world.fence("wide0");
    let mut slow = outcome(fence, Ending::Succeeded, &[]);
    slow.took = Span::from_secs(10);
    world.apply(vec![Command::Outcomes { worker: WORKER, outcomes: vec![slow] }]);
    assert!(world.paths().contains(&"small"));
}

#[test]
fn a_large_trial_that_waits_long_gets_a_worker_for_itself() {
    let mut world = World::new(2);
    let mut steps: Vec<_> = (0..30).map(|number| task(&format!("t{number}"))).collect();
    steps.push(task("large").cpus(2_000));
    let run = world.submit(&graph(&steps), &[]);
    let slow = |world: &mut World| {
        let fence = *world.running.keys().next().expect("something runs");
        world.running.remove(&fence);
        let mut slow = outcome(fence, Ending::Failed(ExitReason::Code(1)), &[]);
        slow.took = Span::from_secs(10);
        world.time += 10_000_000;
        world.apply(vec![Command::Outcomes { worker: WORKER, outcomes: vec![slow] }]);
    };
    for _ in 0..6 {
        slow(&mut world);
    }
    assert!(!world.paths().contains(&"large"));
    slow(&mut world);
    slow(&mut world);
    assert_eq!(world.paths(), ["large"], "{:?}", world.why(run, Some("large")));
    let other = world.why(run, Some("t29"));
    assert!(matches!(other[0], Reason::Needs { .. }));
}

#[test]
fn a_worker_that_is_no_longer_reserved_is_everybodys_again() {
    let mut world = World::new(2);
    world.apply(vec![Command::Hello(hello(WorkerId(8), 1, 2))]);
    let small: Vec<_> = (0..30).map(|number| task(&format!("t{number}"))).collect();
    world.submit(&graph(&small), &[]);
    world.submit(&graph(&[task("large").cpus(2_000)]), &[]);
    let slow = |world: &World, worker: u32| -> Vec<_> {
        let fences = world.state.leases_of(WorkerNo(worker));
        let slow = fences.map(|fence| {
            let ending = Ending::Failed(ExitReason::Code(1));
            Outcome { took: Span::from_secs(10), ..outcome(fence, ending, &[]) }
        });
        slow.collect()
    };
    let end = |world: &mut World, outcomes: Vec<Outcome>| {
        world.apply(vec![Command::Outcomes { worker: WORKER, outcomes }]);
        world.settle();
    };
    // The small ones still get their turns; the large one waits for a minute and reserves.
    world.time = 50_000_000;
    let one = slow(&world, 1)[..1].to_vec();
    end(&mut world, one);
    world.time = 70_000_000;
    world.apply(vec![Command::Continue]);
    let one = slow(&world, 0)[..1].to_vec();
    end(&mut world, one);
    assert_eq!(world.state.leases_of(WorkerNo(0)).count(), 1, "one cpu waits for the large one");
    let both = slow(&world, 1);
    end(&mut world, both);
    assert_eq!(world.state.leases_of(WorkerNo(1)).count(), 1, "the large one runs elsewhere");
    assert_eq!(world.state.leases_of(WorkerNo(0)).count(), 2, "and no cpu is idle");
}

#[test]
fn nothing_is_taken_back_for_a_cpu_that_waits_for_a_large_one() {
    let mut world = World::new(1);
    world.apply(vec![Command::Hello(hello(WorkerId(8), 1, 2))]);
    world.submit(&graph(&[task("a"), task("b"), task("c")]), &[]);
    world.submit(&graph(&[task("large").cpus(2_000)]), &[]);
    world.time = 70_000_000;
    world.apply(vec![Command::Continue]);
    let one = world.state.leases_of(WorkerNo(1)).next().expect("two of them run there");
    world.end(one, Ending::Succeeded, &[]);
    world.submit(&graph(&[task("short")]), &[]);
    assert_eq!(world.state.leases_of(WorkerNo(0)).count(), 2, "it is granted ahead");
    let recalls = |effect: &&Effect| matches!(effect, Effect::Recall { .. });
    let taken = world.applied.effects.iter().find(recalls);
    assert_eq!(taken, None, "it would only be granted ahead again");
}

#[test]
fn why_names_what_a_step_waits_for() {
    let mut world = World::new(1);
    let steps = [task("a"), task("b").needs(&["a"]), task("big").cpus(9_000)];
    let run = world.submit(&graph(&steps), &[]);
    let status = dagmar_common::record::NodeStatus::Leased;
    let waits = Reason::WaitsFor { step: "a".into(), status };
    assert_eq!(world.why(run, Some("b")), [waits]);
    let workers = vec![("w7".into(), Lack::TooSmall { cpu_millis: 1_000 })];
    let needs = Reason::Needs { cpu_millis: 9_000, workers };
    assert_eq!(world.why(run, Some("big")), std::slice::from_ref(&needs));
    assert_eq!(world.why(run, Some("nope")), [Reason::NoSuchStep]);
    let whole = world.why(run, None);
    assert!(whole.contains(&Reason::Step { path: "big".into(), reason: Box::new(needs) }));
    assert_eq!(whole.len(), 2);
}

#[test]
fn only_what_has_begun_is_told_as_running() {
    let mut world = World::new(2);
    let steps = [task("a"), task("b"), task("c"), task("d").needs(&["b"])];
    let run = world.submit(&graph(&steps), &[]);
    let of_a = world.running.iter().find(|(_, start)| &*start.name.path == "a");
    let mut begun = Begun::default();
    begun.insert(*of_a.expect("it is leased").0, Some(WallTime(7)));
    let view = world.state.run(run).expect("it is not archived");
    let shown = |view: RunView<'_>| {
        let of_node = |entry| match entry {
            dagmar_common::record::Entry::Node(node) => (node.status, node.attempts.len()),
            _ => panic!("there is no map"),
        };
        let steps: Vec<_> = view.root_steps().map(|step| (step.status, step.began)).collect();
        (view.node_records().map(of_node).collect::<Vec<_>>(), steps, view.counts())
    };
    let (nodes, steps, counts) = shown(view);
    let (leased, ready, waiting) = (NodeStatus::Leased, NodeStatus::Ready, NodeStatus::Waiting);
    assert_eq!(nodes, [(leased, 1), (leased, 1), (ready, 0), (waiting, 0)]);
    assert_eq!((steps[0], counts.active, counts.waiting), ((leased, None), 3, 1));
    let (nodes, steps, counts) = shown(view.with(&begun));
    assert_eq!(nodes, [(leased, 1), (ready, 0), (ready, 0), (waiting, 0)]);
    assert_eq!(steps[..2], [(leased, Some(WallTime(7))), (ready, None)]);
    assert_eq!((counts.active, counts.waiting), (1, 3));
    let reasons = crate::ask::why(&world.state, &begun, run, Some("b"));
    assert!(matches!(reasons[..], [Reason::Running { has_begun: false, .. }]), "{reasons:?}");
    let status = waiting;
    let waits = crate::ask::why(&world.state, &begun, run, Some("d"));
    assert_eq!(waits, [Reason::WaitsFor { step: "b".into(), status }]);
}

#[test]
fn what_tells_against_one_attempt_does_not_tell_against_the_next() {
    let mut world = World::new(1);
    let run = world.submit(&graph(&[task("a").attempts(2)]), &[]);
    for _ in 1..CRASH_LIMIT {
        world.lose("a");
    }
    world.fail("a");
    for _ in 1..CRASH_LIMIT {
        world.lose("a");
    }
    world.succeed("a", &[]);
    assert_eq!(world.ended.get(&run), Some(&RunStatus::Succeeded));
}

#[test]
fn the_absence_of_a_worker_begins_once_however_often_it_greets() {
    let mut world = World::new(1);
    world.submit(&graph(&[task("a")]), &[]);
    world.apply(vec![Command::WorkerSuspended { worker: WORKER, session: Session(1) }]);
    world.time = LOST_AFTER.0 - 1;
    let mut again = hello(WORKER, 1, 2);
    again.born_ready = None;
    world.apply(vec![Command::Hello(again)]);
    world.time = LOST_AFTER.0;
    let lost = Command::WorkerLost { worker: WORKER, started: vec![], unsent: vec![] };
    assert_eq!(world.apply(vec![lost]), [Reply::Done]);
}
