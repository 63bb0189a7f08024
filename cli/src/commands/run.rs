//! `dagmar run`: compile, claim a name, submit, follow, archive; or hand over to a host.

use std::io::Write;

use crossbeam_channel::Receiver;
use serde_json::{Value as Json, json};

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::Submission;
use dagmar_common::record::follow::Change;
use dagmar_common::value::Value;

use crate::arguments::RunArguments;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::local::live::Live;
use crate::local::owner::OwnerSocket;
use crate::local::{Project, check_run_id, git};
use crate::names;
use crate::render::progress;
use crate::render::text::escaped;
use crate::wiring::{Compiled, Engine, Opening, PipelineSource};

use super::find::never_accepted;
use super::follow::{self, Loudness};
use super::{Session, cancel, finish, host, ls, signals, source, stdout};

/// Suffixes that are tried for a generated name that is taken.
const SUFFIXES_MAX: u32 = 1_000;

pub fn perform(session: &Session, arguments: &RunArguments) -> Done {
    let source = source::of(session, arguments.file.as_deref(), &arguments.parameters)?;
    let compiled = session.wires.compile(&source).map_err(Failure::Rejected)?;
    if !arguments.quiet && !compiled.warnings.rendered.is_empty() {
        session.hint(compiled.warnings.rendered.trim_end());
    }
    let asked = arguments.run_id.as_deref().map(check_run_id).transpose()?;
    finish::settle(&session.project)?;
    if arguments.detach {
        let submission = submission(&source, compiled, &arguments.tag)?;
        return host::begin(session, asked, submission, arguments.quiet);
    }
    let loudness = Loudness::of(arguments.quiet, arguments.verbose);
    let live = claim(&session.project, asked)?;
    let head = head(live.run(), &source, &compiled);
    let submission = submission(&source, compiled, &arguments.tag)?;
    let submission = Submission { run: live.run().clone(), ..submission };
    if loudness == Loudness::Normal && session.err.is_live {
        session.hint(&head);
    }
    live_through(session, live, Opening::New, Some(submission), loudness)
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
        if let Some(file) = super::resume::changed_file(session, &context) {
            session.hint(&format!("{file} has changed; {run} goes on with what was submitted"));
        }
    }
    // Others may come from now on. The run does not need them: without a socket it goes on.
    let socket = OwnerSocket::open(&live, engine.runs())
        .inspect_err(|problem| session.hint(&format!("warning: {problem}")));
    let followed = follow::until_end(session, &*engine, &run, &changes, &interrupts, loudness);
    let ending = followed.and_then(|_| {
        let archived = finish::archive_run(&session.project, &live, &*engine.runs(), looking);
        archived.map_err(|problem| not_archived(&run, problem))
    });
    drop(socket);
    engine.close();
    // Without an archive the live directory is all there is: it stays, and can be resumed.
    let ending = ending?;
    live.remove()?;
    tell(session, ending, loudness)
}

fn not_archived(run: &RunId, problem: Problem) -> Problem {
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

/// `hello-1  pipeline.yaml@3f9c1e  5 steps`
fn head(run: &RunId, source: &PipelineSource, compiled: &Compiled) -> String {
    let file = escaped(&source.file.display().to_string());
    let graph = dagmar_common::graph::Graph::hash(&compiled.graph);
    let steps = compiled.step_count;
    format!("{run}  {file}@{graph:.6}  {steps} step{}", if steps == 1 { "" } else { "s" })
}

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

/// Everything but the run id, which is known when a directory is claimed.
pub fn submission(
    source: &PipelineSource,
    compiled: Compiled,
    tag: &str,
) -> Result<Submission, Problem> {
    Ok(Submission {
        request: cancel::request()?,
        run: RunId::new(""),
        generated: false,
        tag: tag.to_owned(),
        context: Value::from_json(&context(source, &compiled)),
        graph: compiled.graph,
        parameters: compiled.parameters,
    })
}

/// What the run log tells of the configuration, under the ancestors' names.
fn context(source: &PipelineSource, compiled: &Compiled) -> Json {
    let service = |kind: &str, name: &str| json!({ "service_name": name, "service_type": kind });
    let mut executor = service("executor", "local");
    executor["enable_parallel"] = true.into();
    executor["placeholders"] = json!({});
    let mut store = service("run_log_store", "file-system");
    store["log_folder"] = ".dagmar/runs".into();
    let file = |path: Option<&std::path::Path>| {
        path.map(|path| path.display().to_string()).unwrap_or_default()
    };
    json!({
        "executor": executor,
        "run_log_store": store,
        "secrets_handler": service("secrets", "do-nothing"),
        "catalog_handler": service("catalog", "do-nothing"),
        "experiment_tracker": service("experiment_tracker", "do-nothing"),
        "pipeline_file": file(Some(&source.file)),
        "parameters_file": file(source.parameters_file.as_deref()),
        "configuration_file": "",
        "variables": {},
        "use_cached": false,
        "original_run_id": "",
        "pipeline_name": compiled.name,
        "pipeline_digest": compiled.source_digest.to_string(),
        "program": format!("dagmar {}", env!("CARGO_PKG_VERSION")),
        "host": rustix::system::uname().nodename().to_string_lossy(),
    })
}
