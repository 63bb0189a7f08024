//! The lease protocol against a model: one outcome a trial, nothing lost, nothing run twice.

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::limits::LEADER_SILENT_AFTER;
use dagmar_common::time::Span;
use dagmar_coordinator_core::command::Command;

use crate::brain::Brain;
use crate::faults::{Climate, calm, step};
use crate::hosts::Cluster;
use crate::model::Model;
use crate::random::Random;
use crate::working::Worker;

const SEEDS: u64 = 3_000;

fn cluster(seed: u64) -> Cluster<Model> {
    let mut random = Random::new(seed);
    let trials = 1 + random.below(12);
    let sizes = [None, Some(1_000), Some(1_000), Some(2_000), Some(0)];
    let model = Model::new((0..trials).map(|_| random.pick(&sizes)));
    let workers = some_workers(&mut random);
    Cluster::new(seed, model, workers, Span::from_secs(60))
}

/// One or two; some keep records and processes over their own death, some nothing.
pub fn some_workers(random: &mut Random) -> Vec<Worker> {
    let count = 1 + random.below(2);
    let worker = |at| {
        let (cpus, keeps) = (random.pick(&[1_000, 2_000]), random.chance(1, 2));
        Worker::new(at, cpus, keeps)
    };
    (0..count).map(worker).collect()
}

/// A request of a user, in the weather: the run is cancelled.
fn cancel<B: Brain>(cluster: &mut Cluster<B>) {
    if cluster.coordinator.leader.is_some() {
        cluster.note(|| "cancel".into());
        cluster.coordinator.propose(Command::Cancel {
            request: RequestId(1),
            run: RunId::new("modelled"),
            reason: "enough".into(),
        });
    }
}

/// A history is kept, and perhaps printed as it happens.
#[derive(Clone, Copy, PartialEq)]
pub struct Loud(pub bool);

/// One seed, whole: weather, then calm, then what must be true.
pub fn live<B: Brain>(
    mut cluster: Cluster<B>,
    climate: Climate,
    history: Option<Loud>,
    request: &mut dyn FnMut(&mut Cluster<B>),
) -> Cluster<B> {
    let seed = cluster.seed;
    cluster.is_loud = history == Some(Loud(true));
    cluster.history = history.map(|_| Vec::new());
    cluster.elect();
    if cluster.random.chance(3, 4) {
        cluster.flow();
    }
    let steps = 40 + cluster.random.below(200);
    for _ in 0..steps {
        step(&mut cluster, &climate, request);
    }
    let done = calm(&mut cluster);
    assert!(done, "seed {seed}: something is left undone");
    stays_quiet(&mut cluster, seed);
    cluster
}

fn modelled(seed: u64, history: Option<Loud>) -> Cluster<Model> {
    let mut cluster = cluster(seed);
    let climate = Climate::draw(&mut cluster.random);
    live(cluster, climate, history, &mut cancel)
}

#[cfg(dagmar_mutants)]
pub fn lives(seed: u64) {
    modelled(seed, None);
}

/// With nothing to do heartbeats agree, and nobody ends a stream.
fn stays_quiet<B: Brain>(cluster: &mut Cluster<B>, seed: u64) {
    let mut endings = 0;
    for second in 0..60 {
        if second == LEADER_SILENT_AFTER.0 / 1_000_000 {
            // What the weather had delayed for too long has shown by now.
            endings = cluster.endings;
        }
        cluster.advance(Span::from_secs(1));
        cluster.flow();
    }
    assert_eq!(cluster.endings, endings, "seed {seed}: a stream ended in the calm");
    assert!(cluster.is_quiet(), "seed {seed}: the calm did not last");
}

/// `DAGMAR_SEEDS=1000000` takes longer and sees more.
#[test]
fn many_seeds() {
    let seeds = number_from("DAGMAR_SEEDS").unwrap_or(SEEDS);
    let mut outcomes = 0;
    for seed in 0..seeds {
        let caught = std::panic::catch_unwind(|| modelled(seed, None).judge.outcomes);
        match caught {
            Ok(recorded) => outcomes += recorded,
            Err(why) => {
                println!("seed {seed} fails; `DAGMAR_SEED={seed}` tells its history");
                std::panic::resume_unwind(why);
            }
        }
    }
    assert!(outcomes > seeds * 3, "the weather is too bad for work: {outcomes} outcomes");
}

pub fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `DAGMAR_SEED=7 cargo test -p dagmar-tests --test sim one_seed -- --nocapture`
#[test]
fn one_seed() {
    let asked = number_from("DAGMAR_SEED");
    let seed = asked.unwrap_or(1);
    let first = modelled(seed, Some(Loud(asked.is_some())));
    let again = modelled(seed, Some(Loud(false)));
    assert_eq!(first.history, again.history, "the same seed gives another history");
}
