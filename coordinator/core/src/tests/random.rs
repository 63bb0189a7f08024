//! Random pipelines, played in random order with accidents, against the tiny model.
#![allow(clippy::disallowed_methods, reason = "more seeds are asked for from outside")]

use std::collections::BTreeMap;

use dagmar_common::graph::Graph;
use dagmar_common::ids::{Fence, RunNo, SectionNo};
use dagmar_common::lease::{Ending, ExitReason};
use dagmar_common::record;
use dagmar_common::record::{NodeRecord, RunStatus};
use dagmar_common::time::Span;

use super::drawing::{Step, graph, map, stub, task};
use super::model::{Model, Values};
use super::world::{World, snapshot};
use crate::State;
use crate::command::Command;

/// Runs of a few dozen nodes; more with `DAGMAR_TEST_SEEDS`.
#[allow(clippy::disallowed_methods, reason = "a test is a shell: it is told how long to run")]
fn seeds() -> u64 {
    std::env::var("DAGMAR_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

pub struct Chance(u64);

impl Chance {
    pub fn of(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        Fence(self.0).hash() % bound
    }

    fn is(&mut self, percent: u64) -> bool {
        self.of(100) < percent
    }
}

/// A section of chains whose heads may need earlier steps, with handlers and maps in maps.
fn steps(chance: &mut Chance, depth: u32) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let chains = 1 + chance.of(4);
    for chain in 0..chains {
        let earlier: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
        let length = 1 + chance.of(4) as usize;
        let names: Vec<String> = (0..length).map(|place| format!("c{chain}s{place}")).collect();
        for (place, name) in names.iter().enumerate() {
            let mut step = one(chance, name, depth);
            let ahead = &names[place + 1..];
            if place == 0 && !earlier.is_empty() && chance.is(70) {
                let mut needs: Vec<&str> = earlier.iter().map(String::as_str).collect();
                needs.retain(|_| chance.is(40));
                step = step.needs(&needs);
            }
            let targets = ["success", "fail"];
            let end = targets[usize::from(chance.is(30))];
            match ahead.first() {
                Some(next) => step = step.next(next),
                None if chance.is(40) => step = step.next(end),
                None => {}
            }
            // A handler is any step further down the same chain, or a terminal.
            if chance.is(35) {
                step = match ahead.get(1 + chance.of(2) as usize) {
                    Some(handler) => step.fails(handler),
                    None => step.fails(end),
                };
            }
            steps.push(step);
        }
    }
    // A step whose `next` and `on_failure` are one has only the first.
    for step in &mut steps {
        if step.fails == step.next {
            step.fails = None;
        }
    }
    steps
}

fn one(chance: &mut Chance, name: &str, depth: u32) -> Step {
    match chance.of(10) {
        0 | 1 => stub(name),
        2 | 3 if depth < 2 => {
            let list = ["xs", "ys", "none", "absent", "out1"][chance.of(5) as usize];
            let step = map(name, list, &steps(chance, depth + 1));
            if chance.is(30) { step.parallel(1 + chance.of(2) as u32) } else { step }
        }
        _ => {
            let mut step = task(name).attempts(1 + chance.of(3) as u32);
            if chance.is(30) {
                step = step.backoff(Span::from_secs(1 + chance.of(5)));
            }
            step.cpus(1_000 * (1 + chance.of(2) as u32))
        }
    }
}

/// How many attempts of a path fail, and what it writes once one succeeds.
fn fate(seed: u64, path: &str) -> (u32, Vec<(String, String)>) {
    let mut chance =
        Chance(path.bytes().fold(seed << 20, |hash, byte| Fence(hash ^ u64::from(byte)).hash()));
    let failing = if chance.is(30) { chance.of(4) as u32 } else { 0 };
    let mut writes = BTreeMap::new();
    for _ in 0..chance.of(3) {
        let tilde = if chance.is(30) { "~" } else { "" };
        let name = chance.of(3);
        let value = match chance.is(30) {
            true => format!("[{}, {}]", chance.of(9), chance.of(9)),
            false => format!("\"a value of some length, by {path}\""),
        };
        writes.insert(format!("out{name}"), (tilde, value));
    }
    let writes = writes.into_iter().map(|(name, (tilde, value))| (format!("{tilde}{name}"), value));
    (failing, writes.collect())
}

const GIVEN: [(&str, &str); 3] =
    [("xs", "[1, \"two\", {\"k\": 3}]"), ("ys", "[[1, 2], []]"), ("none", "[]")];

/// Of a whole run: whether it succeeds, what it writes, and the model with all that it noted.
fn expected(graph: &Graph, seed: u64, check: impl FnOnce(bool, Values, Model<'_>)) {
    let attempts: BTreeMap<String, u32> = attempts_by_name(graph);
    let fate = |path: &str| {
        let (failing, writes) = fate(seed, path);
        let step: String = path.split('.').filter(|part| part.parse::<u32>().is_err()).collect();
        let values = writes.into_iter().map(|(name, value)| {
            let is_list = !name.starts_with('~');
            (name.trim_start_matches('~').to_owned(), (value, is_list))
        });
        (failing < attempts[&step], values.collect())
    };
    let mut model = Model { graph, fate: &fate, ends: BTreeMap::new(), seen: BTreeMap::new() };
    let sees = GIVEN.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let (succeeds, wrote) = model.frame(SectionNo(0), &sees, &[]);
    check(succeeds, wrote, model);
}

/// The attempts of each task, by its path without indices and dots.
fn attempts_by_name(graph: &Graph) -> BTreeMap<String, u32> {
    let mut attempts = BTreeMap::new();
    for (number, section) in (0..).map(SectionNo).zip(&graph.sections) {
        for node in section.nodes() {
            if let dagmar_common::graph::NodeKind::Task(task) = section.kind(node) {
                let path = graph.path(number, node, &[]);
                let name: String = path.split('.').filter(|part| *part != "*").collect();
                attempts.insert(name, graph.task(task).max_attempts);
            }
        }
    }
    attempts
}

/// One thing happens: an outcome, a lease comes back, or time passes.
fn happen(world: &mut World, chance: &mut Chance, seed: u64) {
    let running: Vec<Fence> = world.running.keys().copied().collect();
    if running.is_empty() || chance.is(10) {
        if let Some(deadline) = world.state.next_deadline() {
            world.time = world.time.max(deadline.0);
        }
        world.apply(vec![Command::Continue]);
        return;
    }
    let fence = running[chance.of(running.len() as u64) as usize];
    if chance.is(8) {
        return world.give_back(fence);
    }
    if chance.is(4) {
        return world.restart_worker(2 + chance.of(3) as u32);
    }
    let start = &world.running[&fence];
    let (failing, writes) = fate(seed, &start.name.path);
    if start.name.attempt <= failing {
        world.end(fence, Ending::Failed(ExitReason::Code(3)), &[("lost", "1")]);
    } else {
        let writes: Vec<_> = writes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        world.end(fence, Ending::Succeeded, &writes);
    }
}

fn play(seed: u64) {
    let mut chance = Chance(seed << 32);
    let graph = graph(&steps(&mut chance, 0));
    let mut world = World::new(3);
    let run = world.submit(&graph, &GIVEN);
    while !world.ended.contains_key(&run) {
        happen(&mut world, &mut chance, seed);
    }
    expected(&graph, seed, |succeeds, wrote, model| {
        check(&mut world, run, seed, succeeds, wrote, &model);
    });
}

fn check(
    world: &mut World,
    run: RunNo,
    seed: u64,
    succeeds: bool,
    wrote: Values,
    model: &Model<'_>,
) {
    for (path, seen) in &world.seen {
        assert_eq!(Some(seen), model.seen.get(path), "seed {seed}: what {path} sees");
    }
    let status = if succeeds { RunStatus::Succeeded } else { RunStatus::Failed };
    assert_eq!(world.ended[&run], status, "seed {seed}");
    let mut found = BTreeMap::new();
    let mut records = Vec::new();
    for entry in world.state.node_records(run).expect("it is not archived") {
        let spread = record::spread::<()>(entry, &mut |entry| {
            if let record::Entry::Node(node) = entry {
                records.push(node);
            }
            Ok(())
        });
        assert_eq!(spread, Ok(()));
    }
    for record in records {
        check_parameters(world, &record, seed);
        let outputs = record.outputs.iter();
        let outputs = outputs.map(|(name, value)| (name.to_string(), value.spelled().to_owned()));
        let outputs: BTreeMap<_, _> = outputs.collect();
        found.insert(record.path.to_string(), (record.status, outputs));
    }
    let plain = |values: Values| -> BTreeMap<String, String> {
        values.into_iter().map(|(name, (value, _))| (name, value)).collect()
    };
    let ends: BTreeMap<_, _> = model
        .ends
        .iter()
        .map(|(path, (end, wrote))| (path.clone(), (*end, plain(wrote.clone()))))
        .collect();
    assert_eq!(found, ends, "seed {seed}");
    let record = world.state.run(run).expect("it is not archived").record();
    let at_end = record.parameters_at_end.iter();
    let at_end: BTreeMap<_, _> =
        at_end.map(|(name, value)| (name.to_string(), value.spelled().to_owned())).collect();
    let given = GIVEN.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let expected: BTreeMap<_, _> = given.chain(plain(wrote)).collect();
    assert_eq!(at_end, expected, "seed {seed}");
    assert_eq!(record.counts.all(), found.len() as u64, "seed {seed}");
}

/// The record of each attempt has what its process saw, beyond what the run began with and what
/// the labels of frames say.
fn check_parameters(world: &World, record: &NodeRecord, seed: u64) {
    let Some(seen) = world.seen.get(&*record.path) else { return };
    let is_elsewhere = |name: &str| {
        let initial = GIVEN.iter().any(|(given, _)| *given == name);
        initial || name == "x" || name == "i"
    };
    for attempt in &record.attempts {
        let told: BTreeMap<&str, &str> =
            attempt.parameters.iter().map(|(name, value)| (&**name, value.spelled())).collect();
        for (name, value) in &told {
            let saw = seen.get(*name).map(String::as_str);
            assert_eq!(saw, Some(*value), "seed {seed}: {name} at {}", record.path);
        }
        let missing = seen.keys().find(|name| !is_elsewhere(name) && !told.contains_key(&***name));
        assert_eq!(missing, None, "seed {seed}: what {} saw and does not tell", record.path);
    }
}

#[test]
fn random_pipelines_end_as_the_model_says() {
    (0..seeds()).for_each(play);
}

/// The story of the run, whole, from this state and from one restored from its snapshot.
fn check_told_alike(world: &mut World, run: RunNo, seed: u64) {
    let restored = State::restore(snapshot(&mut world.state)).expect("a snapshot can be restored");
    let told = |state: &State| -> Vec<record::Entry> {
        state.node_records(run).expect("it is not archived").collect()
    };
    let (here, there) = (told(&world.state), told(&restored));
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there, "seed {seed}");
    }
    assert_eq!(here.len(), there.len(), "seed {seed}");
}

/// So much is written that later attempts tell only what no earlier one has told.
#[test]
fn a_restored_state_tells_the_same_story() {
    let long = format!("\"{}\"", "a long value ".repeat(500));
    for seed in 0..seeds() / 3 {
        let mut chance = Chance(seed << 32);
        let graph = graph(&steps(&mut chance, 0));
        let mut world = World::new(3);
        let run = world.submit(&graph, &GIVEN);
        while let Some((fence, start)) = world.running.first_key_value() {
            let (fence, path) = (*fence, start.name.path.to_string());
            let name = path.replace('.', "_");
            let (short, long_name) = (format!("short_{name}"), format!("long_{name}"));
            let writes = [("same", "7"), (&*short, "\"by me\""), (&*long_name, &*long)];
            match chance.of(6) {
                0 => world.end(fence, Ending::Failed(ExitReason::Code(3)), &[]),
                1 => world.lose(&path),
                _ => world.end(fence, Ending::Succeeded, &writes),
            }
            if chance.is(10) {
                check_told_alike(&mut world, run, seed);
            }
            if world.running.is_empty()
                && let Some(deadline) = world.state.next_deadline()
            {
                world.time = world.time.max(deadline.0);
                world.apply(vec![Command::Continue]);
            }
        }
        check_told_alike(&mut world, run, seed);
    }
}

#[test]
fn a_cancelled_run_ends_and_starts_nothing_more() {
    for seed in 0..seeds() {
        let mut chance = Chance(seed << 32);
        let graph = graph(&steps(&mut chance, 0));
        let mut world = World::new(2);
        let run = world.submit(&graph, &GIVEN);
        for _ in 0..chance.of(12) {
            if !world.ended.contains_key(&run) {
                happen(&mut world, &mut chance, seed);
            }
        }
        if world.ended.contains_key(&run) {
            continue;
        }
        world.cancel(run);
        let running: Vec<Fence> = world.running.keys().copied().collect();
        for fence in &running {
            assert!(world.cancels.contains(fence), "seed {seed}: {fence} is not told");
            match chance.of(3) {
                0 => world.give_back(*fence),
                1 => world.end(*fence, Ending::Failed(ExitReason::Code(1)), &[]),
                _ => world.end(*fence, Ending::Cancelled, &[]),
            }
        }
        assert!(world.running.is_empty(), "seed {seed}: something started after the cancel");
        assert_eq!(world.ended.get(&run), Some(&RunStatus::Cancelled), "seed {seed}");
        assert_eq!(world.state.next_deadline(), None, "seed {seed}");
    }
}
