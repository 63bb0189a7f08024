//! One class: what its trials need, how long they take, and the runs that wait in it.

use std::collections::BTreeSet;

use dagmar_common::graph::{Care, Resources};
use dagmar_common::ids::{RunNo, WorkerNo};
use dagmar_common::limits::{AHEAD_MAX, AHEAD_SPAN, AHEAD_TRIAL_MAX};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{LogTime, Span};

/// A new sample weighs one part in so many.
const MEAN_WEIGHT: u64 = 8;
/// The mean is kept in so many parts of a microsecond.
const MEAN_PARTS: u64 = 16;

#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub resources: Resources,
    pub care: Care,
    /// Mean time of its trials; None before the first one ended.
    pub mean: Option<u64>,
    /// Runs with ready trials. Follows from their queues.
    pub waiting: BTreeSet<Head>,
    /// Since when nothing of it could be placed.
    pub stuck_since: LogTime,
    /// New work came: every worker is to be looked at.
    pub is_new: bool,
    /// Where looking goes on.
    pub cursor: WorkerNo,
    pub reserved: Option<WorkerNo>,
}

/// A run in a class, in the order in which runs are served: fewest leases first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub leases: u32,
    pub run: RunNo,
    pub slot: u32,
}

impl Class {
    pub fn new(resources: Resources, care: Care, now: LogTime) -> Self {
        Class {
            resources,
            care,
            mean: None,
            waiting: BTreeSet::new(),
            stuck_since: now,
            is_new: false,
            cursor: WorkerNo(0),
            reserved: None,
        }
    }

    /// What one trial occupies; never nothing, so that leases are bounded.
    pub fn need(&self) -> u32 {
        self.resources.cpu_millis.max(1)
    }

    pub fn took(&mut self, span: Span) {
        let sample = span.0.saturating_mul(MEAN_PARTS);
        self.mean = Some(match self.mean {
            None => sample,
            Some(mean) if sample >= mean => mean + (sample - mean) / MEAN_WEIGHT,
            Some(mean) => mean - (mean - sample) / MEAN_WEIGHT,
        });
    }

    /// How many leases a worker may hold beyond what it can run. None where a lost worker would
    /// cost more than the wait: what it only queued would be kept from others, or be unknown.
    pub fn ahead(&self, cpu_millis: u32) -> u32 {
        if !self.care.is_none() && !lives(Mutant::OnceGrantedAhead) {
            return 0;
        }
        let Some(mean) = self.mean else { return 0 };
        let mean = (mean / MEAN_PARTS).max(1);
        if mean > AHEAD_TRIAL_MAX.0 {
            return 0;
        }
        let capacity = u64::from(cpu_millis / self.need());
        u32::try_from(capacity * AHEAD_SPAN.0 / mean).unwrap_or(AHEAD_MAX).min(AHEAD_MAX)
    }
}
