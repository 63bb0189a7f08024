//! Pipelines as people write them: YAML in, a checked graph or every fault of it out.
//!
//! Nothing else knows YAML. Text becomes a tree with spans (`yaml`), the tree a typed pipeline
//! (`spec`), that a graph (`compile`); each reports all that it finds and goes on.

mod compile;
mod diagnostic;
mod file;
mod parameters;
mod source;
mod spec;
mod suggest;
mod yaml;

pub use diagnostic::{Code, DIAGNOSTICS_MAX, Diagnostic, Diagnostics, Place, Severity};
pub use file::read_file;
pub use parameters::{Declarations, Given, Initial, initial_values};

use dagmar_common::graph::Graph;
use dagmar_common::limits::PIPELINE_FILE_BYTES_MAX;

use diagnostic::Report;
use source::{Source, Span};

/// What came of a file.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// None if anything is wrong.
    pub graph: Option<Graph>,
    /// Errors, then warnings.
    pub diagnostics: Diagnostics,
    /// None if the file could not be read so far.
    pub declarations: Option<Declarations>,
}

/// Compiles the text of one pipeline; `source_name` is what people call it, such as its path.
pub fn compile(source_name: &str, text: &str) -> Compiled {
    compile_for(source_name, text, None)
}

/// The same for a run on one worker with so many thousandths of a cpu: what it can never run is
/// a warning.
pub fn compile_for(source_name: &str, text: &str, cpu_millis: Option<u32>) -> Compiled {
    let source = Source::new(source_name, text);
    let mut report = Report::new(&source);
    report.cpu_millis = cpu_millis;
    let compiled = compile_into(&source, &mut report);
    let is_sound = !report.has_errors();
    let (graph, declarations) = match compiled {
        None => (None, None),
        Some((graph, places)) => {
            let parameters = graph.parameters.clone();
            let declarations = Declarations { parameters, places, are_all: is_sound };
            (is_sound.then_some(graph), Some(declarations))
        }
    };
    Compiled { graph, diagnostics: report.finish(), declarations }
}

/// All that is to be said about a pipeline, without the graph.
pub fn lint(source_name: &str, text: &str) -> Diagnostics {
    compile(source_name, text).diagnostics
}

fn compile_into(source: &Source<'_>, report: &mut Report<'_>) -> Option<(Graph, Vec<Place>)> {
    if source.text.len() > PIPELINE_FILE_BYTES_MAX {
        report.add(file::too_large(source.text.len() as u64));
        return None;
    }
    let tree = match yaml::load(source.text, report) {
        Some(tree) => tree,
        None => {
            if !report.has_errors() {
                spec::report_empty(report);
            }
            return None;
        }
    };
    let spec = spec::read(tree.root(), report)?;
    let place_of = |span: Span| {
        let (line, column) = source.place(span.start);
        Place { file: source.name.to_owned(), line, column }
    };
    let places = spec.parameters.iter().map(|parameter| place_of(parameter.name.span)).collect();
    let graph = compile::compile(spec, report);
    Some((graph, places))
}

#[cfg(test)]
mod tests;
