//! One replica from the outside: its machine, the process on it, and how that dies and starts.

use dagmar_common::ids::{LogIndex, ReplicaId, StreamNo};
use dagmar_common::time::{BootTime, Span};
use dagmar_member::{FromStream, SnapshotRule};
use dagmar_replica::Recovered;

use super::air::Air;
use super::clock::Clock;
use super::fuse::{Died, Fuse, Point};
use super::host::Host;
use super::machine::Machine;
use super::network::{Life, Parcel, Place};
use crate::disk::{Crash, Disk};
use crate::random::Random;
use crate::working::Worker;

pub struct Node {
    pub machine: Machine,
    /// None while its process is down.
    pub host: Option<Host>,
    replica: ReplicaId,
    lives: u64,
    pub starts_at: BootTime,
    /// When its process is killed, whatever it does.
    pub dies_at: Option<(BootTime, Died)>,
    inbox: Vec<Parcel>,
    pub fuse_out_at: BootTime,
    pub slow_until: BootTime,
    /// When there is something to do although nothing comes in.
    pub wakes: BootTime,
}

impl Node {
    pub fn new(
        place: usize,
        voters: &[ReplicaId],
        inner: Option<Worker>,
        random: &mut Random,
    ) -> Self {
        let machine = Machine {
            place,
            is_alone: voters.len() == 1,
            clock: Clock::draw(random),
            disk: Disk::new(Recovered::bootstrap(voters)),
            fuse: Fuse::default(),
            snapshots: SnapshotRule {
                log_bytes_min: random.pick(&[1, 8, 64]) << 10,
                entries_kept: random.pick(&[0, 0, 10, 1_000]),
            },
            entry_takes: Span(random.pick(&[0, 20, 200])),
            paused_until: BootTime(0),
            applied: LogIndex(0),
            inner,
            arrived: Vec::new(),
        };
        Node {
            machine,
            host: None,
            replica: voters[place],
            lives: 0,
            starts_at: BootTime(0),
            dies_at: None,
            inbox: Vec::new(),
            fuse_out_at: BootTime(u64::MAX),
            slow_until: BootTime(0),
            wakes: BootTime(0),
        }
    }

    pub fn leads(&self) -> bool {
        self.host.as_ref().is_some_and(Host::leads)
    }

    pub fn is_up(&self) -> bool {
        self.host.as_ref().is_some_and(Host::is_up)
    }

    pub fn is_paused(&self, now: BootTime) -> bool {
        now < self.machine.paused_until
    }

    /// What the network brought; there may be nobody to take it.
    pub fn hears(&mut self, parcel: Parcel, air: &mut Air) {
        if self.host.is_some() && self.is_for(&parcel) {
            self.inbox.push(parcel);
            self.wakes = self.wakes.min(air.now);
        } else {
            self.refuses(parcel, air);
        }
    }

    /// It may have been sent to the replica that lived here before.
    fn is_for(&self, parcel: &Parcel) -> bool {
        match parcel {
            Parcel::Peer { to, .. } | Parcel::Snapshot { to, .. } => *to == self.replica,
            _ => true,
        }
    }

    /// As a connection that breaks tells it.
    pub fn refuses(&self, parcel: Parcel, air: &mut Air) {
        let (to, parcel) = match parcel {
            Parcel::Snapshot { from, .. } => {
                (from, Parcel::Reported { to: from, about: self.replica, durable: false })
            }
            Parcel::Peer { from, .. } if air.random.chance(1, 4) => {
                (from, Parcel::Unreachable { to: from, about: self.replica })
            }
            _ => return,
        };
        air.send(Place::Node(self.machine.place), Place::Node(to.node), parcel);
    }

    pub fn stream_brings(&mut self, stream: StreamNo, what: FromStream, now: BootTime) {
        if self.host.is_some() {
            self.machine.arrived.push((stream, what));
            self.wakes = self.wakes.min(now);
        }
    }

    /// One turn of its process, from its inputs to all that follows.
    pub fn turn(&mut self, air: &mut Air) {
        if air.now >= self.fuse_out_at {
            self.machine.fuse.put_out();
            self.fuse_out_at = BootTime(u64::MAX);
        }
        if air.now >= self.slow_until {
            self.machine.disk.slow = Span(0);
        }
        if let Some((_, died)) = self.dies_at.take_if(|(at, _)| *at <= air.now) {
            self.dies(died, air);
        }
        if !self.is_paused(air.now)
            && let Err(died) = self.process(air)
        {
            self.dies(died, air);
        }
        self.wakes = self.wakes_at(air.now);
    }

    fn wakes_at(&self, now: BootTime) -> BootTime {
        let dies_at = self.dies_at.map_or(BootTime(u64::MAX), |(at, _)| at);
        self.works_at(now).min(dies_at)
    }

    fn works_at(&self, now: BootTime) -> BootTime {
        let machine = &self.machine;
        let Some(host) = &self.host else { return self.starts_at.max(machine.paused_until) };
        let member = host.wakes_at(machine, now);
        let others = machine.disk.wakes_at().into_iter().chain(machine.inner_wakes_at());
        others.fold(member, BootTime::min).max(machine.paused_until)
    }

    fn process(&mut self, air: &mut Air) -> Result<(), Died> {
        let machine = &mut self.machine;
        let Some(host) = &mut self.host else {
            if air.now >= self.starts_at {
                self.lives += 1;
                if let Some(inner) = machine.inner.as_mut().filter(|inner| inner.agent.is_none()) {
                    inner.starts();
                }
                let (node, number) = (machine.place, self.lives);
                let life = Life { node, number, replica: self.replica };
                // It may die in its first turn, as in any other.
                return self.host.insert(Host::start(life, machine, air)).turn(machine, air);
            }
            return Ok(());
        };
        machine.fuse.passes(Point::Anywhere)?;
        host.disk(machine, air)?;
        for parcel in self.inbox.drain(..) {
            host.hears(parcel, machine, air);
        }
        host.turn(machine, air)
    }

    /// Another replica takes its place, with an empty disk; it waits to be let in.
    pub fn begins_as(&mut self, replica: ReplicaId, air: &mut Air) {
        self.dies(Died(Crash::Process), air);
        self.replica = replica;
        self.machine.disk = Disk::new(Recovered::joining());
        self.machine.applied = LogIndex(0);
        self.wakes = self.starts_at;
    }

    /// Its process ends, and the next one starts then.
    pub fn leaves_until(&mut self, starts_at: BootTime, air: &mut Air) {
        self.dies(Died(Crash::Process), air);
        self.starts_at = self.starts_at.max(starts_at);
        self.wakes = self.starts_at;
    }

    fn dies(&mut self, Died(crash): Died, air: &mut Air) {
        let Some(host) = self.host.take() else { return };
        host.ends(air);
        let machine = &mut self.machine;
        air.note(|| format!("-- n{} dies ({crash:?}) --", machine.place));
        air.told.crashes += 1;
        machine.fuse.put_out();
        machine.disk.crash(crash, &mut air.random);
        // A machine without power says no goodbye.
        let silence = match crash {
            Crash::Process => Span(0),
            Crash::Power => Span::from_millis(air.random.pick(&[0, 2_000, 20_000])),
        };
        machine.leaves_all(silence, air);
        if let Some(inner) = &mut machine.inner {
            inner.dies_within(crash == Crash::Power, &mut air.random);
        }
        for parcel in std::mem::take(&mut self.inbox) {
            self.refuses(parcel, air);
        }
        let millis = match air.random.chance(1, 8) {
            true => air.random.pick(&[30_000, 100_000]),
            false => air.random.pick(&[1, 1, 500, 5_000]),
        };
        self.starts_at = air.now + Span::from_millis(millis);
        if crash == Crash::Power {
            self.machine.clock.reboot(air.now);
        }
    }
}
