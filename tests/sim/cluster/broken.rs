//! Histories that are wrong on purpose: every judge of a life sees its own kind of wrong.

use dagmar_common::graph::Care;
use dagmar_common::ids::{Fence, LogIndex, RequestId, RunId, RunNo, Term};
use dagmar_common::lease::{Ending, ExitReason, Start, ToWorker};
use dagmar_common::record::{AttemptRecord, AttemptStatus};
use dagmar_common::time::{BootTime, LogTime, Span, WallTime};
use dagmar_coordinator_core::command::{Batch, Command, Position, Submit};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::{State, stored};
use dagmar_member::Entry;
use dagmar_replica::durable::BOOTSTRAP;
use dagmar_worker_core::Stop;

use super::air::Air;
use super::clients::{Look, saw};
use super::promises::{Promises, holds_outcomes, nodes_of};
use super::witness::Witness;
use crate::executor::outcome;
use crate::judge::{self, Judge};
use crate::linear::{self, Saw};
use crate::random::Random;
use crate::scenario::desk::submission;
use crate::working::Worker;

/// A state, and the judges of what was applied to it.
struct Book {
    state: State,
    witness: Witness,
    promises: Promises,
    judge: Judge,
    /// The last one.
    entry: Entry,
    batch: Batch,
    applied: Applied,
}

impl Book {
    fn new() -> Self {
        let (position, bytes) = (Position { index: BOOTSTRAP.0, term: Term(1) }, None);
        let batch =
            Batch { term: Term(1), at: LogTime(0), wall: WallTime(0), commands: Vec::new() };
        let mut book = Book {
            state: State::new(),
            witness: Witness::default(),
            promises: Promises::default(),
            judge: Judge::default(),
            entry: Entry { position, bytes },
            batch,
            applied: Applied::default(),
        };
        let worker = Worker::new(0, 1_000).introduction(Span::from_secs(60));
        let born_ready = Some(Default::default());
        let hello = dagmar_coordinator_core::command::WorkerHello { born_ready, ..worker };
        book.apply(vec![Command::LeaderUp, Command::Hello(hello)]);
        book
    }

    fn apply(&mut self, commands: Vec<Command>) {
        self.entry.position.index.0 += 1;
        let at = LogTime(self.entry.position.index.0);
        self.batch = Batch { term: Term(1), at, wall: WallTime(0), commands };
        let mut bytes = Vec::new();
        stored::encode_batch(&self.batch, &mut bytes);
        self.entry.bytes = Some(bytes.into());
        self.applied.clear();
        self.state.apply(self.entry.position, self.batch.clone(), &mut self.applied);
        let effects = &self.applied.effects;
        self.judge.applied(&judge::Entry { batch: &self.batch, effects });
        self.enter();
    }

    /// The last entry, as it stands here now; true if it is the first time.
    fn enter(&mut self) -> bool {
        let Applied { replies, effects } = &self.applied;
        self.witness.applied(&self.entry, replies, effects).is_some()
    }

    /// A run of one process, which is started.
    fn submit(&mut self) -> Fence {
        let run = RunId::new("run");
        let submit = Submit { run, ..submission(1, 1, Care::default(), 1_000) };
        self.apply(vec![Command::Submit(submit)]);
        let start = self.applied.effects.iter().find_map(|effect| match effect {
            Effect::Start { worker, fence } => self.state.start_message(*worker, *fence),
            _ => None,
        });
        let start = start.expect("it is granted");
        self.judge.sent(&start);
        self.promises.answered(RequestId(1), &self.applied.replies[0]);
        start.fence
    }

    fn end(&mut self, fence: Fence, ending: Ending) {
        let worker = Worker::new(0, 1_000).id;
        let outcomes = vec![outcome(fence, ending, BootTime(1))];
        self.apply(vec![Command::Outcomes { worker, outcomes }]);
    }

    /// An entry that records the outcome, whatever the state made of it.
    fn answers_falsely(&mut self, fence: Fence, ending: Ending) {
        let worker = Worker::new(0, 1_000).id;
        let outcomes = vec![outcome(fence, ending, BootTime(1))];
        let batch =
            Batch { commands: vec![Command::Outcomes { worker, outcomes }], ..self.batch.clone() };
        let effects = [Effect::Recorded { worker: Default::default(), fence }];
        self.judge.applied(&judge::Entry { batch: &batch, effects: &effects });
    }

    fn archive(&mut self) {
        self.promises.record(&self.state, RunNo(1), &self.judge);
        self.apply(vec![Command::Archived { run: RunId::new("run") }]);
    }
}

#[test]
fn a_right_history_passes() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    assert!(!book.enter(), "applied again after a restart");
    book.promises.record(&book.state, RunNo(1), &book.judge);
    book.archive();
    book.witness.recovered(book.witness.last(), book.entry.position.index);
    book.promises.finish(&book.state);
    book.witness.finish(book.entry.position.index, &book.state.freeze());
}

#[test]
#[should_panic(expected = "was applied, and the log ends at 1")]
fn a_log_that_lost_what_was_applied() {
    let mut book = Book::new();
    book.submit();
    book.witness.recovered(book.entry.position.index, LogIndex(1));
}

#[test]
#[should_panic(expected = "entry 3 is another")]
fn an_entry_that_is_another_elsewhere() {
    let mut book = Book::new();
    book.submit();
    book.entry.bytes = Some(b"other"[..].into());
    book.enter();
}

#[test]
#[should_panic(expected = "entry 3 is another")]
fn an_entry_that_is_of_another_term_elsewhere() {
    let mut book = Book::new();
    book.submit();
    book.entry.position.term = Term(2);
    book.enter();
}

#[test]
#[should_panic(expected = "entry 3, and what the witness makes of it")]
fn an_entry_that_does_something_else_elsewhere() {
    let mut book = Book::new();
    book.submit();
    book.applied.effects.pop();
    book.enter();
}

#[test]
#[should_panic(expected = "entry 3, and what the witness answers")]
fn an_entry_that_is_answered_otherwise_elsewhere() {
    let mut book = Book::new();
    book.submit();
    book.applied.replies[0] = Reply::Done;
    book.enter();
}

#[test]
#[should_panic(expected = "and what the witness")]
fn a_restored_state_that_does_something_else() {
    let mut book = Book::new();
    book.state = State::new();
    book.submit();
}

#[test]
#[should_panic(expected = "another state than the witness's behind entry 8")]
fn a_state_that_is_another_and_does_the_same() {
    let mut book = Book::new();
    book.witness.looks_closely = true;
    (0..6).for_each(|_| book.apply(vec![Command::Continue]));
    book.witness.compare(book.entry.position.index, &book.state.freeze());
    book.witness.compare(book.entry.position.index, &State::new().freeze());
}

#[test]
#[should_panic(expected = "a durable snapshot holds it")]
fn an_entry_that_comes_again_from_before_every_log() {
    let mut book = Book::new();
    book.submit();
    book.witness.forget_before(LogIndex(9));
    book.enter();
}

#[test]
#[should_panic(expected = "a replica stays behind")]
fn a_replica_that_stays_behind() {
    let mut book = Book::new();
    book.witness.finish(LogIndex(1), &book.state.freeze());
}

#[test]
#[should_panic(expected = "an entry is left out")]
fn an_entry_that_is_left_out() {
    let mut book = Book::new();
    book.entry.position.index.0 += 1;
    book.apply(vec![Command::Continue]);
}

#[test]
#[should_panic(expected = "fence 3 after 3")]
fn a_fence_that_does_not_grow() {
    let start = Effect::Start { worker: Default::default(), fence: Fence(3) };
    Witness::default().fences_grow(&[start.clone(), start]);
}

#[test]
#[should_panic(expected = "request 1 got two answers")]
fn a_request_with_two_answers() {
    let mut book = Book::new();
    book.submit();
    book.promises.answered(RequestId(1), &Reply::Done);
}

/// What a client saw, under the name of a run that was acknowledged.
fn check_look(state: &State, book: &Book) {
    let (run, mut seen) = (RunId::new("run"), linear::History::default());
    let asked = seen.submits(&run);
    seen.answered(asked, &run, Saw::Made);
    let asked = seen.asks();
    seen.answered(asked, &run, saw(state, &Look(run.clone())));
    assert_eq!(book.promises.accepted_count(), 1);
    seen.judge();
}

#[test]
fn a_run_that_is_there() {
    let mut book = Book::new();
    book.submit();
    check_look(&book.state, &book);
}

#[test]
#[should_panic(expected = "no order explains run run")]
fn a_run_that_is_not_there() {
    let mut book = Book::new();
    book.submit();
    check_look(&State::new(), &book);
}

#[test]
#[should_panic(expected = "run 1 is archived alive")]
fn a_run_that_is_archived_before_its_end() {
    let mut book = Book::new();
    book.submit();
    book.archive();
}

#[test]
#[should_panic(expected = "was recorded as Succeeded")]
fn an_outcome_that_its_record_does_not_hold() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Failed(ExitReason::Code(1)));
    let mut other = Book::new();
    let fence = other.submit();
    other.end(fence, Ending::Succeeded);
    book.judge = other.judge;
    book.archive();
}

#[test]
#[should_panic(expected = "was accepted and has no record")]
fn a_run_that_never_ends() {
    let mut book = Book::new();
    book.submit();
    book.promises.finish(&book.state);
}

#[test]
#[should_panic(expected = "a worker's capacity has leaked")]
fn a_lease_that_is_left_over() {
    let mut book = Book::new();
    book.submit();
    Promises::default().finish(&book.state);
}

#[test]
#[should_panic(expected = "the witness's is another state")]
fn a_state_that_is_not_that_of_the_witness() {
    let mut book = Book::new();
    book.witness.finish(book.entry.position.index, &State::new().freeze());
}

#[test]
#[should_panic(expected = "succeeded and is started again")]
fn a_step_that_is_started_again() {
    let mut book = Book::new();
    let worker = Default::default();
    let fence = book.submit();
    let start = book.state.start_message(worker, fence).expect("it is leased");
    book.end(fence, Ending::Succeeded);
    book.judge.sent(&start);
}

/// Somebody is told that the outcome of the fence stands.
fn check_answer(fence_of: impl FnOnce(&mut Book) -> Fence) {
    let mut book = Book::new();
    let fence = fence_of(&mut book);
    book.judge.delivered(&ToWorker::Recorded(vec![fence]));
}

#[test]
fn an_answer_that_is_in_the_log() {
    check_answer(|book| {
        let fence = book.submit();
        book.end(fence, Ending::Succeeded);
        fence
    });
}

#[test]
#[should_panic(expected = "is answered out of thin air")]
fn an_answer_that_no_entry_gave() {
    check_answer(Book::submit);
}

/// The log says the one, and a second outcome under the same fence is answered as recorded too.
#[test]
#[should_panic(expected = "has two outcomes")]
fn two_outcomes_under_one_fence() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    book.end(fence, Ending::Succeeded);
    book.answers_falsely(fence, Ending::Failed(ExitReason::Code(1)));
}

#[test]
#[should_panic(expected = "has two outcomes")]
fn two_fences_with_an_outcome_for_one_attempt() {
    let mut book = Book::new();
    let worker = Default::default();
    let fence = book.submit();
    let mut start = book.state.start_message(worker, fence).expect("it is leased");
    book.end(fence, Ending::Succeeded);
    // As a judge that saw the step begin once more before its end would have it.
    start.fence = Fence(fence.0 + 1);
    let mut judge = Judge::default();
    judge.sent(&Start { fence, ..start.clone() });
    judge.sent(&start);
    book.judge = judge;
    book.answers_falsely(fence, Ending::Succeeded);
    book.answers_falsely(start.fence, Ending::Succeeded);
}

#[test]
#[should_panic(expected = "an attempt at s0 of run 1 has two outcomes")]
fn a_record_with_two_outcomes_for_one_attempt() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    let mut nodes = nodes_of(&book.state, RunNo(1));
    let attempts = &mut nodes[0].attempts;
    attempts.insert(0, AttemptRecord { status: AttemptStatus::Failed, ..attempts[0].clone() });
    holds_outcomes(RunNo(1), &nodes, &book.judge);
}

#[test]
#[should_panic(expected = "has an outcome and was never sent")]
fn an_outcome_of_a_trial_that_was_never_sent() {
    let mut book = Book::new();
    let fence = book.submit();
    book.judge = Judge::default();
    book.end(fence, Ending::Succeeded);
}

#[test]
#[should_panic(expected = "our own kill is recorded")]
fn a_kill_of_ours_as_the_end_of_a_trial() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Failed(ExitReason::Signal(9)));
}

#[test]
#[should_panic(expected = "fence 1 twice")]
fn a_fence_that_names_two_trials() {
    let mut book = Book::new();
    let fence = book.submit();
    let mut start = book.state.start_message(Default::default(), fence).expect("it is leased");
    start.name.path = "another".into();
    book.judge.sent(&start);
}

#[test]
#[should_panic(expected = "entry 3 is another")]
fn an_entry_that_was_full_and_is_empty_elsewhere() {
    let mut book = Book::new();
    book.submit();
    book.entry.bytes = None;
    book.applied.clear();
    book.enter();
}

/// A worker kills the first process that it was told to run, whatever it was told since.
fn check_stop(book: Book, lives_later: u64) {
    let mut air = Air::new(Vec::new(), Random::new(1));
    let mut worker = Worker::new(0, 1_000);
    worker.incarnation.number += lives_later;
    air.witness = book.witness;
    air.stopped(worker.id, worker.incarnation, Fence(1), Stop::NotLeased);
}

#[test]
fn a_copy_of_a_worker_stops_what_is_not_its_own() {
    let mut book = Book::new();
    book.submit();
    check_stop(book, 1);
}

#[test]
fn what_is_cancelled_is_stopped() {
    let mut book = Book::new();
    book.submit();
    let (request, run) = (RequestId(7), RunId::new("run"));
    book.apply(vec![Command::Cancel { request, run, reason: String::new() }]);
    check_stop(book, 0);
}

#[test]
#[should_panic(expected = "live lease 1 is stopped")]
fn the_work_of_a_live_lease_that_is_killed() {
    let mut book = Book::new();
    book.submit();
    check_stop(book, 0);
}

#[test]
#[should_panic(expected = "fence 1 waits and is stopped")]
fn the_work_of_a_trial_that_waits_that_is_killed() {
    let mut book = Book::new();
    book.submit();
    let mut newer = Worker::new(0, 1_000);
    newer.incarnation.number += 1;
    book.apply(vec![Command::Hello(newer.introduction(Span::from_secs(60)))]);
    check_stop(book, 0);
}

#[test]
#[should_panic(expected = "two runs are called run")]
fn a_run_id_that_was_given_twice() {
    let mut book = Book::new();
    book.submit();
    let reply = Reply::Submitted { run: RunId::new("run"), number: RunNo(2) };
    book.promises.answered(RequestId(2), &reply);
}

#[test]
#[should_panic(expected = "run 1 is recorded anew")]
fn a_record_that_changes() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    book.promises.record(&book.state, RunNo(1), &book.judge);
    let mut other = Book::new();
    let fence = other.submit();
    other.end(fence, Ending::Cancelled);
    book.promises.record(&other.state, RunNo(1), &Judge::default());
}
