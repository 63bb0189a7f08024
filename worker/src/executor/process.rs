//! The process executor: trials of shell commands in, begun and finished trials out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagmar_common::graph::{Command, Function, Shell};
use dagmar_common::ids::Fence;
use dagmar_common::lease::Start;
use dagmar_common::limits::{GRACE, LOG_BYTES_MAX};
use dagmar_common::time::{BootTime, Span};
use dagmar_supervisor::bounds::NEVER;
use dagmar_supervisor::packed::Packed;
use dagmar_supervisor::protocol::{Request, RequestBatch, Spawn};
use rustix::io::Errno;
use tracing::{debug, error, warn};

use super::listen::Listener;
use super::trials::{Report, Running, Shared, State, not_started};
use crate::logs::segments::Segments;
use crate::records::{self, Left, Records};
use crate::supervisor::{Mark, Supervisor, Tie, this_program};
use crate::task::environment::{Environments, Prepared};
use crate::task::exports;

/// Where and how tasks run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds records, logs, and the files of tasks; nobody else writes there.
    pub root: PathBuf,
    /// What tasks run in.
    pub directory: PathBuf,
    /// What tasks see of the surroundings of their worker.
    pub environment: Vec<(OsString, OsString)>,
    /// What is started as supervisor: it calls [`dagmar_supervisor::main`] at once.
    pub program: PathBuf,
    /// Between TERM and KILL.
    pub grace: Span,
    /// What becomes of tasks without this process. Those of a local run die with it, and what is
    /// exclusive has no deadline there, only its guard: its coordinator dies too.
    pub tie: Tie,
}

impl Config {
    /// Tasks run in `directory` and see the environment of this process.
    pub fn in_place(root: PathBuf, directory: PathBuf) -> Self {
        Config {
            root,
            directory,
            environment: std::env::vars_os().collect(),
            program: this_program(),
            grace: GRACE,
            tie: Tie::Dies,
        }
    }
}

/// A running executor. Dropped, it kills what it runs.
pub struct Processes {
    supervisor: Supervisor,
    shared: Arc<Shared>,
    directory: Packed,
    grace_us: u64,
    /// What an earlier life had been asked for and was not answered for.
    left: Vec<Fence>,
}

/// How many processes an earlier life left in `root`, killed; before anything new starts there.
pub fn sweep(root: &Path) -> io::Result<usize> {
    Ok(Left::read(&root.join(records::FILE))?.sweep())
}

impl Processes {
    /// Kills what an earlier life left behind, and starts a supervisor; of what it is given more
    /// than `cpu_millis` never run at once. `tell` is called on a thread of its own, with all that
    /// is known at that moment.
    pub fn start(
        config: &Config,
        cpu_millis: u32,
        tell: impl FnMut(Vec<Report>) + Send + 'static,
    ) -> io::Result<Self> {
        let logs = Arc::new(Segments::open(&config.root.join("logs"))?);
        Processes::after(logs, config, cpu_millis, tell)
    }

    /// The same after a supervisor that died: whoever reads output goes on reading it there.
    pub fn after(
        logs: Arc<Segments>,
        config: &Config,
        cpu_millis: u32,
        mut tell: impl FnMut(Vec<Report>) + Send + 'static,
    ) -> io::Result<Self> {
        let left = Left::read(&config.root.join(records::FILE))?;
        let killed = left.sweep();
        let left: Vec<Fence> = left.open.into_keys().collect();
        if killed > 0 {
            warn!("killed {killed} processes that an earlier worker had left");
        }
        let mark = Mark::random()?;
        let mut hello = RequestBatch::default();
        let tasks = config.root.join("tasks");
        let inherited = config.environment.iter().cloned();
        let state = State {
            running: HashMap::new(),
            environments: Environments::new(tasks, inherited, &mut hello),
            records: Records::create(&config.root.join(records::FILE), &mark, &left)?,
            left: left.clone(),
            waiting: RequestBatch::default(),
            lost: false,
        };
        let shared = Shared::new(state, logs);
        let mut listener = Listener::new(shared.clone());
        let (program, tie) = (&config.program, &config.tie);
        let supervisor = Supervisor::start(program, mark, cpu_millis, tie, move |said| {
            let reports = listener.hear(said);
            if !reports.is_empty() {
                tell(reports);
            }
        })?;
        if config.tie == Tie::Dies {
            hello.push(&Request::Deadline { at_us: NEVER });
        }
        supervisor.send(&hello)?;
        let mut directory = Packed::new();
        if !directory.push(config.directory.as_os_str().as_bytes()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a directory with a NUL"));
        }
        let grace_us = config.grace.0;
        Ok(Processes { supervisor, shared, directory, grace_us, left })
    }

    /// What an earlier life here had begun, or was about to begin, and never heard the answer for.
    pub fn left(&self) -> &[Fence] {
        &self.left
    }

    /// Their ends were answered: no later life needs to know that they began.
    pub fn forget(&self, fences: &[Fence]) {
        let mut state = self.shared.state();
        fences.iter().for_each(|fence| state.records.ended(*fence));
    }

    pub fn logs(&self) -> &Arc<Segments> {
        &self.shared.logs
    }

    /// Starts trials. What is answered here did not begin; the rest is told.
    pub fn run(&self, starts: &[Start]) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut state = self.shared.state();
        // Who sends us a start has heard our hello, and with it what was left.
        for fence in std::mem::take(&mut state.left) {
            state.records.ended(fence);
        }
        let mut spawns = RequestBatch::default();
        let mut asked = Vec::with_capacity(starts.len());
        for start in starts {
            match self.ask(&mut state, start, &mut spawns) {
                Ok(()) => asked.push(start.fence),
                Err(report) => reports.push(report),
            }
        }
        let spawns_asked = asked.len();
        let is_careful = starts.iter().any(|start| !start.task.care.is_none());
        if let Err(error) = state.records.write().and_then(|()| state.records.sync(is_careful)) {
            // A start that cannot be recorded does not happen.
            error!("cannot record starts: {error}; they are given back");
            for fence in asked {
                state.end(fence);
                reports.push(Report::Returned { fence, started: false });
            }
            spawns.clear();
        } else {
            asked.iter().for_each(|fence| self.shared.logs.begin(*fence));
        }
        debug!(trials = spawns_asked, "the supervisor is asked to start");
        // Under the lock, so that no spawn overtakes the environment that it names. The
        // supervisor always reads, whoever else waits, so this does not wait for long.
        let mut batch = std::mem::take(&mut state.waiting);
        batch.append(&spawns);
        self.send(&batch);
        batch.clear();
        state.waiting = batch;
        reports
    }

    fn ask(
        &self,
        state: &mut State,
        start: &Start,
        spawns: &mut RequestBatch,
    ) -> Result<(), Report> {
        let fence = start.fence;
        let returned = Report::Returned { fence, started: false };
        let Function::Process(command) = &start.task.function else {
            warn!("trial {fence} is no process; given back");
            return Err(returned);
        };
        if state.lost || state.running.contains_key(&fence) {
            return Err(returned);
        }
        let not_started =
            |text: String, errno: i32| Report::Finished(not_started(fence, &text, errno));
        let Some(Words { words, program, tells_exports }) = words_of(command) else {
            let text = "cannot start this step: its command is empty or holds a NUL character";
            return Err(not_started(text.to_owned(), Errno::INVAL.raw_os_error()));
        };
        let mut waiting = std::mem::take(&mut state.waiting);
        let prepared = state.environments.prepare(start, &mut waiting);
        state.waiting = waiting;
        let prepared = prepared.map_err(|error| {
            let text = format!("cannot write the parameters of this step: {error}");
            not_started(text, error.raw_os_error().unwrap_or(0))
        })?;
        let Prepared { key, number, additions, output } = prepared;
        spawns.push(&Request::Spawn(Spawn {
            fence: fence.0,
            environment: number,
            additions: additions.view(),
            directory: self.directory.view(),
            words: words.view(),
            time_limit_us: start.task.time_limit.map(|limit| limit.0),
            grace_us: self.grace_us,
            output_max: LOG_BYTES_MAX,
            exclusive: start.task.care.exclusive,
            cpu_millis: start.task.resources.cpu_millis,
        }));
        state.records.asked(fence);
        let given = tells_exports.then(|| start.scope.clone());
        state.running.insert(fence, Running { key, output, given, program, began: None });
        Ok(())
    }

    /// TERM, then KILL after the grace; reported cancelled, or returned if it never began.
    pub fn cancel(&self, fences: &[Fence]) {
        let mut batch = RequestBatch::default();
        debug!(trials = fences.len(), "the supervisor is asked to stop");
        for fence in fences {
            batch.push(&Request::Stop { fence: fence.0, grace_us: self.grace_us });
        }
        self.send(&batch);
    }

    /// KILL at once; returned, with no outcome.
    pub fn kill(&self, fences: &[Fence]) {
        let mut batch = RequestBatch::default();
        debug!(trials = fences.len(), "the supervisor is asked to kill");
        for fence in fences {
            batch.push(&Request::Kill { fence: fence.0 });
        }
        self.send(&batch);
    }

    /// Exclusive tasks may live until then.
    pub fn hold(&self, deadline: BootTime) {
        let mut batch = RequestBatch::default();
        batch.push(&Request::Deadline { at_us: deadline.0 });
        self.send(&batch);
    }

    /// Writes to disk what tasks have said so far; for a timer.
    pub fn checkpoint(&self) {
        self.shared.logs.checkpoint();
    }

    /// Stops everything, and waits until nothing is left.
    pub fn shut_down(&self) {
        self.supervisor.shut_down(Span(self.grace_us).as_std());
    }

    fn send(&self, batch: &RequestBatch) {
        if let Err(error) = self.supervisor.send(batch) {
            // Its listener hears of it too, and gives back whatever ran.
            warn!("cannot reach the supervisor: {error}");
        }
    }
}

/// What is executed, and what to call it.
struct Words {
    words: Packed,
    program: String,
    tells_exports: bool,
}

/// None if no process can be given them.
fn words_of(command: &Command) -> Option<Words> {
    match command {
        Command::Words(words) => {
            let program = words.first()?;
            pack(words, program, false)
        }
        Command::Script { text, shell: Shell::Sh } => {
            let (text, tells_exports) = exports::prepared(text);
            pack(&["/bin/sh", "-e", "-c", &text, "sh"], "/bin/sh", tells_exports)
        }
    }
}

fn pack(words: &[impl AsRef<str>], program: &str, tells_exports: bool) -> Option<Words> {
    let mut packed = Packed::new();
    let whole = words.iter().all(|word| packed.push(word.as_ref().as_bytes()));
    whole.then(|| Words { words: packed, program: program.to_owned(), tells_exports })
}
