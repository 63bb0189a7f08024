//! The graph's bytes: one canonical protobuf message, which is what is stored, sent and hashed.

use prost::Message as _;
use thiserror::Error;

use super::verify::VerifyError;
use super::{
    Assembly, Backoff, Care, Command, Composite, CompositeMode, Function, Graph, NodeKind,
    Parameter, ParameterKind, Resources, Section, Shell, Task,
};
use crate::ids::{Digest, SectionNo};
use crate::time::Span;
use crate::value::Value;

/// The messages of `proto/dagmar/v1/graph.proto`.
#[allow(clippy::doc_markdown, clippy::all)]
pub(super) mod wire {
    include!(concat!(env!("OUT_DIR"), "/dagmar.v1.rs"));
}

pub(super) const VERSION: u32 = 1;

/// Why bytes are no graph that this program may run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("these bytes are no graph: {0}")]
    Malformed(String),
    #[error("the graph is of version {found}; this program knows up to {VERSION}")]
    Newer { found: u32 },
    #[error("the graph is not in its canonical form: the same graph is written otherwise")]
    NotCanonical,
    #[error("the graph cannot run: {0}")]
    Invalid(#[from] VerifyError),
}

impl Graph {
    /// The name of a graph: the hash of its canonical bytes.
    pub fn hash(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }
}

/// Equal graphs give equal bytes.
pub fn encode(graph: &Graph) -> Vec<u8> {
    to_wire(graph).encode_to_vec()
}

/// Refuses whatever [`encode`] would not have written, and every graph that does not verify.
pub fn decode(bytes: &[u8]) -> Result<Graph, DecodeError> {
    let mut assembly = Assembly::default();
    assembly.push(bytes)?;
    assembly.finish().map(|(graph, _)| graph)
}

pub(super) fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

fn to_wire(graph: &Graph) -> wire::Graph {
    wire::Graph {
        version: VERSION,
        name: graph.name.clone(),
        description: graph.description.clone(),
        parameters: graph.parameters.iter().map(parameter_to_wire).collect(),
        tasks: graph.tasks.iter().map(task_to_wire).collect(),
        composites: graph.composites.iter().map(composite_to_wire).collect(),
        sections: graph.sections.iter().map(section_to_wire).collect(),
        time_limit_micros: graph.time_limit.map(|limit| limit.0),
    }
}

fn section_to_wire(section: &Section) -> wire::Section {
    let mut references = Vec::new();
    let kinds = section.kinds.iter().map(|kind| match *kind {
        NodeKind::Task(task) => {
            references.push(task.0);
            wire::NodeKind::Task as u8
        }
        NodeKind::Composite(composite) => {
            references.push(composite.0);
            wire::NodeKind::Composite as u8
        }
        NodeKind::Stub => wire::NodeKind::Stub as u8,
        NodeKind::Success => wire::NodeKind::Success as u8,
        NodeKind::Fail => wire::NodeKind::Fail as u8,
    });
    let kinds = kinds.collect();
    wire::Section {
        names: section.names.clone(),
        name_bytes: lengths(&section.name_ends),
        kinds,
        references,
        heads: section.heads.iter().map(|head| u8::from(*head)).collect(),
        edge_counts: lengths(&section.edge_ends),
        targets: section.targets.iter().map(|target| target.0).collect(),
        edge_kinds: section.edge_kinds.iter().map(|kind| *kind as u8).collect(),
    }
}

/// Ends to lengths: lengths take one byte where offsets take four.
fn lengths(ends: &[u32]) -> Vec<u32> {
    let mut before = 0;
    ends.iter().map(|end| end - std::mem::replace(&mut before, *end)).collect()
}

fn task_to_wire(task: &Task) -> wire::Task {
    use wire::task::Function as Wire;
    let function = match &task.function {
        Function::Process(Command::Words(words)) => {
            Wire::Words(wire::Words { words: words.clone() })
        }
        Function::Process(Command::Script { text, shell: Shell::Sh }) => {
            Wire::Script(wire::Script { text: text.clone(), shell: wire::Shell::Sh.into() })
        }
        Function::Noop => Wire::Noop(wire::Noop {}),
    };
    wire::Task {
        function: Some(function),
        max_attempts: task.max_attempts,
        backoff: task.backoff.map(|backoff| wire::Backoff {
            first_micros: backoff.first.0,
            most_micros: backoff.most.0,
        }),
        time_limit_micros: task.time_limit.map(|limit| limit.0),
        resources: Some(wire::Resources { cpu_millis: task.resources.cpu_millis }),
        exclusive: task.care.exclusive,
        once: task.care.once,
    }
}

pub(super) fn task_from_wire(message: wire::Task) -> Result<Task, DecodeError> {
    use wire::task::Function as Wire;
    let function = match message.function {
        Some(Wire::Words(words)) => Function::Process(Command::Words(words.words)),
        Some(Wire::Script(script)) => match wire::Shell::try_from(script.shell) {
            Ok(wire::Shell::Sh) => {
                Function::Process(Command::Script { text: script.text, shell: Shell::Sh })
            }
            Ok(wire::Shell::Unspecified) | Err(_) => {
                return Err(malformed("a script names no known shell"));
            }
        },
        Some(Wire::Noop(wire::Noop {})) => Function::Noop,
        None => return Err(malformed("a task has no known function")),
    };
    let Some(resources) = message.resources else {
        return Err(malformed("a task does not say what it occupies"));
    };
    Ok(Task {
        function,
        max_attempts: message.max_attempts,
        backoff: message.backoff.map(|backoff| Backoff {
            first: Span(backoff.first_micros),
            most: Span(backoff.most_micros),
        }),
        time_limit: message.time_limit_micros.map(Span),
        resources: Resources { cpu_millis: resources.cpu_millis },
        care: Care { exclusive: message.exclusive, once: message.once },
    })
}

fn composite_to_wire(composite: &Composite) -> wire::Composite {
    let mode = match &composite.mode {
        CompositeMode::Map { body, iterate_on, iterate_as, index_as, max_parallel } => {
            wire::composite::Mode::Map(wire::Map {
                body: body.0,
                iterate_on: iterate_on.clone(),
                iterate_as: iterate_as.clone(),
                index_as: index_as.clone(),
                max_parallel: *max_parallel,
            })
        }
    };
    wire::Composite { mode: Some(mode) }
}

pub(super) fn composite_from_wire(message: wire::Composite) -> Result<Composite, DecodeError> {
    match message.mode {
        Some(wire::composite::Mode::Map(map)) => Ok(Composite {
            mode: CompositeMode::Map {
                body: SectionNo(map.body),
                iterate_on: map.iterate_on,
                iterate_as: map.iterate_as,
                index_as: map.index_as,
                max_parallel: map.max_parallel,
            },
        }),
        None => Err(malformed("a composite has no known mode")),
    }
}

fn parameter_to_wire(parameter: &Parameter) -> wire::Parameter {
    let kind = match parameter.kind {
        ParameterKind::Any => wire::ParameterKind::Any,
        ParameterKind::Boolean => wire::ParameterKind::Boolean,
        ParameterKind::Integer => wire::ParameterKind::Integer,
        ParameterKind::Number => wire::ParameterKind::Number,
        ParameterKind::Text => wire::ParameterKind::Text,
        ParameterKind::List => wire::ParameterKind::List,
        ParameterKind::Object => wire::ParameterKind::Object,
    };
    wire::Parameter {
        name: parameter.name.clone(),
        kind: kind.into(),
        default: parameter.default.as_ref().map(|value| value.spelled().to_owned()),
        description: parameter.description.clone(),
    }
}

pub(super) fn parameter_from_wire(message: wire::Parameter) -> Result<Parameter, DecodeError> {
    let kind = match wire::ParameterKind::try_from(message.kind) {
        Ok(wire::ParameterKind::Any) => ParameterKind::Any,
        Ok(wire::ParameterKind::Boolean) => ParameterKind::Boolean,
        Ok(wire::ParameterKind::Integer) => ParameterKind::Integer,
        Ok(wire::ParameterKind::Number) => ParameterKind::Number,
        Ok(wire::ParameterKind::Text) => ParameterKind::Text,
        Ok(wire::ParameterKind::List) => ParameterKind::List,
        Ok(wire::ParameterKind::Object) => ParameterKind::Object,
        Ok(wire::ParameterKind::Unspecified) | Err(_) => {
            return Err(malformed("a parameter is of no known kind"));
        }
    };
    if let Some(text) = &message.default {
        let json: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| DecodeError::Malformed(format!("a default is no JSON: {error}")))?;
        if Value::from_json(&json).spelled() != text {
            return Err(DecodeError::NotCanonical);
        }
    }
    Ok(Parameter {
        name: message.name,
        kind,
        default: message.default.map(Value::from_spelled),
        description: message.description,
    })
}
