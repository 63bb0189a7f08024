//! The graphs that `dagmar bench` runs: wide, chain, layers, map.

use std::sync::Arc;

use dagmar_common::graph::{
    Command, Composite, CompositeMode, EdgeKind, Function, Graph, NodeKind, Resources, Section,
    SectionBuilder, Task,
};
use dagmar_common::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use dagmar_common::value::Value;

use crate::arguments::{BenchFunction, Shape};

/// The parameter that a map of the bench iterates on.
const ITEMS: &str = "items";

/// Nodes of one layer, and parents of a node in the layer below.
const LAYER_WIDTH: u32 = 1_000;
const LAYER_PARENTS: u32 = 3;

/// A graph and the values it starts from.
pub struct Work {
    pub graph: Graph,
    pub parameters: Vec<(Arc<str>, Value)>,
    /// Nodes that count: no composites, no terminals.
    pub nodes: u64,
}

pub fn work(shape: Shape, function: BenchFunction, tasks: u32) -> Work {
    let (kind, task) = match function {
        BenchFunction::Stub => (NodeKind::Stub, None),
        BenchFunction::Noop => (NodeKind::Task(TaskNo(0)), Some(Function::Noop)),
        BenchFunction::True => {
            let words = vec!["/bin/true".to_owned()];
            (NodeKind::Task(TaskNo(0)), Some(Function::Process(Command::Words(words))))
        }
        BenchFunction::ShTrue => {
            let text = "/bin/true".to_owned();
            let script = Command::Script { text, shell: Default::default() };
            (NodeKind::Task(TaskNo(0)), Some(Function::Process(script)))
        }
    };
    let (sections, composites, parameters) = match shape {
        Shape::Wide => (vec![wide(kind, tasks)], Vec::new(), Vec::new()),
        Shape::Chain => (vec![chain(kind, tasks)], Vec::new(), Vec::new()),
        Shape::Layers => (vec![layers(kind, tasks)], Vec::new(), Vec::new()),
        Shape::Map => map(kind, tasks),
    };
    let graph = Graph {
        name: "bench".to_owned(),
        tasks: task.map(one_cpu).into_iter().collect(),
        composites,
        sections,
        ..Graph::default()
    }
    .finish();
    Work { graph, parameters, nodes: u64::from(tasks) }
}

fn one_cpu(function: Function) -> Task {
    Task {
        function,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    }
}

fn wide(kind: NodeKind, tasks: u32) -> Section {
    let mut section = SectionBuilder::default();
    for number in 0..tasks {
        section.node(&format!("t{number}"), kind, true);
    }
    section.finish()
}

fn chain(kind: NodeKind, tasks: u32) -> Section {
    let mut section = SectionBuilder::default();
    for number in 0..tasks {
        let node = section.node(&format!("t{number}"), kind, number == 0);
        if number > 0 {
            section.edge(NodeNo(number - 1), EdgeKind::Next, node);
        }
    }
    section.finish()
}

fn layers(kind: NodeKind, tasks: u32) -> Section {
    let mut section = SectionBuilder::default();
    for number in 0..tasks {
        let node = section.node(&format!("t{number}"), kind, true);
        let (layer, place) = (number / LAYER_WIDTH, number % LAYER_WIDTH);
        let parents = if layer == 0 { 0 } else { LAYER_PARENTS };
        for parent in 0..parents {
            // Neighbours at growing distances, so that a layer is one whole and not 1,000 chains.
            let below = (place + parent * 7) % LAYER_WIDTH;
            section.edge(NodeNo((layer - 1) * LAYER_WIDTH + below), EdgeKind::Needs, node);
        }
    }
    section.finish()
}

type Parts = (Vec<Section>, Vec<Composite>, Vec<(Arc<str>, Value)>);

fn map(kind: NodeKind, tasks: u32) -> Parts {
    let mut root = SectionBuilder::default();
    root.node("m", NodeKind::Composite(CompositeNo(0)), true);
    let mut body = SectionBuilder::default();
    body.node("t", kind, true);
    let mode = CompositeMode::Map {
        body: SectionNo(1),
        iterate_on: ITEMS.to_owned(),
        iterate_as: "item".to_owned(),
        index_as: None,
        max_parallel: None,
    };
    // One text from the start: what is measured later is not to find room that this left.
    let mut items = "[".to_owned();
    for number in 0..tasks {
        let between = if number == 0 { "" } else { ", " };
        items.extend([between, &number.to_string()]);
    }
    items.push(']');
    let items = Value::from_spelled(items);
    (vec![root.finish(), body.finish()], vec![Composite { mode }], vec![(ITEMS.into(), items)])
}
