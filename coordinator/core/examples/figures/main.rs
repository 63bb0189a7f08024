//! Figures of the state machine alone, on one core: `cargo run --release -p
//! dagmar-coordinator-core --example figures`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement is a shell: it has a clock and says what it found"
)]

mod bench;
mod graphs;
mod workers;

use std::time::{Duration, Instant};

use dagmar_common::graph::Graph;
use dagmar_common::ids::Fence;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::{Effect, Event};

use bench::{Bench, WORKER, cpu, outcome, resident};
use graphs::{layers, map, wide};

fn main() {
    let only = std::env::args().nth(1);
    let wants = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wants("wide") {
        report("wide, 1,000,000 no-ops", &wide(1_000_000), "[]");
    }
    if wants("layers") {
        report("100 layers of 1,000, 3 parents each", &layers(100, 1_000, 3), "[]");
    }
    if wants("million") {
        report("1,000 layers of 1,000, 3 parents each", &layers(1_000, 1_000, 3), "[]");
    }
    if wants("chain") {
        report("chain of 100,000", &layers(100_000, 1, 1), "[]");
    }
    if wants("map") {
        let items: Vec<String> = (0..1_000_000).map(|item: u32| item.to_string()).collect();
        report("map over 1,000,000 stubs", &map(), &format!("[{}]", items.join(", ")));
    }
    if wants("workers") {
        workers::compare();
    }
}

fn report(name: &str, graph: &Graph, items: &str) {
    let mut bench = Bench::new(&[(WORKER, 4_000)]);
    let nodes = graph.step_count() as u64;
    let submit = bench.submission(graph, items);
    let staged = (bench.spent, bench.longest);
    let before = resident();
    (bench.spent, bench.longest) = Default::default();
    bench.apply(vec![Command::Submit(submit)]);
    let submitted = bench.spent;
    bench.spent = Duration::ZERO;
    bench.longest = Duration::ZERO;
    let mut waiting: Vec<Fence> = bench.starts().collect();
    let cpu_before = cpu();
    let played = play(&mut bench, &mut waiting, before);
    let cpu = cpu().saturating_sub(cpu_before);
    let counts = bench.state.runs().next().map(|run| run.counts()).unwrap_or_default();
    let done = counts.ended().max(nodes);
    println!("{name}:");
    println!(
        "  staged in {:.1?}, longest entry {:.1?}, submit {submitted:.1?}",
        staged.0, staged.1
    );
    println!("  {done} nodes in {:.2?}, {} entries", bench.spent, played.entries);
    let rate = |count: u64| count as f64 / bench.spent.as_secs_f64();
    println!("  {:.0} nodes/s, {:.0} outcomes/s", rate(done), rate(played.outcomes));
    // The machine may be busy; making the batches is in this one.
    println!("  {:.0} nodes/s of processor time", done as f64 / cpu.as_secs_f64());
    println!("  longest entry {:.2?}, longest freeze {:.2?}", bench.longest, played.frozen);
    let grown = played.peak.max(resident()).saturating_sub(before) as f64 / 1024.0;
    let each = grown * 1024.0 * 1024.0 / done as f64;
    println!("  resident memory grew by {grown:.1} MiB, {each:.0} bytes a node");
    snapshot(&mut bench.state);
}

struct Played {
    outcomes: u64,
    entries: u64,
    peak: u64,
    frozen: Duration,
}

/// Answers every start at once until the run has ended.
fn play(bench: &mut Bench, waiting: &mut Vec<Fence>, before: u64) -> Played {
    let mut played = Played { outcomes: 0, entries: 0, peak: before, frozen: Duration::ZERO };
    loop {
        let is_end = |effect: &Effect| matches!(effect, Effect::Event(Event::RunEnded { .. }));
        if bench.applied.effects.iter().any(is_end) {
            return played;
        }
        played.outcomes += waiting.len() as u64;
        played.entries += 1;
        let command = match waiting.is_empty() {
            true => Command::Continue,
            false => Command::Outcomes {
                worker: WORKER,
                outcomes: waiting.drain(..).map(|fence| outcome(fence, 1)).collect(),
            },
        };
        bench.apply(vec![command]);
        waiting.extend(bench.starts());
        if played.entries.is_multiple_of(64) {
            played.peak = played.peak.max(resident());
        }
        if played.entries.is_multiple_of(997) {
            let began = Instant::now();
            drop(bench.state.freeze());
            played.frozen = played.frozen.max(began.elapsed());
        }
    }
}

fn snapshot(state: &mut State) {
    let began = Instant::now();
    let frozen = state.freeze();
    let froze = began.elapsed();
    let mut chunks = Vec::new();
    let written = frozen.write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    let wrote = began.elapsed();
    let bytes: usize = chunks.iter().map(Vec::len).sum();
    let began = Instant::now();
    let restored = State::restore(&chunks).is_ok() && written.is_ok();
    println!(
        "  snapshot of {} MiB: frozen in {froze:.1?}, written in {wrote:.1?}, restored in {:.1?}: \
         {}",
        bytes >> 20,
        began.elapsed(),
        if restored { "whole" } else { "broken" }
    );
}
