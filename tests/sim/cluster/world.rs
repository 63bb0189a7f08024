//! The world of one seed: time, what is due in it, and who it happens to, from the start to calm.

use dagmar_common::ids::{ReplicaId, StreamNo};
use dagmar_common::limits::LEADER_SILENT_AFTER;
use dagmar_common::time::{BootTime, Span};
use dagmar_member::FromStream;

use super::air::Air;
use super::clients::{Client, Served};
use super::network::{Flight, Parcel, Place};
use super::node::Node;
use super::operator::Operator;
use super::station::Station;
use super::weather::Climate;
use crate::executor::Habits;
use crate::pipelines::{Gallery, WRITTEN};
use crate::random::Random;
use crate::working::Worker;

/// So long (world time) a calm is enough for all that was asked to end.
const CALM_MAX: Span = Span::from_secs(4 * 3_600);
/// Between two looks whether the calm is over.
const QUIET_EVERY: Span = Span::from_millis(100);
/// In one of so many lives all workers and clients are cut off at once. (Not a fault like others,
/// of which seeds draw: it takes long, and the others would happen less often.)
const LOST_SITES: u64 = 11;
/// So many steps without time going on are a loop that waits for something by being awake.
const SPIN: u32 = 2_000;

pub struct World {
    pub air: Air,
    pub nodes: Vec<Node>,
    pub stations: Vec<Station>,
    pub clients: Vec<Client>,
    pub served: Served,
    gallery: Gallery,
    pub operator: Operator,
    pub climate: Climate,
    pub next_fault: BootTime,
    /// When all workers and clients are cut off, in some lives, until the workers are given up.
    pub lost_site_at: Option<BootTime>,
    is_calm: bool,
    /// A world that is broken on purpose: no client hears anything.
    pub deaf: bool,
    /// Steps since time went on.
    steps_at_once: u32,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let replicas = if random.chance(1, 4) { 1 } else { 3 };
        let within = replicas == 1 && random.chance(1, 2);
        let voters: Vec<ReplicaId> = (1..=replicas).map(ReplicaId).collect();
        let millis: &[&[u64]] = &[&[1, 20, 400, 3_000, 8_000], &[1, 5, 20, 100], &[20, 400]];
        let habits = Habits { millis: random.pick(millis), writes: &WRITTEN };
        let worker = |number: usize, random: &mut Random| {
            let mut worker = Worker::new(number, random.pick(&[2_000, 4_000]));
            worker.executor.habits = habits;
            worker
        };
        let nodes = (0..voters.len()).map(|place| {
            let inner = within.then(|| worker(0, &mut random));
            Node::new(place, &voters, inner, &mut random)
        });
        let nodes = nodes.collect();
        let count = if within { 0 } else { 1 + random.below(4) };
        let stations = (0..count).map(|place| {
            let worker = worker(place, &mut random);
            Station::new(place, worker, &mut random)
        });
        let stations = stations.collect();
        let clients = 2 + random.below(3);
        let pace = random.pick(&[30, 60, 120, 240]);
        let climate = Climate::draw(&mut random);
        World {
            air: Air::new(voters, random),
            nodes,
            stations,
            clients: (0..clients).map(|place| Client::new(place, pace)).collect(),
            served: Served::default(),
            gallery: Gallery::default(),
            operator: Operator::new(replicas),
            climate,
            next_fault: BootTime(0),
            lost_site_at: (seed % LOST_SITES == 4).then(|| BootTime(seed % 97 * 1_000_000)),
            is_calm: false,
            deaf: false,
            steps_at_once: 0,
        }
    }

    pub fn loud(mut self) -> Self {
        self.air.history.is_loud = true;
        self.air.witness.looks_closely = true;
        self
    }

    /// Weather for `span`, then calm until nothing is left to do, then the last judgement.
    pub fn live(&mut self, span: Span) {
        let begins = self.air.now;
        self.pass(span);
        self.calm_down();
        let until = self.air.now + CALM_MAX;
        let mut looks_at = self.air.now;
        while self.air.now < looks_at || !self.is_quiet() {
            assert!(self.air.now < until, "{}", self.unfinished());
            if self.air.now >= looks_at {
                looks_at = self.air.now + QUIET_EVERY;
            }
            self.step();
        }
        if self.air.random.chance(1, 4) {
            self.stays_quiet(|_| {});
        }
        self.air.told.time = Span(self.air.now.0 - begins.0);
        self.air.told.saves = self.nodes.iter().map(|node| node.machine.disk.saves).sum();
        self.judge();
    }

    /// With nothing to do heartbeats agree, and nobody ends a stream.
    pub fn stays_quiet(&mut self, disturb: impl FnOnce(&mut World)) {
        // What the weather had delayed for too long has shown after so long.
        self.pass(LEADER_SILENT_AFTER);
        disturb(self);
        let endings = self.air.told.endings;
        self.pass(LEADER_SILENT_AFTER);
        assert_eq!(self.air.told.endings, endings, "a stream ended in the calm");
        assert!(self.is_quiet(), "the calm did not last: {}", self.unfinished());
    }

    fn pass(&mut self, span: Span) {
        let until = self.air.now + span;
        while self.air.now < until {
            self.step();
        }
    }

    fn judge(&mut self) {
        for node in &mut self.nodes {
            let Some(host) = &mut node.host else { panic!("n{} is down", node.machine.place) };
            let (at, state) = (host.applied_to(), host.freeze());
            self.air.witness.finish(at, &state);
        }
        self.air.promises.finish(&self.air.witness.shadow);
        self.air.seen.judge();
    }

    fn unfinished(&self) -> String {
        let shadow = &self.air.witness.shadow;
        let runs: Vec<_> = shadow.runs().map(|run| (run.run_id().clone(), run.counts())).collect();
        let asking: Vec<_> = self.clients.iter().map(|client| !client.is_done()).collect();
        let busy: Vec<_> = self.stations.iter().map(|station| !station.is_quiet()).collect();
        let applied =
            |node: &Node| node.host.as_ref().map(|host| (host.is_up(), host.applied_to()));
        let nodes: Vec<_> = self.nodes.iter().map(applied).collect();
        format!(
            "something is left undone: clients ask: {asking:?}, workers busy: {busy:?}, replicas \
             lead and applied: {nodes:?} of {}, runs: {runs:?}",
            self.air.witness.last()
        )
    }

    /// Entries that stand before every log are applied by nobody again.
    fn forget(&mut self) {
        let bases = self.nodes.iter().map(|node| node.machine.disk.begins_at());
        if let Some(base) = bases.min() {
            self.air.witness.forget_before(base);
        }
    }

    /// Time goes to the next thing that is due, and all that is due then happens.
    fn step(&mut self) {
        let next = self.wakes_at();
        self.steps_at_once = if next > self.air.now { 0 } else { self.steps_at_once + 1 };
        assert!(self.steps_at_once < SPIN, "somebody is awake for nothing");
        self.air.now = self.air.now.max(next);
        let now = self.air.now;
        if !self.is_calm && now >= self.next_fault {
            self.fault();
            self.forget();
        }
        if self.lost_site_at.take_if(|at| !self.is_calm && *at <= now).is_some() {
            self.lose_site();
        }
        self.deliver();
        for node in &mut self.nodes {
            if node.wakes <= now {
                node.turn(&mut self.air);
            }
        }
        for station in &mut self.stations {
            if station.wakes <= now {
                station.turn(&mut self.nodes, &mut self.air);
            }
        }
        let hosts = self.stations.iter().flat_map(|station| station.worker.executor.exclusive());
        self.air.judge.exclusive(hosts);
        self.operator.turn(&mut self.nodes, &mut self.air);
        for client in &mut self.clients {
            client.turn(&mut self.gallery, &mut self.air);
        }
    }

    fn wakes_at(&self) -> BootTime {
        let next = self.lost_site_at.map_or(self.next_fault, |at| at.min(self.next_fault));
        let fault = (!self.is_calm).then_some(next);
        let operator = Some(self.operator.wakes_at());
        let air = [operator, self.air.network.arrives_at(), self.air.stream_arrives_at(), fault];
        let wakes = air.into_iter().flatten();
        let wakes = wakes.chain(self.nodes.iter().map(|node| node.wakes));
        let wakes = wakes.chain(self.stations.iter().map(|station| station.wakes));
        let wakes = wakes.chain(self.clients.iter().map(Client::wakes_at));
        wakes.fold(BootTime(u64::MAX), BootTime::min)
    }

    fn deliver(&mut self) {
        let now = self.air.now;
        while let Some((flight, arrives)) = self.air.network.next(now, &mut self.air.random) {
            let Flight { from, to, parcel } = flight;
            match (to, parcel) {
                (Place::Node(at), Parcel::Reported { to, about, .. }) if !arrives => {
                    // Its sender sees the connection break.
                    let parcel = Parcel::Reported { to, about, durable: false };
                    self.nodes[at].hears(parcel, &mut self.air);
                }
                (Place::Node(at), parcel @ Parcel::Unreachable { .. }) => {
                    self.nodes[at].hears(parcel, &mut self.air);
                }
                (Place::Node(at), parcel) if !arrives => {
                    self.nodes[at].refuses(parcel, &mut self.air);
                }
                (Place::Node(at), parcel) => self.nodes[at].hears(parcel, &mut self.air),
                (Place::Client(at), Parcel::Told { ticket, answer }) if arrives && !self.deaf => {
                    self.clients[at].hears(ticket, answer, &mut self.air, &mut self.served);
                }
                _ => self.air.note(|| format!("something from {from:?} to {to:?} is lost")),
            }
        }
        for (stream, to) in self.air.streams_due() {
            for _ in 0..self.air.batch() {
                match to {
                    Place::Node(at) => self.leader_hears(at, stream),
                    Place::Worker(at) => self.worker_hears(at, stream),
                    Place::Client(_) => {}
                }
            }
            self.air.rest_comes(stream);
        }
    }

    fn leader_hears(&mut self, at: usize, number: StreamNo) {
        let Some(stream) = self.air.stream(number).filter(|stream| stream.has_for_leader()) else {
            return;
        };
        let what = match stream.to_leader.pop_front() {
            Some(message) => FromStream::Message(message),
            None => {
                self.air.leader_leaves(number, Span(0));
                FromStream::Closed
            }
        };
        self.nodes[at].stream_brings(number, what, self.air.now);
    }

    fn worker_hears(&mut self, at: usize, number: StreamNo) {
        let Some(stream) = self.air.stream(number).filter(|stream| stream.has_for_worker()) else {
            return;
        };
        match stream.to_worker.pop_front() {
            Some(message) => self.stations[at].hears(number, message, &mut self.air),
            None => {
                self.air.worker_leaves(number, Span(0));
                self.stations[at].loses(number, &mut self.air);
            }
        }
    }

    /// Faults stop, but for a worker that may be gone for good.
    fn calm_down(&mut self) {
        self.is_calm = true;
        let now = self.air.now;
        self.air.note(|| "-- faults stop --".into());
        self.air.network.heal();
        self.operator.calm_down(now);
        for node in &mut self.nodes {
            node.machine.fuse.put_out();
            node.machine.disk.slow = Span(0);
            node.machine.paused_until = now;
            node.wakes = now;
        }
        for station in &mut self.stations {
            station.paused_until = now;
            station.doomed = None;
            station.wakes = now;
        }
        if self.stations.len() > 1 && self.air.random.chance(1, 4) {
            let at = self.air.random.below(self.stations.len());
            let station = &mut self.stations[at];
            station.dies(crate::working::Death::Power, &mut self.air);
            station.worker.is_gone = true;
        }
        self.clients.iter_mut().for_each(|client| client.is_calm = true);
    }

    /// Nothing is left to be done or said.
    fn is_quiet(&self) -> bool {
        let (last, shadow) = (self.air.witness.last(), &self.air.witness.shadow);
        shadow.runs().next().is_none()
            && self.clients.iter().all(Client::is_done)
            && self.operator.is_idle()
            && self.stations.iter().all(Station::is_quiet)
            && self.nodes.iter().any(|node| node.host.as_ref().is_some_and(|host| host.is_up()))
            && self.nodes.iter().all(|node| {
                node.host.as_ref().is_some_and(|host| host.applied_to() == last)
                    && node.machine.inner.as_ref().is_none_or(Worker::is_quiet)
            })
    }
}
