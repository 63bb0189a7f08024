//! Where the rooms of other crates are plugged into the commands: compiler, engine, log reader.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::Receiver;

use dagmar_common::ids::Digest;
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{Change, Detail};
use dagmar_common::value::Value;
use dagmar_coordinator::services::{Logs, Runs};

use crate::arguments::BenchArguments;
use crate::local::live::Live;

/// What the commands need and other crates know.
pub trait Wiring: Sync {
    /// Reads, compiles and checks a pipeline and what was given for its parameters.
    fn compile(&self, source: &PipelineSource) -> Result<Compiled, Findings>;

    /// The cluster of one live run, in this process.
    fn open(&self, live: &Live, opening: Opening) -> Result<Box<dyn Engine>, Problem>;

    /// The run in a live directory that nobody works on: nothing starts and nothing is written.
    fn look(&self, live_dir: &Path) -> Result<Arc<dyn Runs>, Problem>;

    /// What is read of a worker's log segments in a directory.
    fn logs(&self, directory: PathBuf) -> Arc<dyn Logs>;

    /// The life of the process that starts and owns task processes.
    fn supervisor(&self) -> ExitCode;

    fn bench(&self, arguments: &BenchArguments) -> Result<(), Problem>;
}

pub type Wires = &'static dyn Wiring;

/// A cluster in this process: one replica, one worker, one run.
pub trait Engine: Send {
    fn runs(&self) -> Arc<dyn Runs>;

    /// Changes of the one run from its beginning on, or from where it is resumed. Asked before
    /// the submission, so that nothing is missed.
    fn follow(&self, detail: Detail) -> Result<Receiver<Change>, Problem>;

    /// What a person is to know of the engine itself, while it works.
    fn notices(&self) -> Receiver<&'static str>;

    /// Kills what runs, at once. The run may stay interrupted; its cancel is durable by then.
    fn kill(&self);

    /// Stops every thread and the supervisor. What was acknowledged stays on the disk.
    fn close(self: Box<Self>);
}

/// What an engine is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// An empty directory; a submission comes next.
    New,
    /// An interrupted run goes on.
    Resume,
}

/// A pipeline and what was given for its parameters, unread.
#[derive(Clone, Debug, Default)]
pub struct PipelineSource {
    pub file: PathBuf,
    /// `--params`.
    pub parameters_file: Option<PathBuf>,
    /// Each `-p` as it was typed.
    pub arguments: Vec<String>,
    /// `*_PRM_*`: names and texts.
    pub environment: Vec<(String, String)>,
    /// Of the worker that is to run it; None: it is not to run now.
    pub cpu_millis: Option<u32>,
    pub with_color: bool,
}

#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the pipeline calls itself; empty: nothing.
    pub name: String,
    pub step_count: usize,
    /// Canonical bytes.
    pub graph: Bytes,
    /// Merged and checked, sorted by name.
    pub parameters: Vec<(Arc<str>, Value)>,
    pub warnings: Findings,
    /// Of the file's text: whoever resumes the run can tell whether it changed.
    pub source_digest: Digest,
}

/// Everything that was found in a pipeline and in what was given for its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub all: Vec<Finding>,
    /// As people read them: with excerpts, marks and a closing line.
    pub rendered: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub is_error: bool,
    /// `E0102`.
    pub code: String,
    pub message: String,
    /// `file:line:column`; empty for what stands in no file.
    pub place: String,
    pub help: String,
}
