//! From the written pipeline to the graph: names resolved, rules of chains held, rows built.

mod chains;
mod cycle;
mod links;
mod lint;
mod names;

use std::collections::HashMap;

use dagmar_common::graph::{
    Composite, CompositeMode, Graph, NodeKind, Parameter, Section, SectionBuilder, Task,
};
use dagmar_common::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};

use crate::diagnostic::{Code, Finding, Report};
use crate::spec::{MapSpec, PipelineSpec, SectionSpec, StepKind};
use names::Names;

/// Reports every fault; the graph means something only where there is none.
pub(crate) fn compile(spec: PipelineSpec<'_>, report: &mut Report<'_>) -> Graph {
    let mut lowering = Lowering {
        graph: Graph {
            name: spec.name,
            description: spec.description,
            time_limit: spec.time_limit,
            ..Graph::default()
        },
        tasks: HashMap::new(),
    };
    let by_name = spec.parameters.iter().map(|parameter| (parameter.name.value, parameter));
    lint::lists(&spec.root, &by_name.collect(), &mut Vec::new(), report);
    for parameter in spec.parameters {
        lowering.graph.parameters.push(Parameter {
            name: parameter.name.value.to_owned(),
            kind: parameter.kind,
            default: parameter.default,
            description: parameter.description,
        });
    }
    lowering.section(spec.root, report);
    lowering.graph.finish()
}

struct Lowering {
    graph: Graph,
    /// Equal tasks share one entry.
    tasks: HashMap<Task, TaskNo>,
}

impl Lowering {
    /// Sections are numbered as they are met, so that each stands after the one that holds it.
    fn section(&mut self, spec: SectionSpec<'_>, report: &mut Report<'_>) -> SectionNo {
        let number = SectionNo(self.graph.sections.len() as u32);
        self.graph.sections.push(Section::default());
        if spec.steps.iter().all(|step| step.kind.is_terminal()) {
            let message = "there is nothing to run: every step here is a terminal";
            report.add(Finding::error(Code::Empty, spec.span, message));
        }
        let mut names = Names::of(&spec.steps, report);
        let plan = chains::plan(&spec, &mut names, report);
        let implied = names.implied();
        let mut section = SectionBuilder::default();
        for (step, is_head) in spec.steps.into_iter().zip(plan.heads) {
            let kind = self.kind(step.kind, report);
            section.node(step.name.value, kind, is_head);
        }
        for (name, kind) in implied {
            section.node(name, kind, false);
        }
        for (from, kind, to) in plan.edges {
            section.edge(from, kind, to);
        }
        self.graph.sections[number.0 as usize] = section.finish();
        number
    }

    fn kind(&mut self, kind: StepKind<'_>, report: &mut Report<'_>) -> NodeKind {
        match kind {
            StepKind::Task(task) => {
                let tasks = &mut self.graph.tasks;
                NodeKind::Task(*self.tasks.entry(task).or_insert_with_key(|task| {
                    tasks.push(task.clone());
                    TaskNo(tasks.len() as u32 - 1)
                }))
            }
            StepKind::Map(map) => NodeKind::Composite(self.map(*map, report)),
            StepKind::Success => NodeKind::Success,
            StepKind::Fail => NodeKind::Fail,
            StepKind::Stub | StepKind::Broken => NodeKind::Stub,
        }
    }

    fn map(&mut self, map: MapSpec<'_>, report: &mut Report<'_>) -> CompositeNo {
        let number = CompositeNo(self.graph.composites.len() as u32);
        self.graph.composites.push(Composite {
            mode: CompositeMode::Map {
                body: SectionNo(self.graph.sections.len() as u32),
                iterate_on: map.iterate_on.value.to_owned(),
                iterate_as: map.iterate_as,
                index_as: map.index_as,
                max_parallel: map.max_parallel,
            },
        });
        self.section(map.body, report);
        number
    }
}

/// A place in the list of steps as a node, and back.
fn node_at(place: usize) -> NodeNo {
    NodeNo(place as u32)
}
