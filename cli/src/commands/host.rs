//! The owner of a detached run: started by `run --detach`, spoken to through its socket.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::Submission;
use dagmar_common::record::follow::{Change, Detail};
use dagmar_coordinator::services::Runs;

use crate::arguments::HostArguments;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::local::client::Client;
use crate::local::live::{self, Live, Standing};
use crate::local::owner::OwnerSocket;
use crate::local::{check_run_id, git};
use crate::names;
use crate::wiring::Opening;

use super::follow::{self, Loudness};
use super::{Session, finish, ls, own, signals, stdout};

/// A host to whom nothing is submitted for so long was forgotten.
const SUBMISSION_WITHIN: Duration = Duration::from_secs(60);
/// What a host says on its stdout when it can be spoken to, before the run id.
const READY: &str = "ready ";

/// Starts a host, submits to it, and lets go of it.
pub fn begin(
    session: &Session,
    asked: Option<RunId>,
    submission: Submission,
    is_quiet: bool,
) -> Done {
    let is_generated = asked.is_none();
    let wanted = asked.unwrap_or_else(names::generate);
    let run = start(session, &wanted, is_generated)?;
    let Some(Standing::Owned(owner)) = live::look(&session.project, &run)? else {
        return Err(died(&run).into());
    };
    let submission = Submission { run: run.clone(), ..submission };
    Client::connect(&run, &owner)?.submit(submission)?;
    let mut out = stdout();
    writeln!(out, "{run}")?;
    out.flush()?;
    if !is_quiet {
        session.hint(&format!("runs by itself: dagmar logs -f {run}    dagmar cancel {run}"));
    }
    Ok(Exit::Success)
}

/// The run whose directory the new host has claimed.
fn start(session: &Session, run: &RunId, is_generated: bool) -> Result<RunId, Failure> {
    let fault = |error: std::io::Error| {
        Problem::new(Code::Internal, format!("a process for the run cannot be started: {error}"))
    };
    let program = std::env::current_exe().map_err(fault)?;
    let mut command = Command::new(program);
    command.arg("__host").arg(run.as_str()).current_dir(session.project.root());
    if is_generated {
        command.arg("--generated");
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = child.spawn().map_err(fault)?;
    let stdout = child.stdout.take().map(BufReader::new);
    let line = stdout.and_then(|stdout| stdout.lines().next()).transpose().map_err(fault)?;
    match line.as_deref().and_then(|line| line.strip_prefix(READY)) {
        Some(run) => Ok(check_run_id(run)?),
        None => {
            let ended = child.wait().map_err(fault)?;
            match ended.code().and_then(Exit::of_code) {
                // It has told on our stderr why.
                Some(exit) if exit != Exit::Success => Err(Failure::Told(exit)),
                _ => Err(Failure::from(Problem::new(
                    Code::Internal,
                    format!("the process for {run} ended at once: {ended}"),
                ))),
            }
        }
    }
}

/// The life of a host.
pub fn perform(session: &Session, arguments: &HostArguments) -> Done {
    // A session of its own: the terminal that started it may go away. It fails only for the
    // leader of a group, which a child of `run --detach` is not.
    let _ = rustix::process::setsid();
    let wanted = check_run_id(&arguments.run)?;
    let live = match arguments.generated {
        false => own::claim(&session.project, Some(wanted))?,
        true => claim_like(session, &wanted)?,
    };
    let interrupts = signals::listen();
    let looking = git::begin(session.project.root(), ls::now());
    let engine = session.wires.open(&live, Opening::New)?;
    let changes = engine.follow(Detail::Steps)?;
    let socket = OwnerSocket::open(&live, engine.runs())?;
    say_ready(&live)?;
    let Some(first) = follow::until_begin(&changes, SUBMISSION_WITHIN) else {
        drop(socket);
        engine.close();
        live.remove()?;
        return Ok(Exit::Failed);
    };
    own::note_pipeline(&live, &*engine.runs());
    let lived = match first {
        Change::Ended { status, .. } => Ok(status),
        _ => {
            follow::until_end(session, &*engine, live.run(), &changes, &interrupts, Loudness::Quiet)
        }
    };
    let ending =
        lived.and_then(|_| finish::archive_run(&session.project, &live, &*engine.runs(), looking));
    drop(socket);
    engine.close();
    let ending = ending?;
    live.remove()?;
    Ok(Exit::of_run(ending.summary.status))
}

fn claim_like(session: &Session, wanted: &RunId) -> Result<Live, Problem> {
    match Live::claim(&session.project, wanted)? {
        Some(live) => Ok(live),
        None => own::claim(&session.project, None),
    }
}

/// The last thing that goes to whoever started us; then our streams are nobody's.
fn say_ready(live: &Live) -> Result<(), Problem> {
    let told = writeln!(std::io::stdout(), "{READY}{}", live.run())
        .and_then(|()| std::io::stdout().flush())
        .and_then(|()| {
            let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&nothing)?;
            Ok(rustix::stdio::dup2_stderr(&nothing)?)
        });
    told.map_err(|error| {
        Problem::new(Code::Internal, format!("whoever started this host is gone: {error}"))
    })
}

fn died(run: &RunId) -> Problem {
    Problem::new(Code::Interrupted, format!("the process that was to own {run} is gone"))
        .try_this("dagmar run, without --detach, shows why")
}
