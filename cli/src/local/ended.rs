//! Ended runs as their archives tell them: the questions of a live run, answered from the disk.

use crossbeam_channel::{Receiver, bounded};

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{
    Change, Detail, LogPiece, LogQuestion, Progress, Reason, StepProgress, choose,
};
use dagmar_common::record::{
    Alike, Counts, Entry, NodeRecord, NodeStatus, RunSummary, Submission, spread, words,
};
use dagmar_coordinator::services::{Runs, Story, stored};

use super::archive::Archive;
use crate::wiring::Wires;

/// One archive, asked as if it were a live run.
pub struct Ended {
    archive: Archive,
    wires: Wires,
}

impl Ended {
    pub fn new(archive: Archive, wires: Wires) -> Self {
        Ended { archive, wires }
    }

    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    fn refuse<T>(&self) -> Result<T, Problem> {
        let record = &self.archive.manifest.record;
        let (run, status) = (&record.run_id, words::of_run_spoken(record.status));
        Err(Problem::new(Code::RunEnded, format!("{run} has ended: {status}"))
            .try_this(format!("dagmar show {run}")))
    }

    fn summary(&self) -> RunSummary {
        RunSummary::of(&self.archive.manifest.record, &self.archive.manifest.pipeline)
    }
}

impl Runs for Ended {
    fn submit(&self, _submission: Submission) -> Result<RunId, Problem> {
        self.refuse()
    }

    fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        Ok(vec![self.summary()])
    }

    fn story(&self, _run: &RunId) -> Result<Story, Problem> {
        // Half an answer is none: what is damaged is found before anything is told.
        self.archive.verify_segments()?;
        self.archive.story()
    }

    fn progress(&self, _run: &RunId, most: usize) -> Result<Progress, Problem> {
        let mut steps: Vec<StepProgress> = Vec::new();
        for entry in self.archive.entries() {
            match entry? {
                Entry::Node(node) if !node.path.contains('.') => steps.push(step(&node)),
                Entry::Node(node) => {
                    if let Some(step) = steps.last_mut() {
                        count(&mut step.counts, node.status, 1);
                    }
                }
                Entry::Frame(frame) => {
                    if let Some(step) = steps.last_mut() {
                        let is_own = frame.path.matches('.').count() == 1;
                        step.frames_ended += u32::from(is_own && frame.status.has_ended());
                    }
                }
                Entry::Alike(alike) => {
                    if let Some(step) = steps.last_mut() {
                        count_alike(step, &alike);
                    }
                }
            }
        }
        let (steps, left_out) = choose(steps.into_iter(), most);
        Ok(Progress { summary: self.summary(), steps, left_out })
    }

    fn watch(&self, _run: &RunId, _detail: Detail) -> Result<Receiver<Change>, Problem> {
        let record = &self.archive.manifest.record;
        let (sender, receiver) = bounded(1);
        let at = record.ended.unwrap_or(record.submitted);
        let end =
            Change::Ended { at, status: record.status, reason: record.reason.as_str().into() };
        // The receiver is in this very function, so the one message has its place.
        let _ = sender.send(end);
        Ok(receiver)
    }

    fn logs(
        &self,
        _run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
        let logs = self.wires.logs(self.archive.logs());
        stored(self.archive.entries(), logs, question)
    }

    fn cancel(&self, _run: &RunId, _request: RequestId, _reason: &str) -> Result<(), Problem> {
        self.refuse()
    }

    fn why(&self, _run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem> {
        let mut reasons = Vec::new();
        if path.is_none() {
            let record = &self.archive.manifest.record;
            let mut sentence =
                format!("the run has ended: {}", words::of_run_spoken(record.status));
            if !record.reason.is_empty() {
                sentence += &format!(", {}", record.reason);
            }
            reasons.push(Reason { path: "".into(), sentence, details: Vec::new() });
        }
        for entry in self.archive.entries() {
            spread(entry?, &mut |entry| {
                let Entry::Node(node) = entry else { return Ok(()) };
                let is_asked = match path {
                    Some(path) => *path == *node.path,
                    None => node.status == NodeStatus::Failed && reasons.len() < REASONS_MAX,
                };
                if is_asked {
                    reasons.push(why_node(&node));
                }
                Ok::<(), Problem>(())
            })?;
        }
        Ok(reasons)
    }
}

/// Failed steps that the reasons of a whole run name.
const REASONS_MAX: usize = 10;

fn why_node(node: &NodeRecord) -> Reason {
    let attempts = node.attempts.len();
    let sentence = match node.status {
        NodeStatus::Succeeded if attempts > 1 => format!("succeeded at attempt {attempts}"),
        NodeStatus::Succeeded => "succeeded".to_owned(),
        NodeStatus::Failed => match node.attempts.last().and_then(|last| last.reason) {
            Some(reason) => format!("failed: {}", words::of_exit(reason)),
            None if node.reason.is_empty() => "failed".to_owned(),
            None => format!("failed: {}", node.reason),
        },
        NodeStatus::Skipped if node.reason.is_empty() => "skipped: nothing led to it".to_owned(),
        NodeStatus::Skipped => format!("skipped: {}", node.reason),
        NodeStatus::Cancelled => "cancelled".to_owned(),
        NodeStatus::Waiting | NodeStatus::Ready | NodeStatus::Leased => {
            "had not ended when the run did".to_owned()
        }
    };
    let details = node.attempts.iter().map(|attempt| {
        let (number, status) = (attempt.number, words::of_attempt_spoken(attempt.status));
        let reason = attempt.reason.map(words::of_exit).unwrap_or_default();
        let mut detail = format!("attempt {number} on {}: {status}", attempt.worker);
        if !reason.is_empty() {
            detail += &format!(" {reason}");
        }
        if let Some(took) = words::of_took(attempt.status, attempt.took) {
            detail += &format!(" after {took}");
        }
        detail
    });
    Reason { path: node.path.clone(), sentence, details: details.collect() }
}

/// Whether `path` is `asked` or lies in it.
pub fn is_inside(path: &str, asked: &str) -> bool {
    path.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn step(node: &NodeRecord) -> StepProgress {
    let (first, last) = (node.attempts.first(), node.attempts.last());
    StepProgress {
        name: node.path.clone(),
        status: node.status,
        attempt: last.map_or(0, |last| last.number),
        began: first.map(|first| first.began),
        took: last.filter(|last| last.status.has_duration()).map(|last| last.took),
        frames: node.frames,
        frames_ended: 0,
        counts: Counts::default(),
        reason: node.reason.clone(),
    }
}

fn count_alike(step: &mut StepProgress, alike: &Alike) {
    if !alike.composite.contains('.') && alike.status.has_ended() {
        step.frames_ended += alike.count;
    }
    for node in &alike.nodes {
        count(&mut step.counts, node.status, alike.count.into());
    }
}

fn count(counts: &mut Counts, status: NodeStatus, by: u64) {
    let place = match status {
        NodeStatus::Waiting => &mut counts.waiting,
        NodeStatus::Ready | NodeStatus::Leased => &mut counts.active,
        NodeStatus::Succeeded => &mut counts.succeeded,
        NodeStatus::Failed => &mut counts.failed,
        NodeStatus::Skipped => &mut counts.skipped,
        NodeStatus::Cancelled => &mut counts.cancelled,
    };
    *place += by;
}
