//! The network: what is on its way between machines, who cannot reach whom, and what it loses.

use std::collections::BTreeMap;

use dagmar_common::ids::ReplicaId;
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::Reply;
use dagmar_replica::SnapshotMeta;

use super::clients::{Look, Ticket};
use crate::disk::Chunks;
use crate::linear::Saw;
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Node(usize),
    Worker(usize),
    Client(usize),
}

/// Of each kind, there are fewer.
const PLACES_MAX: usize = 16;

/// One life of one replica: what is meant for it is for no later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub node: usize,
    pub number: u64,
    pub replica: ReplicaId,
}

#[derive(Clone, Debug)]
pub enum Parcel {
    Peer {
        from: Life,
        to: ReplicaId,
        bytes: Vec<u8>,
    },
    Snapshot {
        from: Life,
        to: ReplicaId,
        bytes: Vec<u8>,
        meta: SnapshotMeta,
        chunks: Chunks,
    },
    /// Whether the snapshot that this life sent is durable there.
    Reported {
        to: Life,
        about: ReplicaId,
        durable: bool,
    },
    /// A message of this life was not taken there.
    Unreachable {
        to: Life,
        about: ReplicaId,
    },
    Asked {
        ticket: Ticket,
        what: Asked,
    },
    Told {
        ticket: Ticket,
        answer: Answer,
    },
}

#[derive(Clone, Debug)]
pub enum Asked {
    Command(Command),
    Look(Look),
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// Perhaps this one leads.
    NotHere(Option<ReplicaId>),
    Reply(Reply),
    Saw(Saw),
}

#[derive(Debug)]
pub struct Flight {
    pub from: Place,
    pub to: Place,
    pub parcel: Parcel,
}

pub struct Network {
    flights: BTreeMap<(BootTime, u64), Flight>,
    sent: u64,
    /// By both ends: until when nothing gets from the one to the other.
    cut: Vec<BootTime>,
    /// How long most messages take, in microseconds.
    delays: &'static [u64],
    /// Of a thousand.
    pub loses: usize,
    pub doubles: usize,
    /// Of a thousand, those that take long enough to be out of date.
    pub strays: usize,
}

impl Network {
    pub fn draw(random: &mut Random) -> Self {
        let delays: [&[u64]; 3] =
            [&[50, 100, 200], &[50, 200, 1_000, 5_000], &[500, 2_000, 10_000, 60_000]];
        Network {
            flights: BTreeMap::new(),
            sent: 0,
            cut: vec![BootTime(0); 9 * PLACES_MAX * PLACES_MAX],
            delays: random.pick(&delays),
            loses: random.pick(&[0, 0, 5, 50]),
            doubles: random.pick(&[0, 5, 50]),
            strays: random.pick(&[0, 2, 20]),
        }
    }

    /// Nothing is lost any more, and everybody is reached.
    pub fn heal(&mut self) {
        self.cut.fill(BootTime(0));
        (self.loses, self.doubles, self.strays) = (0, 0, 0);
    }

    pub fn delay(&self, random: &mut Random) -> Span {
        if random.chance(self.strays, 1_000) {
            return Span::from_millis(random.pick(&[100, 1_000, 5_000]));
        }
        let delay = random.pick(self.delays);
        Span(delay + random.below(delay as usize) as u64)
    }

    pub fn cut(&mut self, from: Place, to: Place, until: BootTime) {
        let place = link(from, to);
        self.cut[place] = self.cut[place].max(until);
    }

    /// None where it is not cut.
    pub fn cut_until(&self, from: Place, to: Place, now: BootTime) -> Option<BootTime> {
        Some(self.cut[link(from, to)]).filter(|until| *until > now)
    }

    pub fn send(
        &mut self,
        (from, to): (Place, Place),
        parcel: Parcel,
        now: BootTime,
        random: &mut Random,
    ) {
        if matches!(parcel, Parcel::Peer { .. }) && random.chance(self.doubles, 1_000) {
            let twin = parcel.clone();
            let at = now + self.delay(random);
            self.fly(at, Flight { from, to, parcel: twin });
        }
        let at = now + self.delay(random);
        self.fly(at, Flight { from, to, parcel });
    }

    fn fly(&mut self, at: BootTime, flight: Flight) {
        self.sent += 1;
        self.flights.insert((at, self.sent), flight);
    }

    pub fn arrives_at(&self) -> Option<BootTime> {
        self.flights.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next that arrives by now, and whether it does.
    pub fn next(&mut self, now: BootTime, random: &mut Random) -> Option<(Flight, bool)> {
        let first = self.flights.first_entry().filter(|first| first.key().0 <= now)?;
        let flight = first.remove();
        let lost = random.chance(self.loses, 1_000);
        let is_cut = self.cut_until(flight.from, flight.to, now).is_some();
        Some((flight, !lost && !is_cut))
    }
}

fn link(from: Place, to: Place) -> usize {
    let number = |place| match place {
        Place::Node(at) => at,
        Place::Worker(at) => PLACES_MAX + at,
        Place::Client(at) => 2 * PLACES_MAX + at,
    };
    number(from) * 3 * PLACES_MAX + number(to)
}
