//! The `run_config` of a run log: what the submitter recorded, and the graph as a `dag`.

use std::io::{self, Write};

use super::names::step_type;
use super::{JsonWriter, Page};
use crate::graph::{
    Backoff, Command, CompositeMode, EdgeKind, Function, Graph, NodeKind, Section, Shell, Task,
};
use crate::ids::{NodeNo, SectionNo};
use crate::record::words;

/// Keys that stand before the `dag`, in the ancestors' order; what else was recorded comes last.
const KEYS: [&str; 14] = [
    "executor",
    "run_log_store",
    "secrets_handler",
    "catalog_handler",
    "experiment_tracker",
    "pipeline_file",
    "parameters_file",
    "configuration_file",
    "tag",
    "run_id",
    "variables",
    "use_cached",
    "original_run_id",
    "execution_plan",
];

pub(super) fn write<W: Write>(json: &mut JsonWriter<W>, page: Page<'_>) -> io::Result<()> {
    let context = page.record.context.to_json();
    let none = serde_json::Map::new();
    let context = context.as_object().unwrap_or(&none);
    json.object_field("run_config")?;
    for key in &KEYS[..KEYS.len() - 1] {
        match (*key, context.get(*key)) {
            ("tag", _) => json.text_field("tag", &page.record.tag)?,
            ("run_id", _) => json.text_field("run_id", page.record.run_id.as_str())?,
            (_, Some(value)) => recorded(json, key, value)?,
            (_, None) => {}
        }
    }
    json.key("dag")?;
    section(json, page.graph, SectionNo(0), "")?;
    json.text_field("dag_hash", &page.record.graph.to_string())?;
    json.text_field("execution_plan", "chained")?;
    for (key, value) in context {
        if !KEYS.contains(&key.as_str()) {
            recorded(json, key, value)?;
        }
    }
    json.end_object()
}

/// Writes a recorded value in the page's own indentation.
fn recorded<W: Write>(
    json: &mut JsonWriter<W>,
    key: &str,
    value: &serde_json::Value,
) -> io::Result<()> {
    json.key(key)?;
    any(json, value)
}

fn any<W: Write>(json: &mut JsonWriter<W>, value: &serde_json::Value) -> io::Result<()> {
    match value {
        serde_json::Value::Object(fields) => {
            json.begin_object()?;
            for (key, value) in fields {
                recorded(json, key, value)?;
            }
            json.end_object()
        }
        serde_json::Value::Array(items) => {
            json.begin_array()?;
            for item in items {
                any(json, item)?;
            }
            json.end_array()
        }
        other => json.raw(other),
    }
}

fn section<W: Write>(
    json: &mut JsonWriter<W>,
    graph: &Graph,
    number: SectionNo,
    branch: &str,
) -> io::Result<()> {
    let Some(section) = graph.sections.get(number.0 as usize) else { return json.raw("null") };
    let is_root = number == SectionNo(0);
    json.begin_object()?;
    json.text_field("start_at", first(section).map_or("", |node| section.name(node)))?;
    json.text_field("name", if is_root { &graph.name } else { "" })?;
    json.text_field("description", if is_root { &graph.description } else { "" })?;
    match graph.time_limit.filter(|_| is_root) {
        Some(limit) => json.field("max_time", limit.0 / 1_000_000)?,
        None => json.field("max_time", "null")?,
    }
    json.text_field("internal_branch_name", branch)?;
    let needs = needs(section);
    json.object_field("steps")?;
    for node in section.nodes() {
        step(json, graph, section, node, branch, &needs[node.0 as usize])?;
    }
    json.end_object()?;
    json.end_object()
}

/// The head that nothing leads into; of several the one declared first.
fn first(section: &Section) -> Option<NodeNo> {
    section.nodes().find(|node| section.is_head(*node) && section.incoming(*node) == 0)
}

/// Of each node those whose results it needs.
fn needs(section: &Section) -> Vec<Vec<NodeNo>> {
    let mut needs = vec![Vec::new(); section.len() as usize];
    for node in section.nodes() {
        for (kind, target) in section.edges(node).iter() {
            if kind == EdgeKind::Needs {
                needs[target.0 as usize].push(node);
            }
        }
    }
    needs
}

fn step<W: Write>(
    json: &mut JsonWriter<W>,
    graph: &Graph,
    section_of: &Section,
    node: NodeNo,
    branch: &str,
    needs: &[NodeNo],
) -> io::Result<()> {
    let (name, kind) = (section_of.name(node), section_of.kind(node));
    let internal = if branch.is_empty() { name.to_owned() } else { format!("{branch}.{name}") };
    json.object_field(name)?;
    json.text_field("type", step_type(graph, kind))?;
    json.text_field("name", name)?;
    json.text_field("internal_name", &internal)?;
    json.text_field("internal_branch_name", branch)?;
    json.field("is_composite", matches!(kind, NodeKind::Composite(_)))?;
    for (kind, key) in [(EdgeKind::Next, "next"), (EdgeKind::OnFailure, "on_failure")] {
        let target = section_of.edges(node).iter().find(|(found, _)| *found == kind);
        if let Some((_, target)) = target {
            json.text_field(key, section_of.name(target))?;
        }
    }
    if !needs.is_empty() {
        json.array_field("needs")?;
        for need in needs {
            json.text(section_of.name(*need))?;
        }
        json.end_array()?;
    }
    match kind {
        NodeKind::Task(number) => task(json, graph.task(number))?,
        NodeKind::Composite(number) => composite(json, graph, number, &internal)?,
        NodeKind::Stub | NodeKind::Success | NodeKind::Fail => {}
    }
    json.end_object()
}

fn task<W: Write>(json: &mut JsonWriter<W>, task: &Task) -> io::Result<()> {
    match &task.function {
        Function::Process(Command::Words(words)) => {
            json.text_field("command_type", "shell")?;
            json.array_field("command")?;
            for word in words {
                json.text(word)?;
            }
            json.end_array()?;
        }
        Function::Process(Command::Script { text, shell: Shell::Sh }) => {
            json.text_field("command_type", "shell")?;
            json.text_field("command", text)?;
        }
        Function::Noop => json.text_field("command_type", "noop")?,
    }
    json.field("max_attempts", task.max_attempts)?;
    if let Some(Backoff { first, most }) = task.backoff {
        json.object_field("backoff")?;
        json.text_field("first", &words::of_span(first))?;
        json.text_field("most", &words::of_span(most))?;
        json.end_object()?;
    }
    if let Some(limit) = task.time_limit {
        json.text_field("timeout", &words::of_span(limit))?;
    }
    json.object_field("resources")?;
    json.field("cpus", f64::from(task.resources.cpu_millis) / 1_000.0)?;
    json.end_object()
}

fn composite<W: Write>(
    json: &mut JsonWriter<W>,
    graph: &Graph,
    number: crate::ids::CompositeNo,
    internal: &str,
) -> io::Result<()> {
    match &graph.composite(number).mode {
        CompositeMode::Map { body, iterate_on, iterate_as, index_as, max_parallel } => {
            json.text_field("iterate_on", iterate_on)?;
            json.text_field("iterate_as", iterate_as)?;
            if let Some(index_as) = index_as {
                json.text_field("index_as", index_as)?;
            }
            if let Some(most) = max_parallel {
                json.field("max_parallel", most)?;
            }
            json.key("branch")?;
            section(json, graph, *body, &format!("{internal}.map_variable_placeholder"))
        }
    }
}
