//! The index of ended runs: one checked line a run, appended under a lock, never rewritten.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};

use serde_json::{Value, json};

use dagmar_common::ids::{Digest, RunId};
use dagmar_common::problem::Problem;
use dagmar_common::record::{Counts, RunStatus, RunSummary};
use dagmar_common::time::WallTime;

use super::{Project, files};

const VERSION: u64 = 1;

/// What the index holds, and what of it could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// In the order in which they ended; the last line of a run counts.
    pub runs: Vec<RunSummary>,
    /// One sentence for each damaged line.
    pub damage: Vec<String>,
}

/// Appends one run; durable when it returns.
pub fn append(project: &Project, summary: &RunSummary) -> Result<(), Problem> {
    let path = project.index();
    let fault = |error| Problem::storage("append to", &path, &error);
    let mut options = OpenOptions::new();
    let mut file = options.create(true).read(true).append(true).open(&path).map_err(fault)?;
    file.lock().map_err(fault)?;
    let mut line = Vec::new();
    // A writer that died left half a line: ours must not become its second half.
    if file.seek(SeekFrom::End(0)).map_err(fault)? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).map_err(fault)?;
        file.read_exact(&mut last).map_err(fault)?;
        if last != *b"\n" {
            line.push(b'\n');
        }
    }
    let text = to_json(summary).to_string();
    line.extend_from_slice(format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes())).as_bytes());
    file.write_all(&line).map_err(fault)?;
    file.sync_data().map_err(fault)
}

/// Everything that can be read; a torn or damaged line costs itself only, and is told.
pub fn read(project: &Project) -> Result<Index, Problem> {
    let bytes = files::read_if_there(&project.index())?.unwrap_or_default();
    let mut index = Index::default();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match parse(line) {
            Ok(summary) => index.runs.push(summary),
            Err(_) if lines.peek().is_none() => {
                index
                    .damage
                    .push("the last line of .dagmar/index was not written to its end".into());
            }
            Err(why) => {
                let number = number + 1;
                index.damage.push(format!("line {number} of .dagmar/index is damaged: {why}"));
            }
        }
    }
    let mut seen = HashSet::new();
    index.runs.reverse();
    index.runs.retain(|run| seen.insert(run.run_id.clone()));
    index.runs.reverse();
    Ok(index)
}

fn parse(line: &[u8]) -> Result<RunSummary, String> {
    let (sum, text) = line.split_at_checked(9).ok_or("it is too short")?;
    let expected = format!("{:08x} ", crc32c::crc32c(text));
    if sum != expected.as_bytes() {
        return Err("its checksum does not fit".to_owned());
    }
    let json: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match json["v"].as_u64() {
        Some(VERSION) => from_json(&json).ok_or_else(|| "a field is missing".to_owned()),
        other => Err(format!("version {other:?} is not known; a newer dagmar wrote it")),
    }
}

fn to_json(summary: &RunSummary) -> Value {
    let counts = &summary.counts;
    json!({
        "v": VERSION,
        "run": summary.run_id.as_str(),
        "tag": summary.tag,
        "pipeline": summary.pipeline,
        "generation": summary.generation,
        "graph": summary.graph.to_string(),
        "status": match summary.status {
            RunStatus::Running => "running",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
        },
        "reason": summary.reason,
        "submitted": summary.submitted.0,
        "ended": summary.ended.map(|at| at.0),
        "counts": [
            counts.waiting, counts.active, counts.succeeded,
            counts.failed, counts.skipped, counts.cancelled,
        ],
    })
}

fn from_json(json: &Value) -> Option<RunSummary> {
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let count = |place: usize| json["counts"][place].as_u64();
    Some(RunSummary {
        run_id: RunId::new(json["run"].as_str()?),
        tag: text("tag")?,
        pipeline: text("pipeline")?,
        generation: u32::try_from(json["generation"].as_u64()?).ok()?,
        graph: digest(json["graph"].as_str()?)?,
        status: match json["status"].as_str()? {
            "running" => RunStatus::Running,
            "succeeded" => RunStatus::Succeeded,
            "failed" => RunStatus::Failed,
            "cancelled" => RunStatus::Cancelled,
            _ => return None,
        },
        reason: text("reason")?,
        submitted: WallTime(json["submitted"].as_i64()?),
        ended: json["ended"].as_i64().map(WallTime),
        counts: Counts {
            waiting: count(0)?,
            active: count(1)?,
            succeeded: count(2)?,
            failed: count(3)?,
            skipped: count(4)?,
            cancelled: count(5)?,
        },
    })
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scratch, summary};

    fn project(scratch: &Scratch) -> Project {
        let project = Project::at(scratch.path());
        project.prepare().unwrap();
        project
    }

    fn names(index: &Index) -> Vec<&str> {
        index.runs.iter().map(|run| run.run_id.as_str()).collect()
    }

    #[test]
    fn what_is_appended_is_read_and_the_last_word_on_a_run_counts() {
        let scratch = Scratch::new();
        let project = project(&scratch);
        assert_eq!(read(&project), Ok(Index::default()));
        let again = RunSummary { generation: 1, ..summary("a", RunStatus::Succeeded) };
        let runs = [summary("a", RunStatus::Failed), summary("b", RunStatus::Cancelled), again];
        for run in &runs {
            append(&project, run).unwrap();
        }
        let index = read(&project).unwrap();
        assert_eq!((index.runs, index.damage), (runs[1..].to_vec(), Vec::new()));
    }

    #[test]
    fn a_torn_tail_is_told_and_the_next_line_is_whole() {
        let scratch = Scratch::new();
        let project = project(&scratch);
        append(&project, &summary("a", RunStatus::Failed)).unwrap();
        append(&project, &summary("b", RunStatus::Failed)).unwrap();
        let whole = std::fs::read(project.index()).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first + 1..whole.len() - 1 {
            std::fs::write(project.index(), &whole[..cut]).unwrap();
            let torn = read(&project).unwrap();
            assert_eq!((names(&torn), torn.damage.len()), (vec!["a"], 1), "cut at {cut}");
            append(&project, &summary("c", RunStatus::Failed)).unwrap();
            let healed = read(&project).unwrap();
            assert_eq!((names(&healed), healed.damage.len()), (vec!["a", "c"], 1));
        }
    }

    #[test]
    fn a_flipped_byte_costs_its_line_only_and_is_told() {
        let scratch = Scratch::new();
        let project = project(&scratch);
        append(&project, &summary("a", RunStatus::Failed)).unwrap();
        append(&project, &summary("b", RunStatus::Succeeded)).unwrap();
        let whole = std::fs::read(project.index()).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x15;
            std::fs::write(project.index(), &damaged).unwrap();
            let index = read(&project).unwrap();
            // The line end of the last line carries nothing: without it the line is still whole.
            let is_last = place == whole.len() - 1;
            assert!(is_last || !index.damage.is_empty(), "byte {place}");
            assert!(index.runs.len() <= 2 && index.runs.iter().all(|run| run.tag == "weekly"));
        }
    }

    #[test]
    fn writers_side_by_side_lose_nothing() {
        let scratch = Scratch::new();
        let project = project(&scratch);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let project = &project;
                scope.spawn(move || {
                    for number in 0..25 {
                        let name = format!("{writer}-{number}");
                        append(project, &summary(&name, RunStatus::Succeeded)).unwrap();
                    }
                });
            }
        });
        let index = read(&project).unwrap();
        assert_eq!((index.runs.len(), index.damage.len()), (100, 0));
    }
}
