//! A run as data: what the archive stores and what every rendering of a run log is made of.

#[cfg(test)]
mod fixture;
pub mod follow;
pub mod json;
pub mod segment;
mod story;
mod submission;
pub mod words;

use std::sync::Arc;

pub use story::{Alike, Entry, Folder, FrameRecord, RunSummary, spread};
pub use submission::Submission;

use crate::ids::{Digest, LogIndex, RunId};
use crate::lease::{ExitReason, LogPlace};
use crate::time::{Span, WallTime};
use crate::value::Value;

/// All that is known of one run besides its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub run_id: RunId,
    pub tag: String,
    pub generation: u32,
    pub graph: Digest,
    pub status: RunStatus,
    /// Why it ended so, where the status alone does not say: `time limit`, `cancelled by …`.
    pub reason: String,
    pub submitted: WallTime,
    pub ended: Option<WallTime>,
    /// Sorted by name.
    pub parameters_at_start: Vec<(Arc<str>, Value)>,
    pub parameters_at_end: Vec<(Arc<str>, Value)>,
    /// What the submitter recorded with it: configuration, files, code identity. JSON.
    pub context: Value,
    pub counts: Counts,
    pub first_index: LogIndex,
    pub last_index: LogIndex,
}

/// Which code lay there when steps began to run: one for each life of a run's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeIdentity {
    /// Steps that began from here on ran it.
    pub since: WallTime,
    /// The commit; empty where there is none.
    pub identifier: String,
    /// `git`.
    pub kind: String,
    /// Nothing that is tracked was changed.
    pub dependable: bool,
    pub url: String,
    /// What was changed, or why nothing is known.
    pub message: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunStatus {
    #[default]
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// Nodes (terminals aside) of a run or of one composite, frames included, by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    /// Ready or leased.
    pub active: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub cancelled: u64,
}

impl Counts {
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.skipped + self.cancelled
    }

    pub fn all(&self) -> u64 {
        self.waiting + self.active + self.ended()
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeStatus {
    #[default]
    Waiting,
    /// May run as soon as a worker takes it.
    Ready,
    Leased,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

impl NodeStatus {
    pub fn has_ended(self) -> bool {
        self >= NodeStatus::Succeeded
    }
}

/// One node of one frame, as the run log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// The dot path: `step`, `map.3.step`.
    pub path: Arc<str>,
    pub status: NodeStatus,
    /// Why it was skipped, or why it failed without a trial: `upstream failed: b`.
    pub reason: Arc<str>,
    pub attempts: Vec<AttemptRecord>,
    /// Of the entry that ended it.
    pub ended: Option<LogIndex>,
    /// What it wrote.
    pub outputs: Vec<(Arc<str>, Value)>,
    /// A composite's frames: how many there are.
    pub frames: u32,
}

impl NodeRecord {
    /// The attempt that goes by this number: of those that were lost and the one that was given
    /// again, the last.
    pub fn attempt(&self, number: u32) -> Option<&AttemptRecord> {
        self.attempts.iter().rfind(|attempt| attempt.number == number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    pub status: AttemptStatus,
    pub reason: Option<ExitReason>,
    pub began: WallTime,
    pub took: Span,
    pub worker: Arc<str>,
    pub log: Option<LogPlace>,
    pub last_lines: Arc<str>,
    /// What the attempt saw beyond the run's initial values, sorted by name: shared, not copied.
    /// Of more than [`crate::limits::ATTEMPT_SEEN_BYTES_MAX`] only what no earlier record of its
    /// frame said. The item of a map is its frame's label.
    pub parameters: Vec<(Arc<str>, Value)>,
    pub granted: LogIndex,
    pub recorded: LogIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptStatus {
    Running,
    Succeeded,
    Failed,
    Cancelled,
    /// Its worker or its supervisor died under it. The trial is given again under the same number,
    /// for no attempt is spent; of many such only [`crate::limits::LOST_ATTEMPTS_MAX`] are told.
    Lost,
    /// It may have run, and must not run twice.
    Unknown,
}

impl AttemptStatus {
    /// Of one that was lost nobody lived to tell how long it took.
    pub fn has_duration(self) -> bool {
        !matches!(self, AttemptStatus::Lost | AttemptStatus::Unknown)
    }
}
