//! The end of a local run: its archive, its line in the index, and nothing left of its live room.

use dagmar_common::problem::Problem;
use dagmar_common::record::RunSummary;
use dagmar_coordinator::services::Runs;

use crate::local::archive::{self, Archive, Extras};
use crate::local::git::{self, Looking};
use crate::local::live::{self, Live, Standing};
use crate::local::{Project, index, logs};
use crate::render::failure::Failures;

/// What is left to tell of a run.
pub struct Ending {
    pub summary: RunSummary,
    pub failures: Failures,
}

/// Makes the record of an ended run durable. The live directory is for the caller to remove, when
/// the engine has let go of it.
pub fn archive_run(
    project: &Project,
    live: &Live,
    runs: &dyn Runs,
    looking: Looking,
) -> Result<Ending, Problem> {
    let code = looking.finish();
    git::remember(live.dir(), &code)?;
    let mut story = runs.story(live.run())?;
    story.entries = logs::located(story.entries, live.logs());
    let context = story.record.context.to_json();
    let pipeline = context["pipeline_file"].as_str().unwrap_or_default().to_owned();
    let extras =
        Extras { pipeline: &pipeline, code: git::remembered(live.dir())?, logs: &live.logs() };
    let manifest = archive::write(project, story, extras)?;
    tracing::debug!(run = %live.run(), "its archive is durable");
    let summary = RunSummary::of(&manifest.record, &pipeline);
    index::append(project, &summary)?;
    let mut failures = Failures::default();
    if summary.counts.failed > 0
        && let Some(archive) = Archive::newest(project, live.run())?
    {
        for entry in archive.entries() {
            failures.take(&entry?);
        }
    }
    Ok(Ending { summary, failures })
}

/// Finishes what owners began who died between the archive and the removal, and removes what
/// those left who died before their run began.
pub fn settle(project: &Project) -> Result<(), Problem> {
    live::tidy(project)?;
    for (run, standing) in live::list(project)? {
        if standing != Ok(Standing::Interrupted) {
            continue;
        }
        // A damaged archive is for whoever resumes that run, not for everybody else.
        let Ok(Some(archive)) = Archive::newest(project, &run) else { continue };
        let Some(live) = Live::adopt(project, &run)? else { continue };
        let manifest = &archive.manifest;
        let is_listed = index::read(project)?.runs.iter().any(|known| known.run_id == run);
        if !is_listed {
            index::append(project, &RunSummary::of(&manifest.record, &manifest.pipeline))?;
        }
        live.remove()?;
    }
    Ok(())
}
