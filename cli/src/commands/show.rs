//! `dagmar show`: one run or a part of it, as tables or as the run log.

use std::cell::Cell;
use std::io::Write;
use std::time::Duration;

use dagmar_common::graph::decode;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::json::{Page, RunLogWriter};
use dagmar_common::record::{Entry, RunSummary, spread};

use crate::arguments::{Output, ShowArguments};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::local::ended::is_inside;
use crate::local::{live, logs};
use crate::render::failure::Failures;
use crate::render::table::{self, Steps};

use super::find::{Found, find, no_such_attempt, no_such_step};
use super::{Session, stdout};

/// An owner that was killed a moment ago still holds its lock.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub fn perform(session: &Session, arguments: &ShowArguments) -> Done {
    let has_begun = Cell::new(false);
    let answer = || {
        let found = find(session, &arguments.run)?;
        match arguments.output {
            Output::Json => json(session, &found, &has_begun),
            Output::Table => tables(session, &found),
        }
    };
    let mut answered = answer();
    // Its owner went away while it answered: in a moment others can tell.
    let is_gone = |it: &Problem| it.code == Code::Unreachable && !has_begun.get();
    if matches!(&answered, Err(Failure::Problem(it)) if is_gone(it)) {
        std::thread::sleep(LOOK_AGAIN_AFTER);
        answered = answer();
    }
    answered.map(|()| Exit::Success)
}

/// Streams: nothing of the run is held but the way to where it is.
fn json(session: &Session, found: &Found, has_begun: &Cell<bool>) -> Result<(), Failure> {
    let mut story = found.runs.story(&found.run)?;
    if found.is_interrupted {
        let live = session.project.live().join(found.run.as_str());
        story.entries = logs::located(story.entries, live.join(live::LOGS));
    }
    let graph = decode(&story.graph).map_err(|error| {
        Problem::new(Code::Damaged, format!("the graph of {} cannot be read: {error}", found.run))
    })?;
    let page = Page {
        record: &story.record,
        graph: &graph,
        code: &found.code,
        is_interrupted: found.is_interrupted,
    };
    has_begun.set(true);
    let mut writer = RunLogWriter::begin(stdout(), page)?;
    let mut asked = Asked::of(found);
    for entry in story.entries {
        asked.select(entry?, &mut |entry| writer.entry(entry).map_err(Failure::from))?;
    }
    writer.finish()?;
    asked.found(found)
}

fn tables(session: &Session, found: &Found) -> Result<(), Failure> {
    let story = found.runs.story(&found.run)?;
    let context = story.record.context.to_json();
    let pipeline = match found.pipeline.as_str() {
        "" => context["pipeline_file"].as_str().unwrap_or_default(),
        pipeline => pipeline,
    };
    let summary = RunSummary::of(&story.record, pipeline);
    let mut steps = Steps::of(found.is_interrupted);
    let mut failures = Failures::default();
    let mut asked = Asked::of(found);
    for entry in story.entries {
        asked.select(entry?, &mut |entry| {
            failures.take(&entry);
            steps.take(&entry);
            Ok::<(), Failure>(())
        })?;
    }
    asked.found(found)?;
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

/// The part of a run that was asked for, and whether it was met.
struct Asked<'a> {
    path: Option<&'a str>,
    attempt: Option<u32>,
    has_step: bool,
    has_attempt: bool,
}

impl<'a> Asked<'a> {
    fn of(found: &'a Found) -> Self {
        let (path, attempt) = (found.path.as_deref(), found.attempt);
        Asked { path, attempt, has_step: path.is_none(), has_attempt: attempt.is_none() }
    }

    /// Hands on what lies at the path, and what leads to it.
    fn select<E>(
        &mut self,
        entry: Entry,
        take: &mut dyn FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(asked) = self.path else { return take(entry) };
        spread(entry, &mut |mut entry| {
            let own = match &mut entry {
                Entry::Node(node) => {
                    if let (true, Some(number)) = (*node.path == *asked, self.attempt) {
                        let named = node.attempt(number).cloned();
                        node.attempts = named.into_iter().collect();
                        self.has_attempt |= !node.attempts.is_empty();
                    }
                    node.path.clone()
                }
                Entry::Frame(frame) => frame.path.clone(),
                Entry::Alike(_) => return Ok(()),
            };
            self.has_step |= *own == *asked;
            if is_inside(&own, asked) || is_inside(asked, &own) { take(entry) } else { Ok(()) }
        })
    }

    fn found(&self, found: &Found) -> Result<(), Failure> {
        let path = self.path.unwrap_or_default();
        match self.attempt {
            _ if !self.has_step => Err(no_such_step(&found.run, path).into()),
            Some(number) if !self.has_attempt => {
                Err(no_such_attempt(&found.run, path, number).into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether what was asked for is in the run at all.
pub fn check_is_there(found: &Found) -> Result<(), Failure> {
    let mut asked = Asked::of(found);
    for entry in found.runs.story(&found.run)?.entries {
        asked.select(entry?, &mut |_| Ok::<(), Failure>(()))?;
    }
    asked.found(found)
}
