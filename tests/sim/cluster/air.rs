//! What lies between all machines: time, chance, the network, streams, and the judges of it all.

use dagmar_common::ids::{Fence, Incarnation, ReplicaId, StreamNo, WorkerId};
use dagmar_common::lease::{FromWorker, Numbered, ToWorker};
use dagmar_common::time::{BootTime, Span};
use dagmar_worker_core::Stop;

use super::network::{Network, Parcel, Place};
use super::promises::Promises;
use super::witness::Witness;
use crate::history::History;
use crate::judge::Judge;
use crate::linear;
use crate::random::Random;
use crate::streams::{Stream, Streams};
use crate::working::Worker;

/// What a seed can be asked about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub time: Span,
    pub faults: u64,
    pub crashes: u64,
    pub swaps: u64,
    pub partitions: u64,
    /// Leaderships that began.
    pub reigns: u64,
    pub installs: u64,
    /// Disks that hung until their process said so.
    pub halts: u64,
    pub clones: u64,
    pub rejoined: u64,
    /// Messages of replicas that made no sense to their receiver.
    pub refused: u64,
    pub saves: u64,
    /// Streams that an agent or a leader ended.
    pub endings: u64,
    /// Processes of trials that may run once.
    pub ran_once: u64,
}

pub struct Air {
    /// Time of the world.
    pub now: BootTime,
    pub random: Random,
    pub history: History,
    pub network: Network,
    pub streams: Streams,
    /// The replica of each node.
    pub members: Vec<ReplicaId>,
    pub witness: Witness,
    pub promises: Promises,
    pub judge: Judge,
    pub seen: linear::History,
    pub told: Told,
}

impl Air {
    pub fn new(members: Vec<ReplicaId>, mut random: Random) -> Self {
        Air {
            now: BootTime(1_000_000),
            network: Network::draw(&mut random),
            random,
            history: History::default(),
            streams: Streams::default(),
            members,
            witness: Witness::default(),
            promises: Promises::default(),
            judge: Judge::default(),
            seen: linear::History::default(),
            told: Told::default(),
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        self.history.note(self.now, line);
    }

    pub fn send(&mut self, from: Place, to: Place, parcel: Parcel) {
        self.network.send((from, to), parcel, self.now, &mut self.random);
    }

    pub fn say_to_leader(&mut self, stream: StreamNo, message: Numbered<FromWorker>) {
        self.streams.say_to_leader(stream, message);
        self.plan(stream, Span(0));
    }

    pub fn say_to_worker(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        self.streams.say_to_worker(stream, message);
        self.plan(stream, Span(0));
    }

    /// The other end learns of it after what is on its way there, and after `silence`.
    pub fn leader_leaves(&mut self, stream: StreamNo, silence: Span) {
        self.streams.leader_leaves(stream);
        self.plan(stream, silence);
    }

    pub fn worker_leaves(&mut self, stream: StreamNo, silence: Span) {
        self.streams.worker_leaves(stream);
        self.plan(stream, silence);
    }

    pub fn cut_stream(&mut self, stream: StreamNo) {
        let (leader, worker) = (self.random.below(4), self.random.below(4));
        self.streams.cut(stream, leader, worker);
        self.plan(stream, Span(0));
    }

    /// Whatever is on its way gets a time of arrival.
    fn plan(&mut self, number: StreamNo, silence: Span) {
        let Some(stream) = self.streams.all.get_mut(&number) else { return };
        let (network, random) = (&self.network, &mut self.random);
        let now = self.now + silence;
        if stream.has_for_leader() && stream.leader_hears_at.is_none() {
            stream.leader_hears_at = Some(now + network.delay(random));
        }
        if stream.has_for_worker() && stream.worker_hears_at.is_none() {
            stream.worker_hears_at = Some(now + network.delay(random));
        }
    }

    pub fn stream_arrives_at(&self) -> Option<BootTime> {
        let streams = self.streams.all.values();
        streams
            .flat_map(|stream| stream.leader_hears_at.into_iter().chain(stream.worker_hears_at))
            .min()
    }

    /// The streams on which something arrives now at the leader's end or at the worker's. What
    /// cannot get through waits for the end of the cut: nothing of a stream is lost but its end.
    pub fn streams_due(&mut self) -> Vec<(StreamNo, Place)> {
        let mut due = Vec::new();
        for (number, stream) in &mut self.streams.all {
            let (node, worker) = (Place::Node(stream.node), Place::Worker(stream.worker));
            let now = self.now;
            let mut look = |at: &mut Option<BootTime>, from, to| {
                if at.is_none_or(|at| at > now) {
                    return;
                }
                *at = self.network.cut_until(from, to, now);
                if at.is_none() {
                    due.push((*number, to));
                }
            };
            look(&mut stream.leader_hears_at, worker, node);
            look(&mut stream.worker_hears_at, node, worker);
        }
        due
    }

    /// Some of what is there arrives together, the rest later.
    pub fn batch(&mut self) -> usize {
        1 + self.random.below(8)
    }

    pub fn stream(&mut self, number: StreamNo) -> Option<&mut Stream> {
        self.streams.all.get_mut(&number)
    }

    /// After a delivery: what is left comes later.
    pub fn rest_comes(&mut self, stream: StreamNo) {
        self.plan(stream, Span(0));
    }

    /// What a host did since the last look.
    pub fn saw(&mut self, worker: &mut Worker) {
        for (attempt, fence) in worker.executor.ran_once.drain(..) {
            self.told.ran_once += 1;
            self.judge.ran_once(attempt, fence);
        }
    }

    /// Nobody stops what is leased to this very worker, and not cancelled; nor, in any of its
    /// lives, what nobody else has: it may have it back, or be the first to report.
    pub fn stopped(&self, worker: WorkerId, incarnation: Incarnation, fence: Fence, why: Stop) {
        let shadow = &self.witness.shadow;
        let Some(number) = shadow.worker_no(worker) else { return };
        assert!(!shadow.waits_under(number, fence), "fence {fence} waits and is stopped: {why:?}");
        let is_newest = shadow.worker(number).is_some_and(|one| one.incarnation == incarnation);
        let lease = shadow.lease(fence).filter(|lease| lease.worker == number && is_newest);
        let may = lease.is_none_or(|lease| lease.is_cancelled);
        assert!(may, "live lease {fence} is stopped: {why:?}");
    }
}
