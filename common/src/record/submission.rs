//! A submission: everything that a run begins with, compiled, merged and checked.

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{RequestId, RunId};
use crate::value::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Kept over retries: a repeat gives the first answer.
    pub request: RequestId,
    pub run: RunId,
    /// The run id was made up, not asked for: one that is taken gets a suffix.
    pub generated: bool,
    pub tag: String,
    /// The canonical bytes of the graph.
    pub graph: Bytes,
    /// Sorted by name, each name once.
    pub parameters: Vec<(Arc<str>, Value)>,
    /// What is recorded with it: configuration, files. JSON.
    pub context: Value,
}
