//! Random pipelines: chains, needs, handlers, maps in maps, retries, time limits, as YAML.

use dagmar_common::graph::{self, Function, Graph};
use dagmar_common::time::Span;

use crate::random::Random;

/// What every run is given: lists for maps, one of them empty.
pub const GIVEN: [(&str, &str); 3] =
    [("xs", "[1, \"two\", {\"k\": 3}]"), ("ys", "[[1, 2], []]"), ("none", "[]")];

/// Names that tasks write, and that later ones and maps see.
pub const WRITTEN: [&str; 3] = ["out0", "out1", "out2"];

/// Different graphs of one life; compiling is most of what they cost.
const GALLERY_MAX: usize = 8;

/// Encoded graphs, most of them submitted again and again.
#[derive(Debug, Default)]
pub struct Gallery {
    graphs: Vec<Vec<u8>>,
}

impl Gallery {
    pub fn pick(&mut self, random: &mut Random) -> Vec<u8> {
        let place = random.below(GALLERY_MAX);
        if place >= self.graphs.len() {
            self.graphs.push(graph::encode(&pipeline(random)));
        }
        self.graphs[place.min(self.graphs.len() - 1)].clone()
    }
}

/// A graph that can run; about a third of its tasks are no-ops.
fn pipeline(random: &mut Random) -> Graph {
    let mut text = String::new();
    section(&mut text, 0, 0, random);
    let compiled = dagmar_pipeline::compile("random.yaml", &text);
    let Some(mut graph) = compiled.graph else {
        panic!("{}\n{text}", compiled.diagnostics.render(false));
    };
    if random.chance(1, 6) {
        graph.time_limit = Some(Span::from_secs(random.pick(&[2, 20, 200])));
    }
    for task in &mut graph.tasks {
        if random.chance(1, 3) {
            task.function = Function::Noop;
        }
    }
    let graph = graph.finish();
    assert_eq!(graph.verify(), Ok(()), "{text}");
    graph
}

/// Chains, whose heads may need earlier steps.
fn section(text: &mut String, indent: usize, depth: usize, random: &mut Random) {
    line(text, indent, "steps:");
    let mut earlier: Vec<String> = Vec::new();
    for chain in 0..1 + random.below(4) {
        let length = 1 + random.below(3);
        let names: Vec<String> = (0..length).map(|place| format!("c{chain}s{place}")).collect();
        for (place, name) in names.iter().enumerate() {
            line(text, indent + 2, &format!("{name}:"));
            let ahead = &names[place + 1..];
            if place == 0 {
                let mut needs = earlier.clone();
                needs.retain(|_| random.chance(1, 3));
                line(text, indent + 4, &format!("needs: [{}]", needs.join(", ")));
            }
            let end = random.pick(&["success", "success", "fail"]);
            let next = ahead.first().map_or(end, String::as_str);
            if !ahead.is_empty() || random.chance(1, 3) {
                line(text, indent + 4, &format!("next: {next}"));
            }
            let handler = ahead.get(1).map_or("success", String::as_str);
            if handler != next && random.chance(1, 3) {
                line(text, indent + 4, &format!("on_failure: {handler}"));
            }
            step(text, indent + 4, depth, random);
        }
        earlier.extend(names);
    }
}

fn step(text: &mut String, indent: usize, depth: usize, random: &mut Random) {
    if random.chance(1, 6) {
        line(text, indent, "type: stub");
    } else if depth < 2 && random.chance(1, 5) {
        line(text, indent, "type: map");
        let list = random.pick(&["xs", "ys", "none", "absent", "out1"]);
        line(text, indent, &format!("iterate_on: {list}"));
        line(text, indent, &format!("iterate_as: x{depth}"));
        if random.chance(1, 3) {
            line(text, indent, &format!("max_parallel: {}", 1 + random.below(2)));
        }
        line(text, indent, "branch:");
        section(text, indent + 2, depth + 1, random);
    } else {
        task(text, indent, random);
    }
}

fn task(text: &mut String, indent: usize, random: &mut Random) {
    line(text, indent, "command: [work]");
    if random.chance(1, 3) {
        let backoff = random.pick(&["", ", backoff: 100ms", ", backoff: 3s"]);
        let attempts = 1 + random.below(4);
        line(text, indent, &format!("retry: {{max_attempts: {attempts}{backoff}}}"));
    }
    if random.chance(1, 6) {
        line(text, indent, &format!("timeout: {}s", 1 + random.below(4)));
    }
    if random.chance(1, 8) {
        line(text, indent, "exclusive: true");
    }
    if random.chance(1, 8) {
        line(text, indent, "idempotent: false");
    }
    let cpus = random.pick(&["0.25", "1", "1", "2"]);
    line(text, indent, &format!("resources: {{cpus: {cpus}}}"));
}

fn line(text: &mut String, indent: usize, line: &str) {
    text.extend(std::iter::repeat_n(' ', indent));
    text.push_str(line);
    text.push('\n');
}
