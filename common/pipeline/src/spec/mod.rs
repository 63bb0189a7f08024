//! A pipeline as it was written: typed, every reference with its place, nothing resolved yet.

mod command;
mod duration;
mod fields;
mod forms;
mod keys;
mod parameter;
mod pipeline;
mod policy;
mod step;

pub(crate) use parameter::{ParameterSpec, kind_word, value_fits};
pub(crate) use pipeline::{read, report_empty};

use dagmar_common::graph::Task;
use dagmar_common::time;

use crate::source::{Span, Spanned};

/// A whole file.
#[derive(Debug)]
pub(crate) struct PipelineSpec<'t> {
    pub name: String,
    pub description: String,
    pub parameters: Vec<ParameterSpec<'t>>,
    pub time_limit: Option<time::Span>,
    pub root: SectionSpec<'t>,
}

/// Steps under one `steps:`.
#[derive(Debug)]
pub(crate) struct SectionSpec<'t> {
    /// The key `steps`.
    pub span: Span,
    pub start_at: Option<Spanned<&'t str>>,
    pub steps: Vec<StepSpec<'t>>,
}

#[derive(Debug)]
pub(crate) struct StepSpec<'t> {
    pub name: Spanned<&'t str>,
    pub kind: StepKind<'t>,
    pub next: Option<Spanned<&'t str>>,
    pub on_failure: Option<Spanned<&'t str>>,
    pub needs: Option<NeedsSpec<'t>>,
}

#[derive(Debug)]
pub(crate) struct NeedsSpec<'t> {
    pub key: Span,
    pub names: Vec<Spanned<&'t str>>,
}

#[derive(Debug)]
pub(crate) enum StepKind<'t> {
    Task(Task),
    Map(Box<MapSpec<'t>>),
    Stub,
    Success,
    Fail,
    /// Reported already; it keeps its name, so that what refers to it is not reported too.
    Broken,
}

#[derive(Debug)]
pub(crate) struct MapSpec<'t> {
    pub iterate_on: Spanned<&'t str>,
    pub iterate_as: String,
    pub index_as: Option<String>,
    pub max_parallel: Option<u32>,
    pub body: SectionSpec<'t>,
}

impl StepKind<'_> {
    pub fn is_terminal(&self) -> bool {
        matches!(self, StepKind::Success | StepKind::Fail)
    }
}
