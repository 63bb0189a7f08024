//! The weather of one seed: which faults come, how often, and what each of them does.

use dagmar_common::time::{BootTime, Span};

use super::fuse::{Died, POINTS, Point};
use super::machine::HANGS;
use super::network::Place;
use super::operator::Want;
use super::station::{AWAY, Doom, LINGERS, Station};
use super::world::World;
use crate::disk::{Crash, Moment};
use crate::random::Random;
use crate::working::{Death, Worker};

/// Between two disks that hang: their replica does nothing meanwhile.
const HANGS_AGAIN: Span = Span::from_secs(200);
/// A fuse is put out after so long: its point may never be passed.
const FUSE_LASTS: Span = Span::from_secs(20);
/// One at a point that is rarely passed.
const RARE_FUSE_LASTS: Span = Span::from_secs(200);
/// Copies of workers in one life.
const CLONES_MAX: u64 = 3;

/// So long all that is no replica is cut off, and what runs there goes on.
const SITE_AWAY: Span = Span::from_secs(100);
const SITE_LINGERS: Span = Span::from_secs(150);

/// Workers that are removed in one life.
const REMOVALS_MAX: u64 = 4;

const CRASHES: [Crash; 3] = [Crash::Process, Crash::Process, Crash::Power];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of one replica's process, or of its machine.
    Crash,
    /// The power of all replicas.
    Blackout,
    /// One replica is away so long that the others, which restart meanwhile, have forgotten what
    /// it needs: it has to be sent a snapshot.
    Straggler,
    /// A process stands still, and time does not.
    Pause,
    /// A state is replaced by one restored from its own snapshot.
    Swap,
    SlowDisk,
    /// A write never comes back, as far as its process can wait.
    HungDisk,
    WallJump,
    Partition,
    /// The leadership is handed over.
    Transfer,
    /// A replica leaves for good, and a new one comes in its place.
    Replace,
    WorkerDies,
    WorkerPauses,
    StreamsBreak,
    /// A worker's directory is copied, and the copy comes to life.
    Clone,
    /// A worker is drained, or is to work again.
    Drain,
    /// A worker is removed: it joins again under another name.
    Remove,
}

const KINDS: [Fault; 17] = [
    Fault::Crash,
    Fault::Blackout,
    Fault::Straggler,
    Fault::Pause,
    Fault::Swap,
    Fault::SlowDisk,
    Fault::HungDisk,
    Fault::WallJump,
    Fault::Partition,
    Fault::Transfer,
    Fault::Replace,
    Fault::WorkerDies,
    Fault::WorkerPauses,
    Fault::StreamsBreak,
    Fault::Clone,
    Fault::Drain,
    Fault::Remove,
];

/// How often each kind of fault happens, for one seed: one that never pauses sees what others
/// never see.
#[derive(Debug)]
pub struct Climate {
    weights: [u32; KINDS.len()],
    every: Span,
    may_hang_at: BootTime,
}

impl Climate {
    pub fn draw(random: &mut Random) -> Self {
        let mut weights = KINDS.map(|_| random.pick(&[0, 1, 2, 4]));
        // Crashes, of workers too, and partitions are what this is about.
        weights[0] = weights[0].max(3);
        weights[8] = weights[8].max(1);
        weights[11] = random.pick(&[1, 2, 4, 8]);
        let every = Span::from_millis(random.pick(&[1_500, 3_000, 6_000, 10_000]));
        Climate { weights, every, may_hang_at: BootTime(0) }
    }

    pub fn next(&self, random: &mut Random) -> Fault {
        KINDS[random.weighted(&self.weights).unwrap_or(0)]
    }

    pub fn pause(&self, random: &mut Random) -> Span {
        Span(1 + random.below(2 * self.every.0 as usize) as u64)
    }
}

impl World {
    pub fn fault(&mut self) {
        let pause = self.climate.pause(&mut self.air.random);
        self.next_fault = self.air.now + pause;
        let fault = self.climate.next(&mut self.air.random);
        self.air.note(|| format!("-- {fault:?} --"));
        let (now, nodes, stations) = (self.air.now, self.nodes.len(), self.stations.len());
        let random = &mut self.air.random;
        let (node, station) = (random.below(nodes), random.below(stations));
        let alone =
            nodes == 1 && matches!(fault, Fault::Transfer | Fault::Straggler | Fault::Replace);
        if stations == 0 && is_of_workers(fault) || alone {
            return;
        }
        self.air.told.faults += 1;
        match fault {
            Fault::Crash => self.set_fuse(node),
            Fault::Blackout => {
                for node in &mut self.nodes {
                    (node.dies_at, node.wakes) = (Some((now, Died(Crash::Power))), now);
                }
            }
            Fault::Straggler => self.straggler(node),
            Fault::Pause => {
                let machine = &mut self.nodes[node].machine;
                machine.paused_until = now + pause_span(random);
                self.nodes[node].wakes = self.nodes[node].machine.paused_until;
            }
            Fault::Swap => {
                if let Some(host) = &mut self.nodes[node].host {
                    host.swap();
                    self.air.told.swaps += 1;
                }
            }
            Fault::SlowDisk => {
                let slow = Span::from_millis(random.pick(&[10, 200, 3_000]));
                self.slow_disk(node, slow, Span::from_secs(10));
            }
            Fault::HungDisk if now >= self.climate.may_hang_at => {
                self.climate.may_hang_at = now + HANGS_AGAIN;
                self.slow_disk(node, HANGS, Span::from_secs(5));
            }
            Fault::HungDisk => {}
            Fault::WallJump => self.nodes[node].machine.clock.jump(random),
            Fault::Partition => self.partition(),
            Fault::Transfer => {
                let to = self.air.members[node];
                let hosts = self.nodes.iter_mut().filter_map(|node| node.host.as_mut());
                hosts.for_each(|host| host.transfer(to));
            }
            Fault::Replace => self.operator.replace(node, now),
            worker => self.worker_fault(worker, station),
        }
    }

    fn worker_fault(&mut self, fault: Fault, place: usize) {
        let (now, random) = (self.air.now, &mut self.air.random);
        let station = &mut self.stations[place];
        let id = station.worker.id;
        match fault {
            Fault::WorkerPauses => {
                // Also for so long that it is given up.
                let is_long = random.chance(1, 8);
                let span = if is_long { AWAY } else { pause_span(random) };
                if is_long {
                    station.worker.executor.linger(LINGERS);
                }
                station.paused_until = now + span;
                station.wakes = station.wakes.max(now);
            }
            Fault::StreamsBreak => {
                for stream in self.air.streams.numbers() {
                    if self.air.random.chance(1, 2) {
                        self.air.cut_stream(stream);
                    }
                }
            }
            Fault::Clone => self.clone_worker(place),
            Fault::Drain => self.operator.wants(id, Want::Drains(random.chance(1, 2)), now),
            Fault::Remove if self.operator.removed >= REMOVALS_MAX => {}
            Fault::Remove => self.operator.wants(id, Want::Removed, now),
            _ => self.worker_dies(place),
        }
    }

    fn set_fuse(&mut self, node: usize) {
        let (now, random) = (self.air.now, &mut self.air.random);
        let point = random.pick(&POINTS);
        // A snapshot here is short (a chunk or two), and the next one far.
        let passes = match point {
            Point::OnDisk(Moment::HalfSaved | Moment::Untruncated | Moment::HalfReceived)
            | Point::BeforeTruncate
            | Point::BeforeInstall
            | Point::Installed => 0,
            _ => random.below(4) as u32,
        };
        let crash = random.pick(&CRASHES);
        let node = &mut self.nodes[node];
        node.machine.fuse.set(point, passes, Died(crash));
        node.fuse_out_at = now + if passes == 0 { RARE_FUSE_LASTS } else { FUSE_LASTS };
    }

    fn straggler(&mut self, away: usize) {
        let (now, air) = (self.air.now, &mut self.air);
        self.nodes[away].leaves_until(now + Span::from_secs(60), air);
        if air.random.chance(1, 2) {
            let points =
                [Point::OnDisk(Moment::HalfReceived), Point::BeforeInstall, Point::Installed];
            let (point, crash) = (air.random.pick(&points), air.random.pick(&CRASHES));
            self.nodes[away].machine.fuse.set(point, 0, Died(crash));
            self.nodes[away].fuse_out_at = now + RARE_FUSE_LASTS;
        }
        for (place, node) in self.nodes.iter_mut().enumerate().filter(|(place, _)| *place != away) {
            let at = now + Span::from_secs(30 + 10 * place as u64);
            node.dies_at = Some((at, Died(Crash::Process)));
            node.wakes = node.wakes.min(at);
        }
    }

    fn slow_disk(&mut self, node: usize, slow: Span, lasts: Span) {
        let node = &mut self.nodes[node];
        node.machine.disk.slow = slow;
        node.slow_until = self.air.now + lasts;
    }

    fn worker_dies(&mut self, station: usize) {
        let (air, station) = (&mut self.air, &mut self.stations[station]);
        let deaths = [Death::Daemon, Death::Supervisor, Death::Daemon, Death::Power];
        match air.random.below(4) {
            0 => {
                let death = air.random.pick(&deaths);
                station.dies(death, air);
            }
            1 => station.doomed = Some((Doom::Asked, air.random.pick(&deaths))),
            // Without power nothing exclusive is left to go on.
            _ => station.doomed = Some((Doom::Exclusive, air.random.pick(&deaths[..2]))),
        }
    }

    fn clone_worker(&mut self, of: usize) {
        if self.air.told.clones >= CLONES_MAX {
            return;
        }
        self.air.told.clones += 1;
        let salt = self.air.random.next();
        let worker = Worker::clone_of(&self.stations[of].worker, salt);
        let place = self.stations.len();
        let mut twin = Station::new(place, worker, &mut self.air.random);
        twin.wakes = self.air.now;
        self.air.note(|| format!("w{place} is a copy of w{of}"));
        self.stations.push(twin);
    }

    /// Any shape there is: one machine cut off in one way or both, two halves, or here and there.
    fn partition(&mut self) {
        self.air.told.partitions += 1;
        let places = self.places();
        let random = &mut self.air.random;
        let lasts = Span::from_millis(random.pick(&[300, 1_000, 3_000, 12_000, 40_000]));
        let shape = random.below(5);
        let nodes = self.nodes.len();
        let alone =
            if random.chance(3, 4) { random.below(nodes) } else { random.below(places.len()) };
        let alone = places[alone];
        let sides: Vec<bool> = places.iter().map(|_| random.chance(1, 2)).collect();
        for (from, from_side) in places.iter().zip(&sides) {
            for (to, to_side) in places.iter().zip(&sides) {
                let is_cut = match shape {
                    0 => (*from == alone) != (*to == alone),
                    1 => *from == alone && *to != alone,
                    2 => *to == alone && *from != alone,
                    3 => from_side != to_side,
                    _ => from != to && random.chance(1, 2),
                };
                if is_cut {
                    self.air.network.cut(*from, *to, self.air.now + lasts);
                }
            }
        }
        if self.air.random.chance(1, 2) {
            // Some connections notice.
            for stream in self.air.streams.numbers() {
                let ends = self.air.stream(stream).map(|stream| (stream.node, stream.worker));
                let Some((node, worker)) = ends else { continue };
                let (node, worker, now) = (Place::Node(node), Place::Worker(worker), self.air.now);
                let network = &self.air.network;
                let cut = |from, to| network.cut_until(from, to, now).is_some();
                if (cut(node, worker) || cut(worker, node)) && self.air.random.chance(1, 2) {
                    self.air.cut_stream(stream);
                }
            }
        }
    }

    /// All that is no replica is cut off from them until the workers are given up; their work
    /// goes on, and nobody cancels it.
    pub fn lose_site(&mut self) {
        self.air.note(|| "-- all workers and clients are cut off --".to_owned());
        self.air.told.faults += 1;
        self.air.told.partitions += 1;
        for station in &mut self.stations {
            station.worker.executor.all_linger(SITE_LINGERS);
        }
        let until = self.air.now + SITE_AWAY;
        // Whoever leads has to lead for long enough to give somebody up.
        self.next_fault = until + Span::from_secs(2);
        let is_node = |place: &Place| matches!(place, Place::Node(_));
        let (nodes, others): (Vec<_>, Vec<_>) = self.places().into_iter().partition(is_node);
        for (node, other) in nodes.iter().flat_map(|node| others.iter().map(move |to| (node, to))) {
            self.air.network.cut(*node, *other, until);
            self.air.network.cut(*other, *node, until);
        }
    }

    fn places(&self) -> Vec<Place> {
        let nodes = (0..self.nodes.len()).map(Place::Node);
        let workers = (0..self.stations.len()).map(Place::Worker);
        nodes.chain(workers).chain((0..self.clients.len()).map(Place::Client)).collect()
    }
}

fn is_of_workers(fault: Fault) -> bool {
    use Fault::{Clone, Drain, Remove, StreamsBreak, WorkerDies, WorkerPauses};
    matches!(fault, WorkerDies | WorkerPauses | StreamsBreak | Clone | Drain | Remove)
}

fn pause_span(random: &mut Random) -> Span {
    Span::from_millis(match random.chance(1, 8) {
        true => random.pick(&[12_000, 40_000]),
        false => random.pick(&[20, 50, 200, 1_000, 4_000]),
    })
}
