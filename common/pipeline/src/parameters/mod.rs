//! A run's initial parameters: defaults, below a file, below the environment, below arguments.

mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dagmar_common::graph::{Parameter, ParameterKind};
use dagmar_common::value::Value;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostics, Finding, Place, Report, shown};
use crate::source::{Source, Span};
use crate::spec::kind_word;

/// The parameters of a pipeline, and where each is declared.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    pub parameters: Vec<Parameter>,
    /// As many, or none where nobody knows.
    pub places: Vec<Place>,
    /// Else the file has faults, and some may be missing.
    pub are_all: bool,
}

/// All that a person gave for one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Name and text of a parameters file, YAML or JSON.
    pub file: Option<(&'a str, &'a str)>,
    /// Of the process; variables with other names are passed over.
    pub environment: &'a [(String, String)],
    /// `name=value` each.
    pub arguments: &'a [String],
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Initial {
    /// Sorted by name; None if anything is wrong.
    pub values: Option<Vec<(Arc<str>, Value)>>,
    pub diagnostics: Diagnostics,
}

pub fn initial_values(declarations: &Declarations, given: &Given<'_>) -> Initial {
    let Declarations { parameters, places, are_all } = declarations;
    let positions = parameters.iter().enumerate();
    let positions = positions.map(|(position, parameter)| (parameter.name.as_str(), position));
    let (positions, are_all) = (positions.collect(), *are_all);
    let declared = &Declared { parameters, places, are_all, positions };
    let (file_name, file_text) = given.file.unwrap_or_default();
    let source = Source::new(file_name, file_text);
    let mut report = Report::new(&source);
    let mut values: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for parameter in parameters {
        if let Some(default) = &parameter.default {
            values.insert(parameter.name.as_str().into(), default.clone());
        }
    }
    if given.file.is_some() {
        sources::from_file(&source, declared, &mut values, &mut report);
    }
    sources::from_environment(given.environment, declared, &mut values, &mut report);
    sources::from_arguments(given.arguments, declared, &mut values, &mut report);
    // Whoever gave a wrong value need not hear that it has none, too.
    let had_errors = report.has_errors();
    for parameter in parameters.iter().filter(|_| !had_errors) {
        if !values.contains_key(parameter.name.as_str()) {
            let name = &parameter.name;
            let message = format!("parameter {name} has no value{}", declared.place_of(name));
            let help = format!("give it with `-p {name}=…`, or declare a default");
            let finding = Finding::error(Code::ParameterMissing, Span::default(), message);
            report.add(finding.without_place().help(help));
        }
    }
    let is_sound = !report.has_errors();
    Initial { values: is_sound.then(|| values.into_iter().collect()), diagnostics: report.finish() }
}

/// The declarations of a pipeline.
struct Declared<'a> {
    parameters: &'a [Parameter],
    places: &'a [Place],
    are_all: bool,
    positions: HashMap<&'a str, usize>,
}

impl<'a> Declared<'a> {
    fn find(&self, name: &str) -> Option<&'a Parameter> {
        self.positions.get(name).map(|position| &self.parameters[*position])
    }

    fn kind_of(&self, name: &str) -> ParameterKind {
        self.find(name).map_or(ParameterKind::Any, |parameter| parameter.kind)
    }

    /// ` (declared pipeline.yaml:4, default 4)`
    fn place_of(&self, name: &str) -> String {
        let Some(position) = self.positions.get(name).copied() else { return String::new() };
        let place = self.places.get(position);
        let place = place.map(|place| format!("declared {}:{}", place.file, place.line));
        let default = self.parameters[position].default.as_ref();
        let default = default.map(|value| format!("default {}", shown(value.spelled())));
        let known: Vec<_> = place.into_iter().chain(default).collect();
        if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
    }

    /// `parameter n wants an integer, got "abc" (declared pipeline.yaml:4, default 4)`
    fn mismatch(&self, name: &str, found: &str) -> String {
        let (wanted, place) = (kind_word(self.kind_of(name)), self.place_of(name));
        format!("parameter {name} wants {wanted}, got {found}{place}")
    }
}

/// Text as the declared type reads it; without one, JSON if it parses, else text.
fn read_text(kind: ParameterKind, text: &str) -> Option<Value> {
    if kind == ParameterKind::Text {
        return Some(Value::text(text));
    }
    if kind == ParameterKind::Any {
        return Some(Value::from_loose(text));
    }
    // Python's spelling too: the ancestors' users export it.
    let json = match (kind, text) {
        (ParameterKind::Boolean, "True") => Json::Bool(true),
        (ParameterKind::Boolean, "False") => Json::Bool(false),
        _ => serde_json::from_str(text).ok()?,
    };
    crate::spec::value_fits(kind, &json).then(|| Value::from_json(&json))
}
