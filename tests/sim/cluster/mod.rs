//! The whole: one replica or three on model disks, workers, clients, and a network between them.
//!
//! `DAGMAR_SEEDS=2000 cargo test -p dagmar-tests --test sim cluster -- --nocapture` sees more.

mod air;
mod broken;
mod broken_worlds;
mod clients;
mod clock;
mod fuse;
mod host;
mod machine;
mod network;
mod node;
mod operator;
mod promises;
mod requests;
mod station;
mod weather;
mod witness;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{panic, thread};

use dagmar_common::time::Span;
use rustix::time::{ClockId, clock_gettime};

use self::fuse::POINTS;
use self::world::World;
use crate::kept;
use crate::random::Random;

const SEEDS: u64 = 24;
/// In so many lives the rarest things happen: somebody dies at every point.
const ALL_RARE_SEEDS: u64 = 200;

/// How long the weather of a seed lasts.
fn weather(seed: u64) -> Span {
    Span::from_secs(Random::new(!seed).pick(&[60, 120, 240, 600]))
}

fn life(seed: u64, is_loud: bool) -> World {
    let world = World::new(seed);
    let mut world = if is_loud { world.loud() } else { world };
    world.live(weather(seed));
    world
}

#[cfg(dagmar_mutants)]
pub fn lives(seed: u64) {
    life(seed, false);
}

/// A seed that fails says how it is lived again.
fn told_life(seed: u64) -> thread::Result<World> {
    let lived = panic::catch_unwind(|| life(seed, false));
    if lived.is_err() {
        println!(
            "seed {seed} fails; `DAGMAR_SEED={seed} cargo test -p dagmar-tests --test sim \
             cluster::one_life -- --nocapture` tells its history"
        );
    }
    lived
}

/// All of them, on as many threads as there are processors: each life is its seed's alone.
fn live_all(seeds: Range<u64>) -> Sum {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Sum::default()));
    let walk = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < seeds.end
        {
            let began = processor_seconds();
            let world = told_life(seed).unwrap_or_else(|why| {
                next.store(seeds.end, Ordering::Relaxed);
                panic::resume_unwind(why);
            });
            let took = processor_seconds() - began;
            sum.lock().expect("nobody panics with it").add(&world, took);
        }
    };
    thread::scope(|scope| {
        let walkers = thread::available_parallelism().map_or(1, usize::from);
        (0..walkers).for_each(|_| {
            scope.spawn(walk);
        });
    });
    sum.into_inner().expect("nobody panics with it")
}

#[test]
fn many_lives() {
    let seeds = number_from("DAGMAR_SEEDS").unwrap_or(SEEDS);
    let first = number_from("DAGMAR_FIRST_SEED").unwrap_or(0);
    let sum = live_all(first..first + seeds);
    sum.tell(seeds);
    if seeds >= SEEDS {
        sum.saw_everything(seeds);
    }
}

#[derive(Default)]
struct Sum {
    /// Of a processor, in seconds.
    took: f64,
    time: u64,
    faults: u64,
    crashes: u64,
    swaps: u64,
    partitions: u64,
    reigns: u64,
    installs: u64,
    halts: u64,
    clones: u64,
    replaced: u64,
    drained: u64,
    removed: u64,
    rejoined: u64,
    regained: u64,
    refused: u64,
    saves: u64,
    commands: u64,
    repeated: u64,
    hashed: u64,
    records: u64,
    answers: u64,
    looks: u64,
    staged: u64,
    redirects: u64,
    seen: usize,
    outcomes: u64,
    ran_once: u64,
    deaths: [u64; POINTS.len()],
}

impl Sum {
    fn add(&mut self, world: &World, took: f64) {
        self.took += took;
        let World { air, served, nodes, .. } = world;
        let told = &air.told;
        self.time += told.time.0;
        self.faults += told.faults;
        self.crashes += told.crashes;
        self.swaps += told.swaps;
        self.partitions += told.partitions;
        self.reigns += told.reigns;
        self.installs += told.installs;
        self.halts += told.halts;
        self.clones += told.clones;
        self.replaced += world.operator.replaced;
        self.drained += world.operator.drained;
        self.removed += world.operator.removed;
        self.rejoined += told.rejoined;
        self.regained += air.witness.regained;
        self.refused += told.refused;
        self.saves += told.saves;
        self.commands += air.witness.commands;
        self.repeated += air.witness.repeated;
        self.hashed += air.witness.hashed;
        self.records += air.promises.records;
        self.answers += served.answers;
        self.looks += served.looks;
        self.staged += served.staged;
        self.redirects += served.redirects;
        self.seen += air.seen.len();
        self.outcomes += air.judge.outcomes;
        self.ran_once += told.ran_once;
        for node in nodes {
            let deaths = node.machine.fuse.deaths;
            self.deaths.iter_mut().zip(deaths).for_each(|(sum, one)| *sum += one);
        }
    }

    fn tell(&self, seeds: u64) {
        let Sum { faults, crashes, swaps, partitions, halts, clones, rejoined, .. } = self;
        let Sum { reigns, installs, saves, refused, .. } = self;
        let Sum { commands, repeated, hashed, records, outcomes, .. } = self;
        let Sum { answers, looks, staged, redirects, seen, .. } = self;
        let (hours, seconds) = (self.time as f64 / 3.6e9, self.time as f64 / 1e6);
        println!(
            "-- {seeds} seeds, {hours:.2} simulated hours, {:.0} x real time per core, {:.1} \
             commands a second, a fault every {:.1} s",
            seconds / self.took,
            *commands as f64 / seconds,
            seconds / *faults as f64
        );
        println!(
            "{faults} faults: {crashes} crashes, {partitions} partitions, {swaps} swaps, {halts} \
             disks that hung, {clones} copies of workers ({rejoined} joined again)"
        );
        println!(
            "{reigns} leaderships, {saves} snapshots written, {installs} sent and installed, \
             {} replicas replaced, {refused} messages of replicas refused; {} workers drained, {} \
             removed, {} leases that a lost one got back",
            self.replaced, self.drained, self.removed, self.regained
        );
        println!(
            "{answers} requests answered, {staged} of them staged, {redirects} sent on to the \
             leader; {looks} looks; {seen} of all in histories that an order explains"
        );
        println!(
            "{commands} commands, {outcomes} outcomes, {records} runs recorded, {} trials that may \
             run once; {repeated} entries held against the witness's, {hashed} whole states",
            self.ran_once
        );
        for (point, deaths) in POINTS.iter().zip(self.deaths) {
            println!("{deaths:>8} deaths at {point:?}");
        }
    }

    /// What never happened was never tested.
    fn saw_everything(&self, seeds: u64) {
        assert!(self.records > seeds, "the weather is too bad for work");
        let replicas = [self.halts, self.staged, self.installs, self.replaced];
        let workers = [self.clones, self.rejoined, self.drained, self.removed];
        let rare = [replicas, workers].concat();
        assert!(rare.iter().all(|times| *times > 0), "{rare:?}");
        assert!(self.regained > 0 || seeds < ALL_RARE_SEEDS, "nobody got a lease back");
        for (point, deaths) in POINTS.iter().zip(self.deaths) {
            assert!(deaths > 0 || seeds < ALL_RARE_SEEDS, "nobody died at {point:?}");
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Of this thread: others on the machine do not count.
fn processor_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[test]
fn seeds_that_once_found_something() {
    for (seed, _) in kept::CLUSTER {
        told_life(seed).unwrap_or_else(|why| panic::resume_unwind(why));
    }
}

#[test]
fn one_life() {
    let asked = number_from("DAGMAR_SEED");
    let seed = asked.unwrap_or(1);
    agree(&life(seed, asked.is_some()), &life(seed, false));
}

/// Two lives of one seed are one history.
fn agree(first: &World, again: &World) {
    let digest = |world: &World| world.air.history.digest();
    assert_eq!(digest(first), digest(again), "the same seed gives another history");
}
