//! `dagmar lint`: everything that can be said about a pipeline, and nothing is run.

use std::io::Write;

use dagmar_common::record::words;

use crate::arguments::{LintArguments, Output};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::render::problem::json_of_findings;

use super::{Session, source, stdout};

pub fn perform(session: &Session, arguments: &LintArguments) -> Done {
    let mut source = source::of(session, "lint", arguments.file.as_deref(), &arguments.parameters)?;
    source.with_color = session.out.has_color;
    let file = source.file.display().to_string();
    let (findings, steps) = match session.wires.compile(&source) {
        Ok(compiled) => (compiled.warnings, Some(compiled.step_count)),
        Err(findings) if arguments.output == Output::Table => {
            return Err(Failure::Rejected(findings));
        }
        Err(findings) => (findings, None),
    };
    let mut out = stdout();
    match (arguments.output, steps) {
        (Output::Json, _) => {
            let answer = serde_json::json!({
                "file": file,
                "is_sound": steps.is_some(),
                "steps": steps,
                "findings": json_of_findings(&findings.all),
            });
            writeln!(out, "{answer:#}")?;
        }
        (Output::Table, steps) => {
            out.write_all(findings.rendered.as_bytes())?;
            let steps = words::of_count(steps.unwrap_or(0) as u64, "step");
            writeln!(out, "{file}: {steps}, no errors")?;
        }
    }
    out.flush()?;
    Ok(if steps.is_some() { Exit::Success } else { Exit::Usage })
}
