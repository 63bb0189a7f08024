//! Names of steps to their kinds, section by section, so that a million lookups stay cheap.

use std::collections::HashMap;

use crate::graph::{CompositeMode, Graph, NodeKind};
use crate::ids::{NodeNo, SectionNo};

pub(super) struct Names<'a> {
    graph: &'a Graph,
    sections: Vec<HashMap<&'a str, NodeNo>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(graph: &'a Graph) -> Self {
        let index = |section: &'a crate::graph::Section| {
            section.nodes().map(|node| (section.name(node), node)).collect()
        };
        Names { graph, sections: graph.sections.iter().map(index).collect() }
    }

    /// What stands under a dot path; frames' keys are passed over.
    pub(super) fn kind(&self, path: &str) -> Option<NodeKind> {
        let mut parts = path.split('.');
        let mut section = SectionNo(0);
        loop {
            let node = *self.sections.get(section.0 as usize)?.get(parts.next()?)?;
            let kind = self.graph.section(section).kind(node);
            if parts.next().is_none() {
                return Some(kind);
            }
            let NodeKind::Composite(composite) = kind else { return None };
            section = match &self.graph.composite(composite).mode {
                CompositeMode::Map { body, .. } => *body,
            };
        }
    }
}

/// The ancestors' `step_type`.
pub(super) fn step_type(graph: &Graph, kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Task(_) => "task",
        NodeKind::Composite(composite) => match &graph.composite(composite).mode {
            CompositeMode::Map { .. } => "map",
        },
        NodeKind::Stub => "stub",
        NodeKind::Success => "success",
        NodeKind::Fail => "fail",
    }
}
