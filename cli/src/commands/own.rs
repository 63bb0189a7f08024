//! A run that this process owns: its directory claimed, the run lived through, archived and told.

use std::io::Write;

use crossbeam_channel::Receiver;

use dagmar_common::ids::{Digest, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::Submission;
use dagmar_common::record::follow::Change;
use dagmar_coordinator::services::Runs;

use crate::exit::Exit;
use crate::failure::Done;
use crate::local::live::Live;
use crate::local::owner::OwnerSocket;
use crate::local::{Project, git};
use crate::names;
use crate::render::progress;
use crate::wiring::{Engine, Opening};

use super::find::never_accepted;
use super::follow::{self, Loudness};
use super::{Session, finish, ls, signals, stdout};

/// Suffixes that are tried for a generated name that is taken.
const SUFFIXES_MAX: u32 = 1_000;

/// A directory of our own: under the name that was asked for, or under one that is free.
pub fn claim(project: &Project, asked: Option<RunId>) -> Result<Live, Problem> {
    if let Some(run) = asked {
        return Live::claim(project, &run)?.ok_or_else(|| {
            Problem::new(Code::RunIdTaken, format!("there is a run {run} already"))
                .try_this(format!("dagmar show {run}    or another --run-id, or none"))
        });
    }
    let run = names::generate();
    for times in 0..SUFFIXES_MAX {
        if let Some(live) = Live::claim(project, &names::with_suffix(&run, times))? {
            return Ok(live);
        }
    }
    Err(Problem::new(Code::RunIdTaken, format!("{run} and {SUFFIXES_MAX} names like it are taken"))
        .try_this("dagmar run --run-id ID"))
}

/// From an owned live directory to its end. `submission`: what a new run begins with.
pub fn live_through(
    session: &Session,
    live: Live,
    opening: Opening,
    submission: Option<Submission>,
    loudness: Loudness,
) -> Done {
    let interrupts = signals::listen();
    let looking = git::begin(session.project.root(), ls::now());
    let (engine, changes) = match begin(session, &live, opening, submission, loudness) {
        Ok(begun) => begun,
        Err(problem) => {
            // One that was to go on stays as it was.
            if opening == Opening::Resume {
                return Err(problem.into());
            }
            // A run that never began leaves nothing; if it does, the next one here removes it.
            let _ = live.remove();
            return Err(problem.because("nothing was submitted").into());
        }
    };
    let run = live.run().clone();
    if opening == Opening::Resume && engine.runs().list()?.is_empty() {
        engine.close();
        return Err(never_accepted(live).into());
    }
    if opening == Opening::Resume && loudness != Loudness::Quiet {
        let context = engine.runs().story(&run)?.record.context.to_json();
        if let Some(file) = changed_file(session, &context) {
            session.hint(&format!("{file} has changed; {run} goes on with what was submitted"));
        }
    }
    note_pipeline(&live, &*engine.runs());
    // Others may come from now on. The run does not need them: without a socket it goes on.
    let socket = OwnerSocket::open(&live, engine.runs())
        .inspect_err(|problem| session.hint(&format!("warning: {problem}")));
    let followed = follow::until_end(session, &*engine, &run, &changes, &interrupts, loudness);
    let ending = followed.and_then(|_| {
        let archived = finish::archive_run(&session.project, &live, &*engine.runs(), looking);
        archived.map_err(|problem| not_archived(&live, problem))
    });
    drop(socket);
    engine.close();
    // Without an archive the live directory is all there is: it stays, and can be resumed.
    let ending = ending?;
    live.remove()?;
    tell(session, ending, loudness)
}

/// Without it a list says less of the run, if it is interrupted; that is no reason to stop it.
pub fn note_pipeline(live: &Live, runs: &dyn Runs) {
    let noted = runs.list().and_then(|runs| match runs.first() {
        Some(run) => live.note_pipeline(&run.pipeline),
        None => Ok(()),
    });
    let _ = noted.inspect_err(|problem| tracing::warn!(%problem, "no name for lists"));
}

fn not_archived(live: &Live, problem: Problem) -> Problem {
    let run = live.run();
    if !live.dir().exists() {
        return problem
            .because(format!(
                "somebody removed that directory while {run} went on: its steps have ended as \
                 told above, and no record of them is left"
            ))
            .try_this("leave .dagmar where it is until its runs have ended");
    }
    problem
        .because(format!("{run} has ended, and nothing of it is lost: only its archive is missing"))
        .try_this(format!("dagmar resume {run}    to write it; no step runs again"))
}

/// An engine with a run in it that nothing of was missed.
fn begin(
    session: &Session,
    live: &Live,
    opening: Opening,
    submission: Option<Submission>,
    loudness: Loudness,
) -> Result<(Box<dyn Engine>, Receiver<Change>), Problem> {
    let engine = session.wires.open(live, opening)?;
    let begun = engine.follow(loudness.detail()).and_then(|changes| {
        if let Some(submission) = submission {
            engine.runs().submit(submission)?;
        }
        Ok(changes)
    });
    match begun {
        Ok(changes) => Ok((engine, changes)),
        Err(problem) => {
            engine.close();
            Err(problem)
        }
    }
}

fn tell(session: &Session, ending: finish::Ending, loudness: Loudness) -> Done {
    let finish::Ending { summary, failures } = ending;
    let mut out = stdout();
    if loudness == Loudness::Quiet {
        writeln!(out, "{}", summary.run_id)?;
    } else {
        writeln!(out, "{}", progress::end_line(&summary, &session.out))?;
    }
    // The run has its end, whoever reads or does not read about it.
    let told = out.flush();
    if loudness != Loudness::Quiet {
        let lines = failures.lines(&summary, &session.err);
        let look = (!lines.is_empty()).then(|| format!("  look   dagmar show {}", summary.run_id));
        for line in lines.into_iter().chain(look) {
            session.hint(&line);
        }
    }
    let exit = Exit::of_run(summary.status);
    match told {
        Err(error) if exit == Exit::Success => Err(error.into()),
        _ => Ok(exit),
    }
}

/// The file that a run was compiled from, if it reads otherwise now. A run never looks at it.
fn changed_file(session: &Session, context: &serde_json::Value) -> Option<String> {
    let file = context["pipeline_file"].as_str()?;
    let then = context["pipeline_digest"].as_str()?;
    let text = std::fs::read(session.project.root().join(file)).ok()?;
    (Digest::of(&text).to_string() != then).then(|| file.to_owned())
}
