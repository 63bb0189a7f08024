//! One replica on its model disk, one worker, and clients: whole lives from a seed.
//!
//! `DAGMAR_SEEDS=20000 cargo test -p dagmar-tests --test sim single -- --nocapture` sees more.

mod around;
mod broken;
mod clients;
mod faults;
mod host;
mod ledger;
mod world;

use dagmar_common::time::Span;
use rustix::time::{ClockId, clock_gettime};

use self::faults::POINTS;
use self::world::World;
use crate::kept;
use crate::lease::number_from;
use crate::random::Random;

const SEEDS: u64 = 24;

/// How long the weather of a seed lasts.
fn weather(seed: u64) -> Span {
    Span::from_secs(Random::new(!seed).pick(&[30, 60, 120, 240]))
}

fn life(seed: u64, is_loud: bool) -> World {
    let mut world = World::new(seed);
    world.around.history.is_loud = is_loud;
    world.live(weather(seed));
    world
}

#[cfg(dagmar_mutants)]
pub fn lives(seed: u64) {
    life(seed, false);
}

/// A seed that fails says how it is lived again.
fn told_life(seed: u64) -> World {
    match std::panic::catch_unwind(|| life(seed, false)) {
        Ok(world) => world,
        Err(why) => {
            println!(
                "seed {seed} fails; `DAGMAR_SEED={seed} cargo test -p dagmar-tests --test sim \
                 single::one_life -- --nocapture` tells its history"
            );
            std::panic::resume_unwind(why);
        }
    }
}

#[test]
fn many_lives() {
    let seeds = number_from("DAGMAR_SEEDS").unwrap_or(SEEDS);
    let began = processor_seconds();
    let (mut time, mut crashes, mut swaps, mut faults, mut halts) = (0, 0, 0, 0, 0);
    let (mut answers, mut staged) = (0, 0);
    let (mut commands, mut records, mut replayed, mut saves) = (0, 0, 0, 0);
    let mut deaths = [0; POINTS.len()];
    for seed in 0..seeds {
        let World { around, told, clients, .. } = told_life(seed);
        time += told.time.0;
        crashes += told.crashes;
        swaps += told.swaps;
        faults += told.faults;
        halts += around.halts;
        answers += clients.answers;
        staged += clients.staged;
        commands += around.ledger.commands;
        records += around.ledger.records;
        replayed += around.replayed;
        saves += around.disk.saves;
        deaths.iter_mut().zip(around.fuse.deaths).for_each(|(sum, one)| *sum += one);
    }
    let (hours, took) = (time as f64 / 3.6e9, processor_seconds() - began);
    let speed = hours * 3_600.0 / took;
    println!("{seeds} seeds, {hours:.2} simulated hours, {speed:.0} of them an hour of one core");
    println!("{faults} faults: {crashes} crashes, {swaps} swaps, {halts} disks that hung");
    println!("{answers} requests answered, {staged} of them staged; {saves} snapshots saved");
    println!("{commands} commands, {replayed} entries applied again, {records} runs recorded");
    let seconds = time as f64 / 1e6;
    println!(
        "{:.1} commands a second, {:.1} of them asked for by clients; a fault every {:.1} s",
        commands as f64 / seconds,
        answers as f64 / seconds,
        seconds / faults as f64
    );
    for (point, deaths) in POINTS.iter().zip(deaths) {
        println!("{deaths:>8} deaths at {point:?}");
        assert!(deaths > 0 || seeds < SEEDS, "nobody died at {point:?}");
    }
    assert!(records > seeds, "the weather is too bad for work: {records} runs recorded");
    assert!(halts > 0 && staged > 0 || seeds < SEEDS, "{halts} disks hung, {staged} staged");
}

/// Of this thread: others on the machine do not count.
fn processor_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[test]
fn seeds_that_once_found_something() {
    for (seed, _) in kept::SINGLE {
        told_life(seed);
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
    let digest = |world: &World| world.around.history.digest();
    assert_eq!(digest(first), digest(again), "the same seed gives another history");
}
