//! `dagmar show`: one run or a part of it, as tables or as the run log.

use std::io::Write;

use dagmar_common::graph::decode;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::json::{Page, RunLogWriter};
use dagmar_common::record::{Entry, RunSummary, spread};

use crate::arguments::{Output, ShowArguments};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::local::ended::is_inside;
use crate::render::failure::Failures;
use crate::render::table::{self, Steps};

use super::find::{Found, find};
use super::{Session, stdout};

pub fn perform(session: &Session, arguments: &ShowArguments) -> Done {
    let found = find(session, &arguments.run)?;
    match arguments.output {
        Output::Json => json(&found)?,
        Output::Table => tables(session, &found)?,
    }
    Ok(Exit::Success)
}

/// Streams: nothing of the run is held but the way to where it is.
fn json(found: &Found) -> Result<(), Failure> {
    let story = found.runs.story(&found.run)?;
    let graph = decode(&story.graph).map_err(|error| {
        Problem::new(Code::Damaged, format!("the graph of {} cannot be read: {error}", found.run))
    })?;
    let page = Page {
        record: &story.record,
        graph: &graph,
        code: &found.code,
        is_interrupted: found.is_interrupted,
    };
    let mut writer = RunLogWriter::begin(stdout(), page)?;
    let mut is_found = found.path.is_none();
    for entry in story.entries {
        select(entry?, found.path.as_deref(), &mut is_found, &mut |entry| {
            writer.entry(entry).map_err(Failure::from)
        })?;
    }
    writer.finish()?;
    if is_found { Ok(()) } else { Err(no_such_step(found).into()) }
}

fn tables(session: &Session, found: &Found) -> Result<(), Failure> {
    let story = found.runs.story(&found.run)?;
    let context = story.record.context.to_json();
    let pipeline = match found.pipeline.as_str() {
        "" => context["pipeline_file"].as_str().unwrap_or_default(),
        pipeline => pipeline,
    };
    let summary = RunSummary::of(&story.record, pipeline);
    let (mut steps, mut failures) = (Steps::default(), Failures::default());
    let mut is_found = found.path.is_none();
    for entry in story.entries {
        let entry = entry?;
        match &found.path {
            None => {
                failures.take(&entry);
                steps.take(&entry);
            }
            path => select(entry, path.as_deref(), &mut is_found, &mut |entry| {
                failures.take(&entry);
                steps.take(&entry);
                Ok::<(), Failure>(())
            })?,
        }
    }
    if !is_found {
        return Err(no_such_step(found).into());
    }
    let mut out = stdout();
    let mut lines = table::head(&summary, found.is_interrupted, &session.out);
    lines.push(String::new());
    lines.extend(steps.lines(&session.out));
    lines.extend(failures.lines(&summary, &session.out));
    if found.is_interrupted {
        lines.extend([String::new(), format!("  go on  dagmar resume {}", found.run)]);
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

/// Hands on what lies at `path`, and what leads to it.
fn select<E>(
    entry: Entry,
    path: Option<&str>,
    is_found: &mut bool,
    take: &mut dyn FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let Some(asked) = path else { return take(entry) };
    spread(entry, &mut |entry| {
        let own = match &entry {
            Entry::Node(node) => node.path.clone(),
            Entry::Frame(frame) => frame.path.clone(),
            Entry::Alike(_) => return Ok(()),
        };
        *is_found |= *own == *asked;
        if is_inside(&own, asked) || is_inside(asked, &own) { take(entry) } else { Ok(()) }
    })
}

fn no_such_step(found: &Found) -> Problem {
    let path = found.path.as_deref().unwrap_or_default();
    Problem::new(Code::NotFound, format!("{} has no step {path:?}", found.run))
        .try_this(format!("dagmar show {}", found.run))
}
