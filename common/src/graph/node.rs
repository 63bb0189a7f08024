//! What a node is and what its task says: kinds, functions, policies, parameters.

use crate::ids::{CompositeNo, SectionNo, TaskNo};
use crate::time::Span;
use crate::value::Value;

/// What stands at one place of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Task(TaskNo),
    Composite(CompositeNo),
    /// Succeeds at once, inside apply.
    Stub,
    /// Terminals mark their frame; they too end inside apply.
    Success,
    Fail,
}

impl NodeKind {
    pub fn is_terminal(self) -> bool {
        matches!(self, NodeKind::Success | NodeKind::Fail)
    }
}

/// One computation with its policy. Equal tasks of a graph share one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub function: Function,
    /// At least 1.
    pub max_attempts: u32,
    /// None: the next attempt starts at once.
    pub backoff: Option<Backoff>,
    /// From the start of one attempt, held by the supervisor.
    pub time_limit: Option<Span>,
    pub resources: Resources,
    pub care: Care,
}

/// The wait before attempt n + 1: `first * 2^(n-1)`, at most `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backoff {
    pub first: Span,
    pub most: Span,
}

impl Backoff {
    /// `failed` attempts so far, at least 1.
    pub fn after(&self, failed: u32) -> Span {
        let doubled = self.first.0.checked_shl(failed.saturating_sub(1)).unwrap_or(u64::MAX);
        let doubled = if doubled >> failed.saturating_sub(1).min(63) == self.first.0 {
            doubled
        } else {
            u64::MAX
        };
        Span(doubled.min(self.most.0))
    }
}

/// What is computed, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Process(Command),
    /// Answered by the worker's agent itself; for `bench` only.
    Noop,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Run without a shell.
    Words(Vec<String>),
    /// A script for a shell.
    Script { text: String, shell: Shell },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shell {
    /// `/bin/sh -e -c`: any failing line counts.
    #[default]
    Sh,
}

/// What a trial occupies on its worker while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resources {
    /// Thousandths of a cpu.
    pub cpu_millis: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpu_millis: 1_000 }
    }
}

/// What a second process of the same trial would do harm to; nothing of it unless it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Care {
    /// `exclusive: true`: never two processes of it at once, anywhere. It is stopped rather than
    /// left to run where its worker hears of nobody.
    pub exclusive: bool,
    /// `idempotent: false`: never started twice. Where nobody knows how far it came, it fails.
    pub once: bool,
}

impl Care {
    /// It may be started again at any time, beside itself too.
    pub fn is_none(self) -> bool {
        self == Care::default()
    }
}

/// A node that runs sections instead of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    pub mode: CompositeMode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompositeMode {
    /// One frame of `body` for each item of the parameter `iterate_on`.
    Map {
        body: SectionNo,
        iterate_on: String,
        iterate_as: String,
        index_as: Option<String>,
        /// Frames at work at once; None: as many as the workers take.
        max_parallel: Option<u32>,
    },
}

impl Composite {
    /// The sections under it, in order of declaration.
    pub fn sections(&self) -> Vec<SectionNo> {
        match &self.mode {
            CompositeMode::Map { body, .. } => vec![*body],
        }
    }
}

/// A declared parameter of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub kind: ParameterKind,
    pub default: Option<Value>,
    pub description: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParameterKind {
    #[default]
    Any,
    Boolean,
    Integer,
    Number,
    Text,
    List,
    Object,
}
