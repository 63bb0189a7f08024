//! The weather: which step comes next, and what breaks; every seed draws its own climate.

use dagmar_common::time::Span;

use crate::brain::Brain;
use crate::hosts::Cluster;
use crate::random::Random;

/// How often each kind of thing happens, for one seed.
pub struct Climate {
    weights: [u32; KINDS],
}

const KINDS: usize = 17;
/// So long a calm is enough for every process there can be, one after the other.
const CALM_ROUNDS: usize = 4_000;

impl Climate {
    /// Swarm testing: a seed that never breaks streams sees what others never see.
    pub fn draw(random: &mut Random) -> Self {
        let mut weights = [0; KINDS];
        for (kind, weight) in weights.iter_mut().enumerate() {
            let calm = kind < 9;
            *weight =
                if calm { random.pick(&[2, 4, 8, 16]) } else { random.pick(&[0, 0, 0, 1, 2]) };
        }
        Climate { weights }
    }

    /// Users ask for something in every seed.
    pub fn has_requests(&mut self) {
        self.weights[KINDS - 1] = 4;
    }
}

/// One step; false where nothing of that kind could happen.
pub fn step<B: Brain>(
    cluster: &mut Cluster<B>,
    climate: &Climate,
    request: &mut dyn FnMut(&mut Cluster<B>),
) -> bool {
    let kind = cluster.random.weighted(&climate.weights).unwrap_or(0);
    let at = cluster.random.below(cluster.workers.len());
    let streams = cluster.streams.numbers();
    let stream = if streams.is_empty() { None } else { Some(cluster.random.pick(&streams)) };
    match kind {
        0 => cluster.connect(at),
        1 => {
            let any = cluster.deliver_to_worker(at);
            if cluster.random.chance(2, 3) {
                cluster.worker_turn(at);
            }
            any
        }
        2 => {
            let any = stream.is_some_and(|stream| cluster.deliver_to_leader(stream));
            if cluster.random.chance(2, 3) {
                cluster.leader_turn();
            }
            any
        }
        3 => cluster.write(),
        4 => cluster.commit(),
        5 => {
            let any = cluster.coordinator.confirm(false);
            cluster.leader_turn();
            any
        }
        6 => advance(cluster, &[1, 20, 250, 1_000]),
        7 => {
            cluster.flow();
            true
        }
        8 => {
            cluster.worker_turn(at);
            cluster.leader_turn();
            true
        }
        9 => advance(cluster, &[2_500, 6_000, 11_000, 16_000]),
        10 => advance(cluster, &[40_000, 61_000, 130_000]),
        11 => {
            let Some(stream) = stream else { return false };
            let (leader, worker) = (cluster.random.below(4), cluster.random.below(4));
            cluster.note(|| format!("{stream} breaks"));
            cluster.streams.cut(stream, leader, worker);
            true
        }
        12 => cluster.kill_daemon(at),
        13 => cluster.start_daemon(at),
        14 => {
            if cluster.random.chance(1, 3) {
                cluster.resign();
            }
            let lost = cluster.random.below(3);
            cluster.coordinator.lose_written(lost);
            cluster.elect();
            true
        }
        15 => cluster.coordinator.confirm(true),
        _ => {
            request(cluster);
            true
        }
    }
}

fn advance<B: Brain>(cluster: &mut Cluster<B>, millis: &[u64]) -> bool {
    let span = Span::from_millis(cluster.random.pick(millis));
    cluster.advance(span);
    true
}

/// Faults stop, but for a worker that may be gone for good; true once everything that was asked
/// for is done and said.
pub fn calm<B: Brain>(cluster: &mut Cluster<B>) -> bool {
    cluster.note(|| "-- faults stop --".into());
    if cluster.workers.len() > 1 && cluster.random.chance(1, 4) {
        let at = cluster.random.below(cluster.workers.len());
        cluster.kill_daemon(at);
        cluster.workers[at].is_gone = true;
    }
    if cluster.coordinator.leader.is_none() {
        cluster.elect();
    }
    for round in 0..CALM_ROUNDS {
        for at in 0..cluster.workers.len() {
            if !cluster.workers[at].is_gone {
                cluster.start_daemon(at);
            }
        }
        cluster.flow();
        if cluster.is_quiet() {
            return true;
        }
        let span = if round % 8 == 7 { Span::from_secs(3) } else { Span::from_millis(260) };
        cluster.advance(span);
    }
    false
}
