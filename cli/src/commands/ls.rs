//! `dagmar ls`: the runs of this directory, newest first.

use std::io::Write;

use dagmar_common::record::json::{JsonWriter, write_counts};
use dagmar_common::record::words;
use dagmar_common::time::WallTime;
use dagmar_coordinator::services::Runs;

use crate::arguments::{LsArguments, Output};
use crate::exit::Exit;
use crate::failure::Done;
use crate::local::client::Client;
use crate::local::live::Standing;
use crate::render::table::{self, RunRow};

use super::find::{Known, known};
use super::{Session, stdout};

/// Runs that are shown without `--all`.
const SHOWN: usize = 20;

pub fn perform(session: &Session, arguments: &LsArguments) -> Done {
    let known = known(&session.project)?;
    for damage in &known.damage {
        session.hint(&format!("warning: {damage}"));
    }
    let most = if arguments.all { usize::MAX } else { SHOWN };
    let older = known.runs.len().saturating_sub(most);
    let rows = rows(session, &known, most);
    let mut out = stdout();
    match arguments.output {
        Output::Json => json(&mut out, &rows)?,
        Output::Table if arguments.quiet => {
            for row in &rows {
                writeln!(out, "{}", row.summary.run_id)?;
            }
        }
        Output::Table if rows.is_empty() => session.hint("no runs here yet: dagmar run FILE"),
        Output::Table => {
            for line in table::runs(&rows, now(), &session.out) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()?;
    let interrupted = rows.iter().find(|row| row.is_interrupted);
    if let (Output::Table, false, Some(row)) = (arguments.output, arguments.quiet, interrupted) {
        session.hint(&format!("go on: dagmar resume {}", row.summary.run_id));
    }
    if older > 0 && arguments.output == Output::Table {
        session.hint(&format!("{older} older: dagmar ls --all"));
    }
    Ok(Exit::Success)
}

/// The newest first; live ones are asked how they stand.
fn rows(session: &Session, known: &Known, most: usize) -> Vec<RunRow> {
    let newest = known.runs.iter().rev().take(most);
    let row = |summary: &dagmar_common::record::RunSummary| {
        let mut row = RunRow { summary: summary.clone(), is_interrupted: false };
        match known.standings.get(&summary.run_id) {
            None | Some(Standing::Ended) => {}
            Some(Standing::Interrupted) => row.is_interrupted = true,
            Some(Standing::Owned(owner)) => {
                let answer =
                    Client::connect(&summary.run_id, owner).and_then(|client| client.list());
                match answer {
                    Ok(runs) => {
                        let own = runs.into_iter().find(|run| run.run_id == summary.run_id);
                        row.summary = own.unwrap_or(row.summary);
                    }
                    Err(problem) => session.hint(&format!("warning: {problem}")),
                }
            }
        }
        row
    };
    newest.map(row).collect()
}

fn json(out: &mut impl Write, rows: &[RunRow]) -> std::io::Result<()> {
    let mut json = JsonWriter::new(out);
    json.begin_array()?;
    for RunRow { summary, is_interrupted } in rows {
        json.begin_object()?;
        json.text_field("run_id", summary.run_id.as_str())?;
        let status = if *is_interrupted { "INTERRUPTED" } else { words::of_run(summary.status) };
        json.text_field("status", status)?;
        json.text_field("reason", &summary.reason)?;
        json.text_field("tag", &summary.tag)?;
        json.text_field("pipeline", &summary.pipeline)?;
        // Of an interrupted run only its log knows more: `show` reads that.
        match is_interrupted {
            true => json.field("dag_hash", "null")?,
            false => json.text_field("dag_hash", &summary.graph.to_string())?,
        }
        json.field("generation", summary.generation)?;
        json.text_field("submitted", &summary.submitted.rfc3339())?;
        match summary.ended {
            Some(ended) => json.text_field("ended", &ended.rfc3339())?,
            None => json.field("ended", "null")?,
        }
        match is_interrupted {
            true => json.field("counts", "null")?,
            false => write_counts(&mut json, &summary.counts)?,
        }
        json.end_object()?;
    }
    json.end_array()?;
    json.finish().map(|_| ())
}

pub fn now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_microsecond())
}
