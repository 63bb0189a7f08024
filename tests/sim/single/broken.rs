//! Histories that are wrong on purpose: every judge of a life sees its own kind of wrong.

use std::sync::Arc;

use dagmar_common::graph::{self, Graph, NodeKind, SectionBuilder, Task};
use dagmar_common::graph::{Command as Line, Function, Resources};
use dagmar_common::ids::{Fence, LogIndex, RequestId, RunId, RunNo, TaskNo, Term};
use dagmar_common::lease::{Ending, ExitReason, Start, ToWorker};
use dagmar_common::record::{AttemptRecord, AttemptStatus};
use dagmar_common::time::{BootTime, LogTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{Batch, Command, Payload, Position, Submit};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::leader::Closing;
use dagmar_coordinator_core::{State, stored};

use super::host::chunks;
use super::ledger::{Ledger, holds_outcomes, nodes_of};
use super::world::World;
use super::{agree, life, weather};
use crate::executor::outcome;
use crate::judge::Entry;
use crate::judge::Judge;
use crate::working::Worker;

/// A state, and the ledger of what was applied to it.
struct Book {
    state: State,
    ledger: Ledger,
    judge: Judge,
    index: u64,
    /// Of the last entry.
    bytes: Vec<u8>,
    batch: Option<Batch>,
    applied: Applied,
}

impl Book {
    fn new() -> Self {
        let mut book = Book {
            state: State::new(),
            ledger: Ledger::default(),
            judge: Judge::default(),
            index: 0,
            bytes: Vec::new(),
            batch: None,
            applied: Applied::default(),
        };
        let worker = Worker::new(0, 1_000, false).introduction(Span::from_secs(60));
        let born_ready = Some(Default::default());
        let hello = dagmar_coordinator_core::command::WorkerHello { born_ready, ..worker };
        book.apply(vec![Command::LeaderUp, Command::Hello(hello)]);
        book
    }

    fn position(&self) -> Position {
        Position { index: LogIndex(self.index), term: Term(1) }
    }

    fn apply(&mut self, commands: Vec<Command>) {
        self.index += 1;
        let at = LogTime(self.index);
        let batch = Batch { term: Term(1), at, wall: WallTime(0), commands };
        self.bytes.clear();
        stored::encode_batch(&batch, &mut self.bytes);
        self.state.apply(self.position(), batch.clone(), &mut self.applied);
        self.judge.applied(&Entry { batch: &batch, effects: &self.applied.effects });
        self.batch = Some(batch);
        self.enter();
    }

    /// The last entry, as it stands here now.
    fn enter(&mut self) -> bool {
        let batch = self.batch.clone().expect("something was applied");
        let Applied { replies, effects } = &self.applied;
        self.ledger.applied(self.position(), &self.bytes, batch, replies, effects)
    }

    /// A run of one process, which is started.
    fn submit(&mut self) -> Fence {
        let words = Line::Words(vec!["true".into()]);
        let mut graph = Graph { name: "broken".into(), ..Graph::default() };
        let (function, resources) = (Function::Process(words), Resources::default());
        let (max_attempts, backoff, time_limit) = (1, None, None);
        let care = Default::default();
        let task = Task { function, max_attempts, backoff, time_limit, resources, care };
        graph.tasks.push(task);
        let mut section = SectionBuilder::default();
        section.node("a", NodeKind::Task(TaskNo(0)), true);
        graph.sections.push(section.finish());
        let none: [(Arc<str>, Value); 0] = [];
        self.apply(vec![Command::Submit(Submit {
            request: RequestId(1),
            run: RunId::new("run"),
            generated: false,
            tag: String::new(),
            graph: Payload::Inline(graph::encode(&graph.finish())),
            parameters: Payload::Inline(stored::encode_parameters(&none)),
            context: Value::from_loose("{}"),
        })]);
        let start = self.applied.effects.iter().find_map(|effect| match effect {
            Effect::Start { worker, fence } => self.state.start_message(*worker, *fence),
            _ => None,
        });
        let start = start.expect("it is granted");
        self.judge.sent(&start);
        self.ledger.answered(RequestId(1), &self.applied.replies[0]);
        start.fence
    }

    fn end(&mut self, fence: Fence, ending: Ending) {
        let worker = Worker::new(0, 1_000, false).id;
        let outcomes = vec![outcome(fence, ending, BootTime(1))];
        self.apply(vec![Command::Outcomes { worker, outcomes }]);
    }

    /// An entry that records the outcome, whatever the state made of it.
    fn answers_falsely(&mut self, fence: Fence, ending: Ending) {
        let worker = Worker::new(0, 1_000, false).id;
        let outcomes = vec![outcome(fence, ending, BootTime(1))];
        let batch = Batch {
            commands: vec![Command::Outcomes { worker, outcomes }],
            ..self.batch.clone().expect("something was applied")
        };
        let effects = [Effect::Recorded { worker: Default::default(), fence }];
        self.judge.applied(&Entry { batch: &batch, effects: &effects });
    }

    fn archive(&mut self) {
        self.ledger.record(&self.state, RunNo(1), &self.judge);
        self.apply(vec![Command::Archived { run: RunId::new("run") }]);
    }
}

fn finish(ledger: &mut Ledger, state: &mut State) {
    let written = chunks(&state.freeze());
    ledger.finish(state, &written);
}

#[test]
fn a_right_history_passes() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    assert!(!book.enter(), "applied again after a restart");
    book.ledger.record(&book.state, RunNo(1), &book.judge);
    book.archive();
    book.ledger.recovered(LogIndex(book.index));
    book.ledger.looked(&book.state, &RunId::new("run"));
    finish(&mut book.ledger, &mut book.state);
}

#[test]
#[should_panic(expected = "was applied, and the log ends at 1")]
fn a_log_that_lost_what_was_applied() {
    let mut book = Book::new();
    book.submit();
    book.ledger.recovered(LogIndex(1));
}

#[test]
#[should_panic(expected = "entry 2 was another")]
fn an_entry_that_is_another_after_a_restart() {
    let mut book = Book::new();
    book.submit();
    book.bytes.push(0);
    book.enter();
}

#[test]
#[should_panic(expected = "entry 2, applied again")]
fn an_entry_that_does_something_else_the_second_time() {
    let mut book = Book::new();
    book.submit();
    book.applied.effects.pop();
    book.enter();
}

#[test]
#[should_panic(expected = "entry 2, and the original")]
fn a_restored_state_that_does_something_else() {
    let mut book = Book::new();
    book.state = State::new();
    book.submit();
}

#[test]
#[should_panic(expected = "an entry is left out")]
fn an_entry_that_is_left_out() {
    let mut book = Book::new();
    book.index += 1;
    book.apply(vec![Command::Continue]);
}

#[test]
#[should_panic(expected = "fence 3 after 3")]
fn a_fence_that_does_not_grow() {
    let start = Effect::Start { worker: Default::default(), fence: Fence(3) };
    Ledger::default().fences_grow(&[start.clone(), start]);
}

#[test]
#[should_panic(expected = "log time went back")]
fn a_log_time_that_goes_back() {
    let mut ledger = Ledger::default();
    ledger.time_is(LogTime(7), BootTime(9));
    ledger.time_is(LogTime(6), BootTime(9));
}

#[test]
#[should_panic(expected = "of the world")]
fn a_log_time_that_runs_ahead() {
    Ledger::default().time_is(LogTime(10), BootTime(9));
}

#[test]
#[should_panic(expected = "request 1 got two answers")]
fn a_request_with_two_answers() {
    let mut book = Book::new();
    book.submit();
    book.ledger.answered(RequestId(1), &Reply::Done);
}

#[test]
#[should_panic(expected = "run run was acknowledged and is not there")]
fn a_run_that_is_not_there() {
    let mut book = Book::new();
    book.submit();
    book.ledger.looked(&State::new(), &RunId::new("run"));
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
    finish(&mut book.ledger, &mut book.state);
}

#[test]
#[should_panic(expected = "a worker's capacity has leaked")]
fn a_lease_that_is_left_over() {
    let mut book = Book::new();
    book.submit();
    finish(&mut Ledger::default(), &mut book.state);
}

#[test]
#[should_panic(expected = "the original is another state")]
fn a_state_that_is_not_the_originals() {
    let mut book = Book::new();
    finish(&mut book.ledger, &mut State::new());
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
#[should_panic(expected = "an attempt at a of run 1 has two outcomes")]
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
#[should_panic(expected = "closed: OutOfOrder")]
fn a_stream_that_reorders() {
    Judge::default().leader_closed(Closing::OutOfOrder);
}

#[test]
#[should_panic(expected = "entry 2 had commands")]
fn an_entry_that_was_full_and_is_empty_after_a_restart() {
    let mut book = Book::new();
    book.submit();
    book.ledger.marked(book.position());
}

#[test]
#[should_panic(expected = "two runs are called run")]
fn a_run_id_that_was_given_twice() {
    let mut book = Book::new();
    book.submit();
    let reply = Reply::Submitted { run: RunId::new("run"), number: RunNo(2) };
    book.ledger.answered(RequestId(2), &reply);
}

#[test]
#[should_panic(expected = "run 1 is recorded anew")]
fn a_record_that_changes() {
    let mut book = Book::new();
    let fence = book.submit();
    book.end(fence, Ending::Succeeded);
    book.ledger.record(&book.state, RunNo(1), &book.judge);
    let mut other = Book::new();
    let fence = other.submit();
    other.end(fence, Ending::Cancelled);
    book.ledger.record(&other.state, RunNo(1), &Judge::default());
}

/// A machine that once decides otherwise: a draw that the seed does not know of.
#[test]
#[should_panic(expected = "the same seed gives another history")]
fn a_life_that_is_not_its_seeds() {
    let right = life(7, false);
    let mut other = World::new(7);
    other.around.random.below(2);
    other.live(weather(7));
    agree(&right, &other);
}

#[test]
#[should_panic(expected = "somebody is awake for nothing")]
fn a_world_whose_time_stands_still() {
    let mut world = World::new(1);
    world.around.disk.dawdles = true;
    world.live(Span::from_secs(10));
}

/// Found by lives alone: this disk forgets its last entry at some crashes.
#[test]
#[should_panic(expected = "was applied, and the log ends")]
fn a_disk_that_forgets() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.around.disk.forgets = true;
        world.live(Span::from_secs(60));
    }
}
