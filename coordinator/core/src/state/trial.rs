//! The row of a trial that has ended: what the run log tells of one attempt.

use std::sync::Arc;

use dagmar_common::ids::WorkerNo;
use dagmar_common::lease::{ExitReason, LogPlace, Output};
use dagmar_common::record::AttemptStatus;
use dagmar_common::time::{Span, WallTime};
use dagmar_common::view::View;

use super::column::Freeze;

#[derive(Clone, Debug)]
pub(crate) struct TrialRow {
    /// The trial of the same node before this one.
    pub previous: u32,
    pub worker: WorkerNo,
    pub number: u8,
    pub status: AttemptStatus,
    pub reason: Option<ExitReason>,
    pub began: WallTime,
    pub took: Span,
    pub granted: u64,
    pub recorded: u64,
    /// What its ancestors had written when it was granted.
    pub seen: View,
    /// What only few trials leave behind.
    pub rest: Option<Arc<TrialRest>>,
}

#[derive(Debug)]
pub(crate) struct TrialRest {
    pub outputs: Vec<Output>,
    pub log: Option<LogPlace>,
    pub last_lines: Arc<str>,
}

impl Freeze for TrialRow {}
