//! What a trial costs with many workers, against what it costs with a few.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dagmar_common::ids::{Fence, WorkerId, WorkerNo};
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::{Effect, Event};

use super::bench::{Bench, cpu, outcome};
use super::graphs::wide;

const TRIALS: u32 = 1_000_000;
/// What a trial says that it took.
const TRIAL_US: u64 = 1_000;
/// Outcomes of one entry: a little less than fill it.
const OUTCOMES: usize = 2_000;
const FEW: u32 = 4;
const MANY: u32 = 10_000;

pub fn compare() {
    println!("{TRIALS} trials of {TRIAL_US} µs, 4 cpus a worker, {OUTCOMES} outcomes an entry:");
    let few = each(FEW);
    let many = each(MANY);
    println!("  {MANY} workers: {:.2} × the cost of {FEW}", many / few);
}

/// Microseconds of processor time a trial, within apply and what a driver asks after each entry.
fn each(workers: u32) -> f64 {
    let all: Vec<_> = (1..=u128::from(workers)).map(|id| (WorkerId(id), 4_000)).collect();
    let mut bench = Bench::new(&all);
    let submit = bench.submission(&wide(TRIALS), "[]");
    bench.apply(vec![Command::Submit(submit)]);
    let mut running: VecDeque<(WorkerNo, Fence)> = VecDeque::new();
    let (mut spent, mut entries, mut ended) = (Duration::ZERO, 0_u64, 0_u64);
    bench.longest = Duration::ZERO;
    loop {
        running.extend(bench.applied.effects.iter().filter_map(|effect| match effect {
            Effect::Start { worker, fence } => Some((*worker, *fence)),
            _ => None,
        }));
        let is_end = |effect: &Effect| matches!(effect, Effect::Event(Event::RunEnded { .. }));
        if bench.applied.effects.iter().any(is_end) {
            break;
        }
        let commands = said(&mut running, &mut ended);
        let before = cpu();
        bench.apply(commands);
        std::hint::black_box((bench.state.has_agenda(), bench.state.next_deadline()));
        spent += cpu().saturating_sub(before);
        entries += 1;
    }
    let each = spent.as_secs_f64() * 1e6 / ended as f64;
    println!(
        "  {workers} workers: {ended} trials, {each:.2} µs each, {entries} entries, longest {:.1?}",
        bench.longest
    );
    each
}

/// The oldest that run end, each worker with a command of its own.
fn said(running: &mut VecDeque<(WorkerNo, Fence)>, ended: &mut u64) -> Vec<Command> {
    let mut by_worker: BTreeMap<WorkerNo, Vec<_>> = BTreeMap::new();
    for (worker, fence) in running.drain(..running.len().min(OUTCOMES)) {
        by_worker.entry(worker).or_default().push(outcome(fence, TRIAL_US));
        *ended += 1;
    }
    let command = |(worker, outcomes): (WorkerNo, _)| {
        let worker = WorkerId(u128::from(worker.0) + 1);
        Command::Outcomes { worker, outcomes }
    };
    by_worker.into_iter().map(command).collect()
}
