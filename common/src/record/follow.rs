//! What somebody who follows a run is told: changes, progress, reasons, pieces of output.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AttemptStatus, Counts, NodeStatus, RunStatus, RunSummary};
use crate::lease::ExitReason;
use crate::time::{Span, WallTime};

/// How much of a run somebody wants to hear about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Ends of steps; inside a map only what did not succeed.
    #[default]
    Steps,
    /// Every change of every node.
    Everything,
}

/// One change of a run, in the order in which they were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Started {
        at: WallTime,
    },
    Step(StepChange),
    /// The reader was too slow: so many changes are missing here; progress tells where things are.
    Missed {
        count: u64,
    },
    /// Always the last.
    Ended {
        at: WallTime,
        status: RunStatus,
        reason: Arc<str>,
    },
}

/// A node that is no terminal came to stand otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepChange {
    pub at: WallTime,
    /// The dot path.
    pub path: Arc<str>,
    pub status: NodeStatus,
    /// The attempt that `status` is about; 0 for a node without trials.
    pub attempt: u32,
    /// The attempt whose end led here: of a node that is tried again too.
    pub ended: Option<AttemptEnd>,
    /// Why it was skipped, or failed without a trial.
    pub reason: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    pub number: u32,
    pub status: AttemptStatus,
    pub reason: Option<ExitReason>,
    pub took: Span,
    pub last_line: Arc<str>,
}

/// A run as one screen: its steps at the root, at most so many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub summary: RunSummary,
    pub steps: Vec<StepProgress>,
    /// Steps at the root that are not among `steps`.
    pub left_out: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepProgress {
    pub name: Arc<str>,
    pub status: NodeStatus,
    pub attempt: u32,
    pub began: Option<WallTime>,
    pub took: Option<Span>,
    /// A composite's frames and how many of them have ended; 0 of 0 for everything else.
    pub frames: u32,
    pub frames_ended: u32,
    /// A composite's nodes, in all its frames.
    pub counts: Counts,
    pub reason: Arc<str>,
}

/// Why something stands where it stands: a sentence, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The dot path of the step, or empty for the run itself.
    pub path: Arc<str>,
    pub sentence: String,
    pub details: Vec<String>,
}

/// Which output of a run somebody wants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuestion {
    /// A dot path: this step, or everything inside this composite or frame; None: the whole run.
    pub path: Option<Arc<str>>,
    /// None: every attempt.
    pub attempt: Option<u32>,
    /// Goes on until the run ends.
    pub follow: bool,
}

/// Bytes that a step wrote, as written, or the end of what an attempt wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    pub path: Arc<str>,
    pub attempt: u32,
    pub stream: Stream,
    pub bytes: Vec<u8>,
    /// Nothing more comes of this attempt.
    pub end: Option<LogEnd>,
}

/// What is missing at the end of an attempt's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Bytes beyond the bound.
    pub dropped: u64,
    /// Whoever kept it died: its last words may not have been kept.
    pub is_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Which `most` of `steps` are worth a line, in their own order, and how many are left out.
///
/// Failed ones first, then those at work, then the last that ended, then the first that wait.
pub fn choose(steps: impl Iterator<Item = StepProgress>, most: usize) -> (Vec<StepProgress>, u64) {
    let mut kept: BTreeMap<(u8, i64), (i64, StepProgress)> = BTreeMap::new();
    let mut left_out = 0;
    for (place, step) in (0_i64..).zip(steps) {
        kept.insert(interest(&step, place), (place, step));
        if kept.len() > most {
            kept.pop_last();
            left_out += 1;
        }
    }
    let mut chosen: Vec<_> = kept.into_values().collect();
    chosen.sort_unstable_by_key(|(place, _)| *place);
    (chosen.into_iter().map(|(_, step)| step).collect(), left_out)
}

/// Less is more interesting; unique by its second part.
fn interest(step: &StepProgress, place: i64) -> (u8, i64) {
    match step.status {
        NodeStatus::Failed => (0, place),
        NodeStatus::Leased => (1, place),
        NodeStatus::Ready if step.frames > 0 || step.attempt > 1 => (1, place),
        NodeStatus::Cancelled => (2, place),
        NodeStatus::Succeeded | NodeStatus::Skipped => (3, -place),
        NodeStatus::Ready => (4, place),
        NodeStatus::Waiting => (5, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, status: NodeStatus) -> StepProgress {
        StepProgress {
            name: name.into(),
            status,
            attempt: 1,
            began: None,
            took: None,
            frames: 0,
            frames_ended: 0,
            counts: Counts::default(),
            reason: "".into(),
        }
    }

    #[test]
    fn a_screen_shows_failures_work_and_the_latest_ends() {
        use NodeStatus::{Failed, Leased, Succeeded, Waiting};
        let steps = [
            ("a", Succeeded),
            ("b", Failed),
            ("c", Succeeded),
            ("d", Leased),
            ("e", Waiting),
            ("f", Waiting),
        ];
        let check = |most, expected: &str, left| {
            let all = steps.iter().map(|(name, status)| step(name, *status));
            let (chosen, left_out) = choose(all, most);
            let names: String = chosen.iter().map(|step| &*step.name).collect();
            assert_eq!((names.as_str(), left_out), (expected, left));
        };
        check(6, "abcdef", 0);
        check(5, "abcde", 1);
        check(3, "bcd", 3);
        check(1, "b", 5);
        check(0, "", 6);
    }
}
