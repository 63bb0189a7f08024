//! The runs of the coordinator in this process, asked through its handle.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use dagmar_common::ids::{Digest, Fence, RunId};
use dagmar_common::lease::LogPlace;
use dagmar_common::limits::{STAGE_CHUNK_BYTES, SUBMIT_INLINE_BYTES_MAX};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::Stream;
use dagmar_common::record::{Entry, RunRecord, RunSummary, words};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::{Begun, RunView};
use dagmar_coordinator_core::command::{Command, Part, Payload};
use dagmar_coordinator_core::effect::{Refusal, Reply};

use super::Entries;
use crate::handle::{Handle, Stopped};

/// How often a command is asked again when a change of leader dropped its entry, and a submission
/// when another one took what was staged for it.
pub(super) const TRIES_MAX: u32 = 10;
/// Before a submission whose graph is still being checked is asked again.
const LATER: Duration = Duration::from_millis(5);
/// Entries of a story that are on their way to whoever reads it.
const ENTRIES_MAX: usize = 256;

/// Where output of attempts is read: the segments of a worker here, or workers elsewhere.
pub trait Logs: Send + Sync + 'static {
    /// Hands on what an ended attempt wrote, until `take` says no.
    fn read(
        &self,
        place: &LogPlace,
        take: &mut dyn FnMut(Stream, &[u8]) -> bool,
    ) -> Result<(), Problem>;

    /// Something of what a running attempt wrote behind its first `from` bytes. None if it does
    /// not run (any more).
    fn live(&self, fence: Fence, from: u64) -> Result<Option<Live>, Problem>;
}

/// A piece of the output of a running attempt.
pub struct Live {
    pub pieces: Vec<(Stream, Vec<u8>)>,
    /// Where the next read begins.
    pub next: u64,
}

/// What this process knows of runs.
#[derive(Clone)]
pub struct Here {
    pub(super) handle: Handle,
    pub(super) logs: Arc<dyn Logs>,
    /// Why the driver ended, once it has.
    broken: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Here {
    pub fn new(
        handle: Handle,
        logs: Arc<dyn Logs>,
        broken: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Here { handle, logs, broken: Arc::new(broken) }
    }

    pub(super) fn stopped(&self, stopped: Stopped) -> Problem {
        let problem = Problem::new(Code::Interrupted, stopped.to_string());
        match (self.broken)() {
            Some(why) => problem.because(why),
            None => problem,
        }
    }

    pub(super) fn look<T: Send + 'static>(
        &self,
        run: &RunId,
        look: impl FnOnce(&RunView<'_>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let id = run.clone();
        let found = self.handle.read_with_begun(move |state, begun| {
            state.find_run(&id).map(|view| look(&view.with(begun)))
        });
        found.map_err(|stopped| self.stopped(stopped))?.ok_or_else(|| no_such_run(run))
    }

    /// The story with every attempt that is granted, also what waits for its cpus: it may begin
    /// any moment, and no entry tells of it.
    pub(super) fn granted(&self, run: &RunId) -> Result<Entries, Problem> {
        let (state, _) = self.handle.freeze().map_err(|stopped| self.stopped(stopped))?;
        entries(state, None, run.clone())
    }

    pub(super) fn propose(&self, command: &Command) -> Result<Reply, Problem> {
        match self.answer(command)? {
            Reply::Refused(refusal) => Err(refused(refusal)),
            reply => Ok(reply),
        }
    }

    /// Asks again with the same request where a change of leader dropped it.
    pub(super) fn answer(&self, command: &Command) -> Result<Reply, Problem> {
        let mut tries = 0;
        while tries < TRIES_MAX {
            match self.handle.propose(command.clone()) {
                Ok(Reply::Dropped) => tries += 1,
                // Its checks go on whoever asks, and they end.
                Ok(Reply::Later) => std::thread::sleep(LATER),
                Ok(reply) => return Ok(reply),
                Err(stopped) => return Err(self.stopped(stopped)),
            }
        }
        Err(Problem::new(Code::Busy, "the leader changed again and again; ask again later"))
    }

    /// What is too large for a submission goes ahead of it, in chunks. None: something of it was
    /// lost on the way, and it has to go again.
    pub(super) fn payload(&self, part: Part, bytes: &[u8]) -> Result<Option<Payload>, Problem> {
        if bytes.len() <= SUBMIT_INLINE_BYTES_MAX / 2 {
            return Ok(Some(Payload::Inline(bytes.to_vec())));
        }
        let digest = Digest::of(bytes);
        let total = bytes.len() as u64;
        let chunks = bytes.chunks(STAGE_CHUNK_BYTES).zip(0_u64..);
        let stage = |(chunk, place): (&[u8], u64)| Command::Stage {
            part,
            digest,
            offset: place * STAGE_CHUNK_BYTES as u64,
            total,
            bytes: chunk.to_vec(),
        };
        let commands = chunks.map(stage).collect();
        let replies = self.handle.propose_all(commands).map_err(|it| self.stopped(it))?;
        for reply in replies {
            match reply {
                Reply::Dropped | Reply::Refused(Refusal::NotStaged) => return Ok(None),
                Reply::Refused(refusal) => return Err(refused(refusal)),
                Reply::Done | Reply::Later | Reply::Submitted { .. } => {}
            }
        }
        Ok(Some(Payload::Staged(digest)))
    }
}

/// The entries of one run from a frozen state, by a thread that ends with them or their reader.
pub(super) fn entries(state: State, begun: Option<Begun>, run: RunId) -> Result<Entries, Problem> {
    let (sender, receiver) = bounded::<Result<Entry, Problem>>(ENTRIES_MAX);
    let tell = move || {
        let Some(view) = state.find_run(&run) else { return };
        let view = begun.as_ref().map_or(view, |begun| view.with(begun));
        for entry in view.node_records() {
            if sender.send(Ok(entry)).is_err() {
                return;
            }
        }
    };
    spawn("story", tell)?;
    Ok(Box::new(receiver.into_iter()))
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Problem> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|error| {
        Problem::new(Code::Busy, "there is no room for another thread")
            .because(error.to_string())
            .try_this("fewer processes of this user, or a higher `ulimit -u`")
    })
}

pub(super) fn summary(view: &RunView<'_>) -> RunSummary {
    let record = light_record(view);
    let context = record.context.to_json();
    // As the archive will tell it.
    let file = context["pipeline_file"].as_str().filter(|file| !file.is_empty());
    RunSummary::of(&record, file.unwrap_or(&view.graph().name))
}

/// Without the parameters: a list is not the place for them.
fn light_record(view: &RunView<'_>) -> RunRecord {
    let mut record = view.record();
    record.parameters_at_start.clear();
    record.parameters_at_end.clear();
    record
}

pub(super) fn no_such_run(run: &RunId) -> Problem {
    Problem::new(Code::NotFound, format!("there is no run {run} here")).try_this("dagmar ls")
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::RunIdTaken { run } => {
            Problem::new(Code::RunIdTaken, format!("the run id {run} is taken by another request"))
                .try_this("leave --run-id out, or choose another")
        }
        Refusal::NoSuchRun { run } => no_such_run(&run),
        Refusal::RunEnded { run, status } => {
            let status = words::of_run_spoken(status);
            Problem::new(Code::RunEnded, format!("{run} has ended: {status}"))
                .try_this(format!("dagmar show {run}"))
        }
        Refusal::BadGraph { why } => {
            Problem::new(Code::BadGraph, "the graph is not one that runs").because(why)
        }
        Refusal::BadParameters { why } => {
            Problem::new(Code::BadPipeline, "the parameters cannot be read").because(why)
        }
        Refusal::NotStaged | Refusal::StagingFull => {
            Problem::new(Code::Busy, "too much is being submitted at once; submit again later")
        }
        Refusal::RequestReused => {
            Problem::new(Code::RequestReused, "this request id was used before, for something else")
        }
    }
}
