//! Which pipeline is meant, and what was given with it.

use std::path::{Path, PathBuf};

use dagmar_common::problem::{Code, Problem};

use crate::arguments::ParameterArguments;
use crate::wiring::PipelineSource;

use super::Session;
use crate::render::text::shell_word;

const USUAL: [&str; 2] = ["pipeline.yaml", "pipeline.yml"];
const PREFIXES: [&str; 3] = ["DAGMAR_PRM_", "MAGNUS_PRM_", "RUNNABLE_PRM_"];

/// `verb`: of the command, for what to type instead.
pub fn of(
    session: &Session,
    verb: &str,
    file: Option<&Path>,
    parameters: &ParameterArguments,
) -> Result<PipelineSource, Problem> {
    Ok(PipelineSource {
        file: choose(session, verb, file)?,
        parameters_file: parameters.params.clone(),
        arguments: parameters.param.clone(),
        environment: environment(),
        cpu_millis: None,
        with_color: session.err.has_color,
    })
}

fn choose(session: &Session, verb: &str, file: Option<&Path>) -> Result<PathBuf, Problem> {
    let root = session.project.root();
    match file {
        Some(file) if root.join(file).exists() => Ok(file.to_owned()),
        Some(file) => {
            let name = file.display();
            let problem = Problem::new(Code::NoPipelineFile, format!("there is no file {name}"));
            Err(match similar(root, file) {
                Some(similar) => problem
                    .because(format!("did you mean {}?", similar.display()))
                    .try_this(format!("dagmar {verb} {}", shell_word(&similar.to_string_lossy()))),
                None => problem.try_this(format!("dagmar {verb} path/to/file.yaml")),
            })
        }
        None => {
            let found = USUAL.into_iter().find(|name| root.join(name).is_file());
            found.map(PathBuf::from).ok_or_else(|| {
                let looked = USUAL.join(", ");
                let here = root.display();
                Problem::new(
                    Code::NoPipelineFile,
                    format!("no pipeline file: looked for {looked} in {here}"),
                )
                .try_this(format!("dagmar {verb} path/to/file.yaml"))
            })
        }
    }
}

/// A file beside the one that is not there, with almost its name.
fn similar(root: &Path, file: &Path) -> Option<PathBuf> {
    let wanted = file.file_name()?.to_str()?;
    let parent = file.parent().unwrap_or(Path::new(""));
    let entries = std::fs::read_dir(root.join(parent)).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let near = names.filter_map(|name| {
        let distance = strsim::damerau_levenshtein(&name, wanted);
        (distance <= 2).then_some((distance, name))
    });
    near.min().map(|(_, name)| parent.join(name))
}

/// Variables that are no UTF-8 cannot be parameters.
fn environment() -> Vec<(String, String)> {
    let all = std::env::vars_os();
    let text = all.filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    text.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect()
}
