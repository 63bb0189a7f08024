//! The judge of promises: what was answered to anybody stays so, and what was accepted ends.

use std::collections::BTreeMap;

use dagmar_common::ids::{RequestId, RunId, RunNo};
use dagmar_common::lease::Ending;
use dagmar_common::record::{self, AttemptRecord, AttemptStatus, NodeRecord, RunStatus};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::effect::Reply;

use crate::judge::Judge;

/// A run that somebody was told of.
#[derive(Debug)]
struct Accepted {
    number: RunNo,
    /// Its record, once it has ended.
    record: Option<String>,
}

#[derive(Debug, Default)]
pub struct Promises {
    answers: BTreeMap<RequestId, Reply>,
    runs: BTreeMap<RunId, Accepted>,
    /// Of them, those whose submitter was answered.
    accepted: Vec<RunId>,
    pub records: u64,
}

impl Promises {
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

    /// After the calm: everything that was accepted has ended, and nothing is held for it.
    pub fn finish(&mut self, state: &State) {
        for (run, accepted) in &self.runs {
            assert!(accepted.record.is_some(), "run {run} was accepted and has no record");
            let summary = state.find_summary(run);
            let number = summary.map(|summary| summary.number);
            assert_eq!(number, Some(accepted.number), "run {run} has left no summary");
        }
        for worker in state.workers() {
            assert_eq!((worker.leases, worker.used), (0, 0), "a worker's capacity has leaked");
        }
    }
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
