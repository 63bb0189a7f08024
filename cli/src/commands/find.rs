//! From what was typed to a run that can be asked: live, interrupted or archived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::ids::{Digest, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::{CodeIdentity, Counts, RunStatus, RunSummary};
use dagmar_common::time::WallTime;
use dagmar_coordinator::services::Runs;

use super::Session;
use crate::local::archive::Archive;
use crate::local::client::Client;
use crate::local::ended::Ended;
use crate::local::live::{self, Live, Standing};
use crate::local::{Project, check_run_id, git, index};
use crate::reference::{Reference, bracketed};
use crate::render::text::shell_word;

/// All runs of a directory.
#[derive(Debug, Default)]
pub struct Known {
    /// Oldest first. A live run's row holds no more than its name and its begin.
    pub runs: Vec<RunSummary>,
    /// The live ones among them.
    pub standings: BTreeMap<RunId, Standing>,
    /// What could not be read, one sentence each.
    pub damage: Vec<String>,
}

pub fn known(project: &Project) -> Result<Known, Problem> {
    let index = index::read(project)?;
    let mut known = Known { runs: index.runs, damage: index.damage, ..Known::default() };
    let mut names: BTreeSet<RunId> = known.runs.iter().map(|run| run.run_id.clone()).collect();
    // The index is a shortcut: an archive that it does not name tells for itself.
    for run in archived(project) {
        if names.contains(&run) {
            continue;
        }
        match Archive::newest(project, &run) {
            Ok(Some(archive)) => {
                let manifest = &archive.manifest;
                known.runs.push(RunSummary::of(&manifest.record, &manifest.pipeline));
                names.insert(run);
            }
            Ok(None) => {}
            Err(problem) => known.damage.push(problem.message),
        }
    }
    for (run, standing) in live::list(project)? {
        // Its owner died between the archive and the removal: it has ended.
        if names.contains(&run) {
            continue;
        }
        match standing {
            Ok(standing) => {
                known.runs.push(row_of_live(project, &run));
                known.standings.insert(run, standing);
            }
            Err(problem) => known.damage.push(problem.message),
        }
    }
    known.runs.sort_by(|a, b| (a.submitted, &a.run_id).cmp(&(b.submitted, &b.run_id)));
    Ok(known)
}

fn archived(project: &Project) -> Vec<RunId> {
    let entries = std::fs::read_dir(project.runs()).into_iter().flatten().flatten();
    entries.filter_map(|entry| check_run_id(entry.file_name().to_str()?).ok()).collect()
}

fn row_of_live(project: &Project, run: &RunId) -> RunSummary {
    let sign = live::sign(project, run).ok().flatten();
    let started = sign.and_then(|sign| sign.started.parse::<jiff::Timestamp>().ok());
    // A sign that was lost costs the row no more than its exact begin.
    let started = started.or_else(|| {
        let changed = std::fs::metadata(project.live().join(run.as_str())).ok()?.modified().ok()?;
        changed.try_into().ok()
    });
    RunSummary {
        run_id: run.clone(),
        tag: String::new(),
        pipeline: live::pipeline(project, run),
        generation: 0,
        graph: Digest::default(),
        status: RunStatus::Running,
        reason: String::new(),
        submitted: WallTime(started.map_or(0, |at| at.as_microsecond())),
        ended: None,
        counts: Counts::default(),
    }
}

/// A run that was referred to, ready to be asked.
pub struct Found {
    pub run: RunId,
    pub path: Option<String>,
    pub attempt: Option<u32>,
    pub runs: Arc<dyn Runs>,
    pub is_interrupted: bool,
    /// What the pipeline is called; empty: the record's context says it.
    pub pipeline: String,
    pub code: Vec<CodeIdentity>,
}

/// So often a run is looked up that is taken up, dies or ends meanwhile.
const LOOKS_MAX: u32 = 3;

pub fn find(session: &Session, text: &str) -> Result<Found, Problem> {
    let reference = Reference::parse(text)?;
    let run = choose(session, &reference)?;
    let mut looks = 0;
    loop {
        looks += 1;
        let standing = live::look(&session.project, &run)?;
        match open(session, &reference, &run, standing.as_ref()) {
            // What went wrong while it changed hands says nothing of how it stands now.
            Err(problem)
                if problem.code != Code::NotFound
                    && looks < LOOKS_MAX
                    && live::look(&session.project, &run)? != standing => {}
            opened => return opened,
        }
    }
}

fn open(
    session: &Session,
    reference: &Reference,
    run: &RunId,
    standing: Option<&Standing>,
) -> Result<Found, Problem> {
    let project = &session.project;
    let found = |runs: Arc<dyn Runs>| Found {
        run: run.clone(),
        path: reference.path.clone(),
        attempt: reference.attempt,
        runs,
        is_interrupted: false,
        pipeline: String::new(),
        code: Vec::new(),
    };
    let live_dir = project.live().join(run.as_str());
    let archive = match Archive::newest(project, run) {
        // What it was written from is still there, and tells the same.
        Err(_) if live_dir.is_dir() => None,
        found => found?,
    };
    if let Some(archive) = archive {
        let (pipeline, code) = (archive.manifest.pipeline.clone(), archive.manifest.code.clone());
        let runs = Arc::new(Ended::new(archive, session.wires));
        return Ok(Found { pipeline, code, ..found(runs) });
    }
    match standing {
        Some(Standing::Owned(owner)) => {
            let client = Arc::new(Client::connect(run, owner)?);
            Ok(Found { code: git::remembered(&live_dir)?, ..found(client) })
        }
        Some(Standing::Interrupted) => {
            let Some(runs) = live::look_into(project, run, |dir| session.wires.look(dir))? else {
                return Err(taken_over(run));
            };
            if runs.list()?.is_empty() {
                let adopted = Live::adopt(project, run)?;
                return Err(adopted.map_or_else(|| taken_over(run), never_accepted));
            }
            let code = git::remembered(&live_dir)?;
            Ok(Found { is_interrupted: true, code, ..found(runs) })
        }
        // It ended while we looked: the archive of a moment ago was not there yet.
        Some(Standing::Ended) | None => Err(gone(run)),
    }
}

pub fn choose(session: &Session, reference: &Reference) -> Result<RunId, Problem> {
    // A name that is exactly a run needs no list of all runs.
    if let Ok(run) = check_run_id(&reference.run)
        && live::look(&session.project, &run)?.is_some()
    {
        return Ok(run);
    }
    reference.choose(&known(&session.project)?.runs)
}

pub fn taken_over(run: &RunId) -> Problem {
    Problem::new(Code::StillRunning, format!("another process has just taken over {run}"))
        .try_this(format!("dagmar show {run}"))
}

/// A log without a run: its process died while the graph was on its way to the disk. Nobody was
/// told that it is there, so what is left of it goes.
pub fn never_accepted(live: Live) -> Problem {
    let run = live.run().clone();
    if let Err(problem) = live.remove() {
        return problem;
    }
    Problem::new(Code::NotFound, format!("{run} was never accepted, and nothing of it ever ran"))
        .because("its process ended before its graph was on the disk; what it left is removed now")
        .try_this(format!("dagmar run FILE --run-id {run}"))
}

/// What was named in a run is not in it.
pub fn no_such_step(run: &RunId, path: &str) -> Problem {
    Problem::new(Code::NotFound, format!("{run} has no step {}", bracketed(path)))
        .try_this(format!("dagmar show {run}"))
}

pub fn no_such_attempt(run: &RunId, path: &str, number: u32) -> Problem {
    let step = format!("{run}/{}", bracketed(path));
    Problem::new(Code::NotFound, format!("{step} has no attempt {number}"))
        .try_this(format!("dagmar show {}", shell_word(&step)))
}

fn gone(run: &RunId) -> Problem {
    Problem::new(Code::NotFound, format!("no run {run} here")).try_this("dagmar ls --all")
}
