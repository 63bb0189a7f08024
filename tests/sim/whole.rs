//! Whole runs: state machine, leader and agents together, from submission to archive.

use std::collections::BTreeSet;
use std::sync::Arc;

use dagmar_common::graph::{
    self, Backoff, Care, Command as Line, EdgeKind, Function, Graph, NodeKind, Resources,
    SectionBuilder, Task,
};
use dagmar_common::ids::{NodeNo, RequestId, RunId, TaskNo};
use dagmar_common::time::Span;
use dagmar_common::value::Value;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Command, Payload, Submit};
use dagmar_coordinator_core::stored;

use crate::faults::Climate;
use crate::hosts::Cluster;
use crate::lease::{Loud, live, number_from, some_workers};
use crate::random::Random;

const SEEDS: u64 = 1_000;

/// Half of all tasks may be run anywhere, at any time.
const CARES: [Care; 6] = [
    Care { exclusive: false, once: false },
    Care { exclusive: false, once: false },
    Care { exclusive: false, once: false },
    Care { exclusive: true, once: false },
    Care { exclusive: false, once: true },
    Care { exclusive: true, once: true },
];

fn cluster(seed: u64) -> Cluster<State> {
    let mut random = Random::new(seed);
    let workers = some_workers(&mut random);
    Cluster::new(seed, State::new(), workers, Span::from_secs(60))
}

/// Steps in an order that their needs respect; no-ops, and processes of every size that fits.
fn pipeline(random: &mut Random) -> Graph {
    let mut graph = Graph { name: "whole".into(), ..Graph::default() };
    let mut section = SectionBuilder::default();
    let steps = 1 + random.below(14) as u32;
    for step in 0..steps {
        graph.tasks.push(task(random));
        section.node(&format!("s{step}"), NodeKind::Task(TaskNo(step)), true);
        let sources = (0..random.below(3).min(step as usize)).map(|_| random.below(step as usize));
        for source in sources.collect::<BTreeSet<_>>() {
            section.edge(NodeNo(source as u32), EdgeKind::Needs, NodeNo(step));
        }
    }
    graph.sections.push(section.finish());
    let graph = graph.finish();
    graph.verify().expect("a graph that can run");
    graph
}

fn task(random: &mut Random) -> Task {
    let words = Line::Words(vec!["true".into()]);
    let function = if random.chance(1, 3) { Function::Noop } else { Function::Process(words) };
    let backoff = Backoff { first: Span::from_secs(2), most: Span::from_secs(60) };
    Task {
        function,
        max_attempts: random.pick(&[1, 1, 3]),
        backoff: random.chance(1, 2).then_some(backoff),
        time_limit: None,
        resources: Resources { cpu_millis: random.pick(&[250, 1_000, 1_000]) },
        care: random.pick(&CARES),
    }
}

/// Users submit and cancel in every weather; what they ask is in the log or is asked again.
fn request(cluster: &mut Cluster<State>) {
    if cluster.coordinator.leader.is_none() {
        return;
    }
    let number = cluster.random.below(3);
    let run = RunId::new(&format!("run-{number}"));
    if cluster.random.chance(1, 4) {
        cluster.note(|| format!("cancel {run}"));
        let (request, reason) = (RequestId(100 + number as u128), "enough".to_owned());
        cluster.coordinator.propose(Command::Cancel { request, run, reason });
        return;
    }
    let graph = pipeline(&mut Random::new(number as u64 + cluster.seed));
    submit(cluster, number, run, &graph);
}

fn submit(cluster: &mut Cluster<State>, number: usize, run: RunId, graph: &Graph) {
    cluster.note(|| format!("submit {run}"));
    let none: [(Arc<str>, Value); 0] = [];
    cluster.coordinator.propose(Command::Submit(Submit {
        request: RequestId(number as u128),
        run,
        generated: false,
        tag: String::new(),
        graph: Payload::Inline(graph::encode(graph)),
        parameters: Payload::Inline(stored::encode_parameters(&none)),
        context: Value::from_loose("{}"),
    }));
}

fn whole(seed: u64, history: Option<Loud>) -> Cluster<State> {
    let mut cluster = cluster(seed);
    let mut climate = Climate::draw(&mut cluster.random);
    climate.has_requests();
    live(cluster, climate, history, &mut request)
}

#[cfg(dagmar_mutants)]
pub fn lives(seed: u64) {
    whole(seed, None);
}

/// `DAGMAR_SEEDS=100000` takes longer and sees more.
#[test]
fn many_runs() {
    let seeds = number_from("DAGMAR_SEEDS").unwrap_or(SEEDS);
    let mut outcomes = 0;
    for seed in 0..seeds {
        match std::panic::catch_unwind(|| whole(seed, None).judge.outcomes) {
            Ok(recorded) => outcomes += recorded,
            Err(why) => {
                println!(
                    "seed {seed} fails; `DAGMAR_SEED={seed}` with `one_run` tells its history"
                );
                std::panic::resume_unwind(why);
            }
        }
    }
    assert!(outcomes > seeds * 3, "the weather is too bad for work: {outcomes} outcomes");
}

/// `DAGMAR_SEED=7 cargo test -p dagmar-tests --test sim one_run -- --nocapture`
#[test]
fn one_run() {
    let asked = number_from("DAGMAR_SEED");
    let seed = asked.unwrap_or(1);
    let first = whole(seed, Some(Loud(asked.is_some())));
    let again = whole(seed, Some(Loud(false)));
    assert_eq!(first.history, again.history, "the same seed gives another history");
}
