//! The rooms of other crates as the commands need them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use dagmar_common::graph;
use dagmar_common::ids::Digest;
use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::services::{Logs, Runs};
use dagmar_pipeline::{Diagnostics, Given, Severity, initial_values, read_file};

use crate::arguments::BenchArguments;
use crate::local::embedded::{Embedded, Place};
use crate::local::live::Live;
use crate::local::still;
use crate::wiring::{Compiled, Engine, Finding, Findings, Opening, PipelineSource, Wiring};

/// The program as it is.
pub struct House;

impl Wiring for House {
    fn compile(&self, source: &PipelineSource) -> Result<Compiled, Findings> {
        let told = |diagnostics: &Diagnostics| findings(diagnostics, source.with_color);
        // Whatever is wrong with one of the files, all that can be said of the other is said too.
        let mut diagnostics = Diagnostics::default();
        let mut read = |path: &Path| match read_file(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(faults) => {
                diagnostics = std::mem::take(&mut diagnostics).and(faults);
                None
            }
        };
        let text = read(&source.file);
        let file = source.parameters_file.as_deref().and_then(&mut read);
        let Some((name, text)) = text else { return Err(told(&diagnostics)) };
        let compiled = dagmar_pipeline::compile_for(&name, &text, source.cpu_millis);
        let given = Given {
            file: file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
            environment: &source.environment,
            arguments: &source.arguments,
        };
        // Of values that cannot be read nobody knows which are missing.
        let are_read = source.parameters_file.is_none() || file.is_some();
        let declared = compiled.declarations.filter(|_| are_read);
        let initial = declared.map(|declared| initial_values(&declared, &given));
        let diagnostics = diagnostics.and(compiled.diagnostics);
        let (values, faults) = initial.map(|it| (it.values, it.diagnostics)).unwrap_or_default();
        let diagnostics = diagnostics.and(faults);
        let is_sound = !diagnostics.has_errors();
        let (Some(graph), Some(parameters), true) = (compiled.graph, values, is_sound) else {
            return Err(told(&diagnostics));
        };
        Ok(Compiled {
            name: graph.name.clone(),
            step_count: graph.step_count(),
            graph: graph::encode(&graph).into(),
            parameters,
            warnings: told(&diagnostics),
            source_digest: Digest::of(text.as_bytes()),
        })
    }

    fn open(&self, live: &Live, opening: Opening) -> Result<Box<dyn Engine>, Problem> {
        let place = Place { directory: live.dir().to_owned(), project: live.project().to_owned() };
        Ok(Box::new(Embedded::open(&place, opening)?))
    }

    fn look(&self, live_dir: &Path) -> Result<Arc<dyn Runs>, Problem> {
        still::look(live_dir)
    }

    fn logs(&self, directory: PathBuf) -> Arc<dyn Logs> {
        Arc::new(still::StoredLogs(directory))
    }

    fn supervisor(&self) -> ExitCode {
        dagmar_supervisor::main()
    }

    fn bench(&self, arguments: &BenchArguments) -> Result<(), Problem> {
        let unforeseen = |error: anyhow::Error| {
            let causes = error.chain().skip(1).map(ToString::to_string);
            causes.fold(Problem::new(Code::Internal, error.to_string()), Problem::because)
        };
        crate::bench::print(arguments).map_err(|error| error.downcast().unwrap_or_else(unforeseen))
    }
}

fn findings(diagnostics: &Diagnostics, with_color: bool) -> Findings {
    let all = diagnostics.iter().map(|found| Finding {
        is_error: found.severity == Severity::Error,
        code: found.code.to_string(),
        message: found.message.clone(),
        place: found.place.as_ref().map_or_else(String::new, |place| {
            format!("{}:{}:{}", place.file, place.line, place.column)
        }),
        help: found.help.clone().unwrap_or_default(),
    });
    Findings { all: all.collect(), rendered: diagnostics.render(with_color) }
}
