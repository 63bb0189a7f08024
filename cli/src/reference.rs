//! How people refer to runs and steps: `etl-42`, `etl`, `@latest`, `etl-42/square[3].work:2`.

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem, shown};
use dagmar_common::record::{RunStatus, RunSummary};

/// What was typed, taken apart; which run it is turns out later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub run: String,
    /// The dot path of a step, a composite or a frame.
    pub path: Option<String>,
    pub attempt: Option<u32>,
}

/// Names that an ambiguous reference is answered with.
const NAMED_MAX: usize = 5;

impl Reference {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (run, rest) = match text.split_once('/') {
            Some((run, rest)) => (run, Some(rest)),
            None => (text, None),
        };
        let bad = |why: &str| {
            Problem::new(Code::Usage, format!("{text:?} is no reference to a run or a step: {why}"))
                .try_this("RUN, RUN/STEP, RUN/MAP[ITEM], RUN/STEP:ATTEMPT, @latest or @failed")
        };
        if run.is_empty() {
            return Err(bad("it names no run"));
        }
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return Ok(Reference { run: run.to_owned(), path: None, attempt: None });
        };
        // No name holds a colon: what is no number is part of a name that does not exist.
        let (path, attempt) = match rest.rsplit_once(':') {
            Some((path, number)) => match number.parse::<u32>() {
                Ok(number) if number > 0 && !path.is_empty() => (path, Some(number)),
                _ => (rest, None),
            },
            None => (rest, None),
        };
        let path = dotted(path).ok_or_else(|| bad("an item is written [3], with a number"))?;
        Ok(Reference { run: run.to_owned(), path: Some(path), attempt })
    }

    /// For commands that are about a whole run: `dagmar VERB RUN`.
    pub fn parse_run(verb: &str, text: &str) -> Result<Self, Problem> {
        let reference = Reference::parse(text)?;
        match &reference.path {
            None => Ok(reference),
            Some(path) => {
                let run = &reference.run;
                Err(Problem::new(
                    Code::Usage,
                    format!("this is about whole runs, not steps: {path}"),
                )
                .try_this(format!("dagmar {verb} {run}")))
            }
        }
    }

    /// Which of `runs`, newest last, is meant.
    pub fn choose(&self, runs: &[RunSummary]) -> Result<RunId, Problem> {
        match self.run.as_str() {
            "@latest" => runs.last().map(|run| run.run_id.clone()).ok_or_else(|| {
                Problem::new(Code::NotFound, "there is no run here yet").try_this("dagmar run FILE")
            }),
            "@failed" => {
                let failed = runs.iter().rfind(|run| run.status == RunStatus::Failed);
                failed.map(|run| run.run_id.clone()).ok_or_else(|| {
                    Problem::new(Code::NotFound, "no run here has failed").try_this("dagmar ls")
                })
            }
            name => by_name(name, runs),
        }
    }
}

fn by_name(name: &str, runs: &[RunSummary]) -> Result<RunId, Problem> {
    if let Some(exact) = runs.iter().find(|run| run.run_id.as_str() == name) {
        return Ok(exact.run_id.clone());
    }
    let begins = runs.iter().rev().filter(|run| run.run_id.as_str().starts_with(name));
    let found: Vec<&RunSummary> = begins.collect();
    match found.as_slice() {
        [one] => Ok(one.run_id.clone()),
        [] => {
            let near = runs.iter().map(|run| run.run_id.as_str()).filter_map(|run| {
                let distance = strsim::damerau_levenshtein(run, name);
                (distance <= 1 + name.len() / 4).then_some((distance, run))
            });
            let problem = Problem::new(Code::NotFound, format!("no run \"{}\" here", shown(name)));
            Err(match near.min() {
                Some((_, run)) => problem.because(format!("did you mean {run}?")),
                None => problem,
            }
            .try_this("dagmar ls --all"))
        }
        several => {
            let names: Vec<&str> =
                several.iter().take(NAMED_MAX).map(|run| run.run_id.as_str()).collect();
            let more = if several.len() > NAMED_MAX { ", …" } else { "" };
            let count = several.len();
            let message = format!("{name:?} matches {count} runs: {}{more}", names.join(", "));
            Err(Problem::new(Code::Ambiguous, message).try_this("add characters, or use @latest"))
        }
    }
}

/// `square[3].work` as `square.3.work`; None where brackets hold no number.
fn dotted(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        let (index, behind) = after.split_once(']')?;
        let index: u32 = index.parse().ok()?;
        if before.is_empty() && out.is_empty() {
            return None;
        }
        out += before;
        out += &format!(".{index}");
        if !behind.is_empty() && !behind.starts_with('.') {
            return None;
        }
        rest = behind;
    }
    out += rest;
    Some(out)
}

/// A dot path as people read it: `square.3.work` as `square[3].work`.
pub fn bracketed(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for (place, part) in path.split('.').enumerate() {
        match place {
            0 => out += part,
            // Every second part is a frame's key.
            _ if place % 2 == 1 && part.bytes().all(|byte| byte.is_ascii_digit()) => {
                out += &format!("[{part}]");
            }
            _ => out += &format!(".{part}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::summary;

    #[test]
    fn a_reference_is_taken_apart() {
        let check = |text: &str, run: &str, path: Option<&str>, attempt| {
            let reference =
                Reference { run: run.to_owned(), path: path.map(str::to_owned), attempt };
            assert_eq!(Reference::parse(text), Ok(reference));
        };
        check("etl-42", "etl-42", None, None);
        check("@latest/", "@latest", None, None);
        check("etl/square", "etl", Some("square"), None);
        check("etl/square[3]:2", "etl", Some("square.3"), Some(2));
        check("etl/square.3.work", "etl", Some("square.3.work"), None);
        check("etl/a[1].b[2].c", "etl", Some("a.1.b.2.c"), None);
        check("etl/load: all", "etl", Some("load: all"), None);
        for bad in ["", "/a", "r/a[x]", "r/a[1", "r/[1]", "r/a[1]b"] {
            assert_eq!(Reference::parse(bad).map_err(|p| p.code), Err(Code::Usage), "{bad}");
        }
        assert!(Reference::parse_run("cancel", "etl/square").is_err());
    }

    #[test]
    fn brackets_come_back() {
        for path in ["square", "a.b", "m[3]", "m[3].work", "a[1].b[2].c"] {
            let there = dotted(path).unwrap();
            let back = if path == "a.b" { "a.b".to_owned() } else { path.to_owned() };
            assert_eq!(bracketed(&there), back);
        }
    }

    #[test]
    fn a_run_is_chosen_by_name_beginning_or_word() {
        let runs = [
            summary("etl-2041", RunStatus::Failed),
            summary("etl-2042", RunStatus::Succeeded),
            summary("etl", RunStatus::Succeeded),
            summary("train-1", RunStatus::Cancelled),
        ];
        let choose = |name: &str| {
            let chosen = Reference::parse(name).unwrap().choose(&runs);
            chosen.map(|run| run.as_str().to_owned()).map_err(|problem| (problem.code, problem))
        };
        assert_eq!(choose("etl").unwrap(), "etl");
        assert_eq!(choose("train").unwrap(), "train-1");
        assert_eq!(choose("@latest").unwrap(), "train-1");
        assert_eq!(choose("@failed").unwrap(), "etl-2041");
        let (code, problem) = choose("etl-").unwrap_err();
        assert_eq!(code, Code::Ambiguous);
        assert_eq!(problem.message, "\"etl-\" matches 2 runs: etl-2042, etl-2041");
        let (code, problem) = choose("trian-1").unwrap_err();
        assert_eq!((code, &*problem.details[0]), (Code::NotFound, "did you mean train-1?"));
        let nothing = Reference::parse("@latest").unwrap().choose(&[]);
        assert_eq!(nothing.map_err(|problem| problem.code), Err(Code::NotFound));
    }
}
