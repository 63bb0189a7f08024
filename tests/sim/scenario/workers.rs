//! Workers that come again, are drained and are removed, and what that means for their leases.

use dagmar_common::graph::Care;
use dagmar_common::ids::{Incarnation, RunNo, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Ending, Held, HeldAs, Returned};
use dagmar_common::limits::{CRASH_LIMIT, RESERVE_AFTER};
use dagmar_common::record::RunStatus;
use dagmar_common::time::{BootTime, LogTime, Span};
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::Effect;

use super::desk::{Desk, LOST_AFTER};
use crate::executor::outcome;

const ONE: WorkerId = WorkerId(1);
const TWO: WorkerId = WorkerId(2);
const EXCLUSIVE: Care = Care { exclusive: true, once: false };

#[test]
pub fn a_trial_that_fells_five_of_them_fails() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    assert_eq!(desk.submits(Care::default()).len(), 1);
    for again in 0..CRASH_LIMIT {
        let granted = desk.greets(ONE, 2 + u64::from(again), Vec::new());
        let is_last = again + 1 == CRASH_LIMIT;
        assert_eq!(granted.is_empty(), is_last, "worker {again} was lost under it: {granted:?}");
    }
    let status = desk.state.run(RunNo(1)).map(|run| run.status());
    assert_eq!(status, Some(RunStatus::Failed));
}

#[test]
pub fn a_removed_one_may_still_run_what_is_exclusive() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    assert_eq!(desk.submits(EXCLUSIVE).len(), 1);
    desk.greets(TWO, 1, Vec::new());
    let granted = desk.apply(vec![Command::RemoveWorker { worker: ONE }]);
    assert_eq!(granted, [], "it may still live where it was");
    desk.now = desk.now + Span(LOST_AFTER.0 - 1);
    assert_eq!(desk.apply(vec![Command::Continue]), [], "it may still live where it was");
    desk.now = LogTime(desk.now.0 + 1);
    let granted = desk.apply(vec![Command::Continue]);
    assert_eq!(granted.iter().map(|one| one.0).collect::<Vec<_>>(), [WorkerNo(1)]);
}

#[test]
pub fn a_drained_one_that_comes_again_is_drained() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    desk.apply(vec![Command::Drain { worker: ONE, is_on: true }]);
    desk.greets(ONE, 2, Vec::new());
    assert_eq!(desk.submits(Care::default()), [], "it drains");
    let granted = desk.apply(vec![Command::Drain { worker: ONE, is_on: false }]);
    assert_eq!(granted.len(), 1);
}

#[test]
pub fn an_older_incarnation_returns_nothing() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    let granted = desk.submits(Care::default());
    let [(_, fence)] = granted[..] else { panic!("one lease is granted: {granted:?}") };
    desk.greets(ONE, 2, vec![Held { fence, state: HeldAs::Running }]);
    let (incarnation, returned) =
        (Incarnation { number: 1, nonce: 1 }, vec![Returned { fence, started: true }]);
    let granted = desk.apply(vec![Command::Returned { worker: ONE, incarnation, returned }]);
    assert_eq!(granted, [], "what the newer one runs is granted again");
    assert!(desk.state.lease(fence).is_some(), "what the newer one runs is taken from it");
}

#[test]
pub fn one_that_comes_again_may_still_run_what_is_exclusive() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    assert_eq!(desk.submits(EXCLUSIVE).len(), 1);
    assert_eq!(desk.greets(ONE, 2, Vec::new()), [], "the older one may live, somewhere");
    desk.now = desk.now + LOST_AFTER;
    assert_eq!(desk.apply(vec![Command::Continue]).len(), 1);
}

#[test]
pub fn the_end_of_an_older_session_suspends_nobody() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    desk.greets(ONE, 1, Vec::new());
    desk.apply(vec![Command::WorkerSuspended { worker: ONE, session: Session(1) }]);
    assert_eq!(desk.submits(Care::default()).len(), 1, "it is ready in its second session");
}

#[test]
pub fn what_may_run_once_is_not_granted_ahead() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    let mut granted = desk.submits_many(3, Care { exclusive: false, once: true });
    for _ in 0..3 {
        assert_eq!(granted.len(), 1, "one has room: {granted:?}");
        let outcomes = vec![outcome(granted[0].1, Ending::Succeeded, BootTime(1))];
        granted = desk.apply(vec![Command::Outcomes { worker: ONE, outcomes }]);
    }
}

#[test]
pub fn what_may_run_once_may_have_started_where_nobody_knows() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    assert_eq!(desk.submits(Care { exclusive: false, once: true }).len(), 1);
    desk.greets(TWO, 1, Vec::new());
    desk.apply(vec![Command::WorkerSuspended { worker: ONE, session: Session(1) }]);
    desk.now = desk.now + LOST_AFTER;
    let (started, unsent) = (Vec::new(), Vec::new());
    let granted = desk.apply(vec![Command::WorkerLost { worker: ONE, started, unsent }]);
    assert_eq!(granted, [], "it may have run, unseen");
    let status = desk.state.run(RunNo(1)).map(|run| run.status());
    assert_eq!(status, Some(RunStatus::Failed));
}

#[test]
pub fn nothing_is_taken_back_for_room_that_is_kept_for_a_large_one() {
    let (mut desk, any) = (Desk::new(), Care::default());
    desk.greets(ONE, 1, Vec::new());
    desk.greets_with(TWO, 1, Vec::new(), 2_000);
    let granted = desk.submits_many(3, any);
    desk.submits_large(1, any, 2_000);
    desk.now = desk.now + RESERVE_AFTER;
    desk.apply(vec![Command::Continue]);
    let there = granted.iter().find(|(worker, _)| *worker == WorkerNo(1));
    let (_, fence) = there.expect("two of them run there");
    let outcomes = vec![outcome(*fence, Ending::Succeeded, BootTime(1))];
    desk.apply(vec![Command::Outcomes { worker: TWO, outcomes }]);
    let granted = desk.submits(any);
    assert_eq!(granted.iter().map(|one| one.0).collect::<Vec<_>>(), [WorkerNo(0)], "ahead");
    let recall = |effect: &&Effect| matches!(effect, Effect::Recall { .. });
    let taken = desk.applied.effects.iter().find(recall);
    assert_eq!(taken, None, "it would only be granted ahead again");
}

#[test]
pub fn what_another_one_has_meanwhile_is_killed_where_it_runs() {
    let mut desk = Desk::new();
    desk.greets(ONE, 1, Vec::new());
    let granted = desk.submits(Care::default());
    let [(_, fence)] = granted[..] else { panic!("one lease is granted: {granted:?}") };
    desk.apply(vec![Command::WorkerSuspended { worker: ONE, session: Session(1) }]);
    desk.now = desk.now + LOST_AFTER;
    let (started, unsent) = (vec![fence], Vec::new());
    desk.apply(vec![Command::WorkerLost { worker: ONE, started, unsent }]);
    assert_eq!(desk.greets(TWO, 1, Vec::new()).len(), 1, "it waited");
    let (incarnation, session, regains) =
        (Incarnation { number: 1, nonce: 1 }, Session(9), vec![fence]);
    desk.apply(vec![Command::WorkerReady { worker: ONE, incarnation, session, regains }]);
    let kill = Effect::Kill { worker: WorkerNo(0), fence };
    assert!(desk.applied.effects.contains(&kill), "two go on with it");
    assert!(desk.state.lease(fence).is_none(), "two have it");
}
