//! The compiled graph: sections of nodes in compressed rows, and the tables they point into.

mod assembly;
mod build;
mod check;
mod codec;
mod names;
mod node;
mod path;
mod rank;
mod read;
mod section;
mod verify;

pub use assembly::Assembly;
pub use build::SectionBuilder;
pub use codec::{DecodeError, decode, encode};
pub use node::{
    Backoff, Care, Command, Composite, CompositeMode, Function, NodeKind, Parameter, ParameterKind,
    Resources, Shell, Task,
};
pub use section::{EdgeKind, Edges, Section};
pub use verify::{NameFault, NodeFault, VerifyError, check_step_name};

use crate::ids::{CompositeNo, SectionNo, TaskNo};

/// A checked, immutable pipeline. Section 0 is the root; every section is used exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub name: String,
    pub description: String,
    pub parameters: Vec<Parameter>,
    pub tasks: Vec<Task>,
    pub composites: Vec<Composite>,
    pub sections: Vec<Section>,
    /// Of the whole run; a timer in the state.
    pub time_limit: Option<crate::time::Span>,
}

impl Graph {
    pub fn root(&self) -> &Section {
        &self.sections[0]
    }

    pub fn section(&self, section: SectionNo) -> &Section {
        &self.sections[section.0 as usize]
    }

    pub fn task(&self, task: TaskNo) -> &Task {
        &self.tasks[task.0 as usize]
    }

    pub fn composite(&self, composite: CompositeNo) -> &Composite {
        &self.composites[composite.0 as usize]
    }

    /// Steps as a person counts them: nodes that are no terminals, in all sections.
    pub fn step_count(&self) -> usize {
        self.sections.iter().map(Section::step_count).sum()
    }
}

#[cfg(test)]
mod tests;
