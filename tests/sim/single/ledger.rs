//! The judge of the log: what was promised to anybody stays so, whatever crashed in between.

use std::collections::BTreeMap;

use dagmar_common::ids::{Digest, Fence, LogIndex, RequestId, RunId, RunNo};
use dagmar_common::lease::Ending;
use dagmar_common::record::{self, AttemptRecord, AttemptStatus, NodeRecord, RunStatus};
use dagmar_common::time::{BootTime, LogTime};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};

use super::host::chunks;
use crate::judge::Judge;

/// One committed entry and what it led to when it was applied first.
#[derive(Debug)]
struct Known {
    term: u64,
    bytes: Digest,
    replies: Vec<Reply>,
    effects: Vec<Effect>,
}

/// A run that somebody was told of.
#[derive(Debug)]
struct Accepted {
    number: RunNo,
    /// Its record, once it has ended.
    record: Option<String>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<LogIndex, Known>,
    last: Option<LogIndex>,
    last_fence: Fence,
    last_time: LogTime,
    /// The state that never died: it applies every entry once, and is never restored.
    pub shadow: State,
    answers: BTreeMap<RequestId, Reply>,
    runs: BTreeMap<RunId, Accepted>,
    /// Of them, those whose submitter was answered.
    accepted: Vec<RunId>,
    pub commands: u64,
    pub records: u64,
}

impl Ledger {
    /// A new process begins: what was applied before cannot be missing.
    pub fn recovered(&self, last: LogIndex) {
        let applied = self.last.unwrap_or_default();
        assert!(last >= applied, "entry {applied} was applied, and the log ends at {last}");
    }

    /// An entry was applied; true if it is the first time.
    pub fn applied(
        &mut self,
        position: Position,
        bytes: &[u8],
        batch: Batch,
        replies: &[Reply],
        effects: &[Effect],
    ) -> bool {
        let Position { index, term } = position;
        let bytes = Digest::of(bytes);
        if self.last.is_some_and(|last| index <= last) {
            let Some(known) = self.entries.get(&index) else { return false };
            assert_eq!((known.term, known.bytes), (term.0, bytes), "entry {index} was another");
            assert_eq!(known.replies, replies, "entry {index}, applied again");
            assert_eq!(known.effects, effects, "entry {index}, applied again");
            return false;
        }
        self.goes_on(index);
        self.commands += batch.commands.len() as u64;
        let mut shadow = Applied::default();
        self.shadow.apply(position, batch, &mut shadow);
        assert_eq!(shadow.replies, replies, "entry {index}, and the original");
        assert_eq!(shadow.effects, effects, "entry {index}, and the original");
        self.fences_grow(&shadow.effects);
        let Applied { replies, effects } = shadow;
        self.entries.insert(index, Known { term: term.0, bytes, replies, effects });
        true
    }

    /// Log time is elapsed time: it never goes back, and never runs faster than the world's, which
    /// is older than any log.
    pub fn time_is(&mut self, at: LogTime, now: BootTime) {
        assert!(at >= self.last_time, "log time went back from {:?} to {at:?}", self.last_time);
        assert!(at.0 <= now.0, "log time is {at:?} at {now:?} of the world");
        self.last_time = at;
    }

    pub fn fences_grow(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Start { fence, .. } = effect {
                assert!(*fence > self.last_fence, "fence {fence} after {}", self.last_fence);
                self.last_fence = *fence;
            }
        }
    }

    /// An entry without commands.
    pub fn marked(&mut self, position: Position) {
        let index = position.index;
        if self.last.is_none_or(|last| index > last) {
            self.goes_on(index);
        } else {
            assert!(!self.entries.contains_key(&index), "entry {index} had commands");
        }
    }

    fn goes_on(&mut self, index: LogIndex) {
        if let Some(last) = self.last {
            assert_eq!(index.0, last.0 + 1, "an entry is left out");
        }
        self.last = Some(index);
    }

    /// No process applies these again.
    pub fn forget_before(&mut self, index: LogIndex) {
        self.entries = self.entries.split_off(&index);
    }

    /// Somebody holds this answer; the same request never gets another.
    pub fn answered(&mut self, request: RequestId, reply: &Reply) {
        if let Reply::Submitted { run, number } = reply {
            let accepted = || Accepted { number: *number, record: None };
            let known = self.runs.entry(run.clone()).or_insert_with(accepted);
            assert_eq!(known.number, *number, "two runs are called {run}");
        }
        let before = self.answers.insert(request, reply.clone());
        if let (Reply::Submitted { run, .. }, None) = (reply, &before) {
            self.accepted.push(run.clone());
        }
        let first = before.as_ref().unwrap_or(reply);
        assert_eq!(first, reply, "request {} got two answers", request.0);
    }

    /// Of the runs that somebody was told of, one by its place.
    pub fn accepted(&self, place: usize) -> Option<&RunId> {
        self.accepted.get(place)
    }

    pub fn accepted_count(&self) -> usize {
        self.accepted.len()
    }

    /// A linearizable read sees what was acknowledged before it was asked.
    pub fn looked(&self, state: &State, run: &RunId) {
        assert!(is_there(state, run), "run {run} was acknowledged and is not there");
    }

    /// The record of a run that has ended is about to be all that is left of it.
    pub fn record(&mut self, state: &State, run: RunNo, judge: &Judge) {
        let Some(view) = state.run(run) else { return };
        assert_ne!(view.status(), RunStatus::Running, "run {run} is archived alive");
        let nodes = nodes_of(state, run);
        let ends = |node: &NodeRecord| node.status.has_ended();
        assert!(nodes.iter().all(ends), "run {run} has ended, and nodes of it have not");
        holds_outcomes(run, &nodes, judge);
        let record = format!("{:?} {nodes:?}", view.record());
        let accepted = Accepted { number: run, record: None };
        let known = self.runs.entry(view.run_id().clone()).or_insert(accepted);
        let before = known.record.get_or_insert_with(|| record.clone());
        assert!(*before == record, "run {run} is recorded anew:\n{before}\n{record}");
        self.records += 1;
    }

    /// After the calm: everything that was accepted has ended, and the state, in chunks, is the
    /// original's.
    pub fn finish(&mut self, state: &State, written: &[Vec<u8>]) {
        for (run, accepted) in &self.runs {
            assert!(accepted.record.is_some(), "run {run} was accepted and has no record");
            let summary = state.find_summary(run);
            let number = summary.map(|summary| summary.number);
            assert_eq!(number, Some(accepted.number), "run {run} has left no summary");
        }
        for worker in state.workers() {
            assert_eq!((worker.leases, worker.used), (0, 0), "a worker's capacity has leaked");
        }
        assert!(written == chunks(&self.shadow.freeze()), "the original is another state");
    }
}

fn is_there(state: &State, run: &RunId) -> bool {
    state.find_run(run).is_some() || state.find_summary(run).is_some()
}

pub fn nodes_of(state: &State, run: RunNo) -> Vec<NodeRecord> {
    let mut nodes = Vec::new();
    for entry in state.node_records(run).into_iter().flatten() {
        let spread = record::spread::<()>(entry, &mut |entry| {
            if let record::Entry::Node(node) = entry {
                nodes.push(node);
            }
            Ok(())
        });
        assert_eq!(spread, Ok(()));
    }
    nodes
}

/// Every outcome that a worker was told is recorded stands in the record, once and as it was, and
/// no attempt has two.
pub fn holds_outcomes(run: RunNo, nodes: &[NodeRecord], judge: &Judge) {
    for node in nodes {
        let lost = |attempt: &&AttemptRecord| attempt.status == AttemptStatus::Lost;
        let told = node.attempts.iter().filter(|attempt| !lost(attempt));
        let numbers: Vec<u32> = told.map(|attempt| attempt.number).collect();
        let once = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(once, "an attempt at {} of run {run} has two outcomes: {numbers:?}", node.path);
    }
    let nodes: BTreeMap<&str, &NodeRecord> = nodes.iter().map(|node| (&*node.path, node)).collect();
    for (path, attempt, outcome) in judge.outcomes_of(run) {
        let status = match outcome.ending {
            Ending::Succeeded => AttemptStatus::Succeeded,
            Ending::Failed(_) => AttemptStatus::Failed,
            Ending::Cancelled => AttemptStatus::Cancelled,
        };
        let attempts = nodes.get(&**path).map_or(&[][..], |node| &node.attempts);
        let found = attempts.iter().filter(|one| (one.number, one.status) == (attempt, status));
        assert_eq!(
            found.count(),
            1,
            "attempt {attempt} at {path} of run {run} was recorded as {status:?}: {attempts:?}"
        );
    }
}
