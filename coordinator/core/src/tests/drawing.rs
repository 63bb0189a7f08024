//! Graphs as tests draw them: steps by name, with `next`, `fails` and `needs`.

use dagmar_common::graph::{
    Backoff, Care, Command, Composite, CompositeMode, EdgeKind, Function, Graph, NodeKind,
    Resources, SectionBuilder, Task,
};
use dagmar_common::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use dagmar_common::time::Span;

#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub kind: Kind,
    pub next: Option<String>,
    pub fails: Option<String>,
    pub needs: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Task { attempts: u32, backoff: Option<Backoff>, cpu_millis: u32, care: Care },
    Stub,
    Map { on: String, parallel: Option<u32>, body: Vec<Step> },
    Success,
    Fail,
}

pub fn task(name: &str) -> Step {
    let care = Care::default();
    step(name, Kind::Task { attempts: 1, backoff: None, cpu_millis: 1_000, care })
}

pub fn stub(name: &str) -> Step {
    step(name, Kind::Stub)
}

/// Items are seen as `x`, their index as `i`.
pub fn map(name: &str, on: &str, body: &[Step]) -> Step {
    step(name, Kind::Map { on: on.into(), parallel: None, body: body.to_vec() })
}

fn step(name: &str, kind: Kind) -> Step {
    Step { name: name.into(), kind, next: None, fails: None, needs: None }
}

impl Step {
    pub fn next(mut self, name: &str) -> Self {
        self.next = Some(name.into());
        self
    }

    pub fn fails(mut self, name: &str) -> Self {
        self.fails = Some(name.into());
        self
    }

    pub fn needs(mut self, names: &[&str]) -> Self {
        self.needs = Some(names.iter().map(|name| name.to_string()).collect());
        self
    }

    pub fn attempts(mut self, count: u32) -> Self {
        if let Kind::Task { attempts, .. } = &mut self.kind {
            *attempts = count;
        }
        self
    }

    pub fn backoff(mut self, first: Span) -> Self {
        if let Kind::Task { backoff, .. } = &mut self.kind {
            *backoff = Some(Backoff { first, most: Span::from_secs(3_600) });
        }
        self
    }

    pub fn cpus(mut self, millis: u32) -> Self {
        if let Kind::Task { cpu_millis, .. } = &mut self.kind {
            *cpu_millis = millis;
        }
        self
    }

    pub fn exclusive(mut self) -> Self {
        if let Kind::Task { care, .. } = &mut self.kind {
            care.exclusive = true;
        }
        self
    }

    /// `idempotent: false`.
    pub fn once(mut self) -> Self {
        if let Kind::Task { care, .. } = &mut self.kind {
            care.once = true;
        }
        self
    }

    pub fn parallel(mut self, count: u32) -> Self {
        if let Kind::Map { parallel, .. } = &mut self.kind {
            *parallel = Some(count);
        }
        self
    }
}

pub fn graph(steps: &[Step]) -> Graph {
    let mut graph = Graph { name: "test".into(), ..Graph::default() };
    graph.sections.push(Default::default());
    let root = section(&mut graph, steps);
    graph.sections[0] = root;
    let graph = graph.finish();
    graph.verify().expect("a test draws graphs that verify");
    graph
}

fn section(graph: &mut Graph, steps: &[Step]) -> dagmar_common::graph::Section {
    let mut steps = steps.to_vec();
    let reached = |steps: &[Step], name: &str| {
        steps.iter().any(|step| [&step.next, &step.fails].contains(&&Some(name.to_owned())))
    };
    for (name, kind) in [("success", Kind::Success), ("fail", Kind::Fail)] {
        if reached(&steps, name) {
            steps.push(step(name, kind));
        }
    }
    let mut builder = SectionBuilder::default();
    for step in &steps {
        let kind = node_kind(graph, step);
        let is_head = step.needs.is_some() || !reached(&steps, &step.name);
        builder.node(&step.name, kind, is_head);
    }
    let number = |name: &String| {
        let place = steps.iter().position(|step| step.name == *name);
        NodeNo(place.unwrap_or_else(|| panic!("no step {name}")) as u32)
    };
    for step in &steps {
        let here = number(&step.name);
        if let Some(next) = &step.next {
            builder.edge(here, EdgeKind::Next, number(next));
        }
        if let Some(handler) = &step.fails {
            builder.edge(here, EdgeKind::OnFailure, number(handler));
        }
        for source in step.needs.iter().flatten() {
            builder.edge(number(source), EdgeKind::Needs, here);
        }
    }
    builder.finish()
}

fn node_kind(graph: &mut Graph, step: &Step) -> NodeKind {
    match &step.kind {
        Kind::Stub => NodeKind::Stub,
        Kind::Success => NodeKind::Success,
        Kind::Fail => NodeKind::Fail,
        Kind::Task { attempts, backoff, cpu_millis, care } => {
            let task = Task {
                function: Function::Process(Command::Words(vec![step.name.clone()])),
                max_attempts: *attempts,
                backoff: *backoff,
                time_limit: None,
                resources: Resources { cpu_millis: *cpu_millis },
                care: *care,
            };
            graph.tasks.push(task);
            NodeKind::Task(TaskNo(graph.tasks.len() as u32 - 1))
        }
        Kind::Map { on, parallel, body } => {
            let number = SectionNo(graph.sections.len() as u32);
            graph.sections.push(Default::default());
            let rows = section(graph, body);
            graph.sections[number.0 as usize] = rows;
            graph.composites.push(Composite {
                mode: CompositeMode::Map {
                    body: number,
                    iterate_on: on.clone(),
                    iterate_as: "x".into(),
                    index_as: Some("i".into()),
                    max_parallel: *parallel,
                },
            });
            NodeKind::Composite(CompositeNo(graph.composites.len() as u32 - 1))
        }
    }
}
