//! How one trial ended: the one durable fact that a worker contributes.

use std::sync::Arc;

use crate::ids::Fence;
use crate::time::{Span, WallTime};
use crate::value::Value;

/// The end of one trial, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub fence: Fence,
    pub ending: Ending,
    /// By the worker's clock.
    pub began: WallTime,
    pub took: Span,
    /// Sorted by name, each name once. Only those of a success become parameters.
    pub outputs: Vec<Output>,
    /// Where its stdout and stderr lie; None if it wrote nothing.
    pub log: Option<LogPlace>,
    /// The last lines of a failure, for the run log itself.
    pub last_lines: Arc<str>,
}

impl Outcome {
    /// At most what it takes in a message or in the log.
    pub fn bytes(&self) -> usize {
        const FIXED: usize = 56;
        const FIXED_LOG: usize = 40;
        const FIXED_OUTPUT: usize = 24;
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|one| FIXED_OUTPUT + one.name.len() + one.value.spelled().len());
        let log = if self.log.is_some() { FIXED_LOG } else { 0 };
        FIXED + log + self.last_lines.len() + outputs.sum::<usize>()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    Failed(ExitReason),
    /// Stopped because its run was cancelled.
    Cancelled,
}

/// Why a trial failed, as a machine may ask; [`Outcome::last_lines`] is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    Code(u8),
    Signal(u8),
    /// Its own time limit passed.
    TimeLimit,
    /// The program could not be started; the errno.
    NotStarted(i32),
    /// What it wrote or exported could not be read as outputs, or was too large.
    BadOutput,
}

/// One parameter that a trial wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: Arc<str>,
    pub value: Value,
    pub way: OutputWay,
}

/// How an output came: it decides how items of a map merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputWay {
    /// A line in the file `$DAGMAR_OUTPUT`: the items of a map make a list of it.
    File,
    /// A `*_PRM_*` variable whose text changed, nothing declared: the last item wins.
    Variable,
}

/// A range in a worker's log segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// Whose chunks in that range; attempts that wrote side by side lie between one another.
    pub fence: Fence,
    pub segment: u32,
    pub offset: u64,
    pub length: u64,
    /// Bytes read beyond the bound and not kept.
    pub dropped: u64,
}
