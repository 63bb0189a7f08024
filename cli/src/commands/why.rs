//! `dagmar why`: the reasons for where a run or a step stands.

use std::io::Write;

use crate::arguments::{Output, WhyArguments};
use crate::exit::Exit;
use crate::failure::Done;
use crate::reference::bracketed;
use crate::render::text::escaped;

use super::find::{find, no_such_step};
use super::{Session, stdout};

pub fn perform(session: &Session, arguments: &WhyArguments) -> Done {
    let found = find(session, &arguments.run)?;
    let reasons = found.runs.why(&found.run, found.path.as_deref())?;
    if let (true, Some(path)) = (reasons.is_empty(), &found.path) {
        return Err(no_such_step(&found.run, path).into());
    }
    let mut out = stdout();
    if arguments.output == Output::Json {
        let reasons = reasons.iter().map(|reason| {
            let (path, sentence) = (&*reason.path, &reason.sentence);
            serde_json::json!({ "path": path, "sentence": sentence, "details": reason.details })
        });
        let answer = serde_json::json!({
            "run_id": found.run.as_str(),
            "is_interrupted": found.is_interrupted,
            "reasons": reasons.collect::<Vec<_>>(),
        });
        writeln!(out, "{answer:#}")?;
    } else {
        for reason in &reasons {
            let what = match &*reason.path {
                "" => found.run.to_string(),
                path => format!("{}/{}", found.run, escaped(&bracketed(path))),
            };
            writeln!(out, "{what}  {}", escaped(&reason.sentence))?;
            for detail in &reason.details {
                writeln!(out, "  {}", escaped(detail))?;
            }
        }
        if found.is_interrupted {
            writeln!(out, "nobody works on {0}; go on: dagmar resume {0}", found.run)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}
