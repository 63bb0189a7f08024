//! The graphs of the figures.

use dagmar_common::graph::{
    Composite, CompositeMode, EdgeKind, Function, Graph, NodeKind, Resources, SectionBuilder, Task,
};
use dagmar_common::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};

fn with_task() -> Graph {
    let task = Task {
        function: Function::Noop,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    };
    Graph { name: "figures".into(), tasks: vec![task], ..Graph::default() }
}

pub fn wide(count: u32) -> Graph {
    let mut graph = with_task();
    let mut section = SectionBuilder::default();
    for number in 0..count {
        section.node(&format!("t{number}"), NodeKind::Task(TaskNo(0)), true);
    }
    graph.sections.push(section.finish());
    graph.finish()
}

pub fn layers(depth: u32, width: u32, parents: u32) -> Graph {
    let mut graph = with_task();
    let mut section = SectionBuilder::default();
    for number in 0..depth * width {
        section.node(&format!("t{number}"), NodeKind::Task(TaskNo(0)), true);
    }
    for layer in 1..depth {
        for place in 0..width {
            for parent in 0..parents {
                let from = (layer - 1) * width + (place + parent * 7) % width;
                section.edge(NodeNo(from), EdgeKind::Needs, NodeNo(layer * width + place));
            }
        }
    }
    graph.sections.push(section.finish());
    graph.finish()
}

pub fn map() -> Graph {
    let mut graph = Graph { name: "figures".into(), ..Graph::default() };
    let mut root = SectionBuilder::default();
    root.node("m", NodeKind::Composite(CompositeNo(0)), true);
    let mut body = SectionBuilder::default();
    body.node("s", NodeKind::Stub, true);
    graph.sections = vec![root.finish(), body.finish()];
    graph.composites.push(Composite {
        mode: CompositeMode::Map {
            body: SectionNo(1),
            iterate_on: "items".into(),
            iterate_as: "item".into(),
            index_as: None,
            max_parallel: None,
        },
    });
    graph.finish()
}
