//! All that lies around the coordinator's process: its disk, its worker, the streams, the judges.

use std::collections::BTreeMap;

use dagmar_common::ids::{Session, StreamNo};
use dagmar_common::lease::{Numbered, ToWorker};
use dagmar_common::time::{BootTime, Span, WallTime};
use dagmar_coordinator_core::command::{Batch, Position};
use dagmar_coordinator_core::effect::{Effect, Reply};
use dagmar_member::{FromStream, Now, SnapshotRule};
use dagmar_worker_core::{Input, Output};

use super::faults::Fuse;
use super::ledger::Ledger;
use crate::disk::Disk;
use crate::executor;
use crate::history::History;
use crate::judge::Entry;
use crate::judge::Judge;
use crate::random::Random;
use crate::streams::Streams;
use crate::working::Worker;

/// Where the worker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the coordinator's process: it dies with it, and its processes with it.
    Within,
    /// In a process of its own on a machine of its own.
    Apart,
}

/// A sync that takes so long never ends for whoever waits for it.
pub const HANGS: Span = Span::from_secs(40);

/// A client's proposal or read, found again by this number.
pub type Ticket = u64;

/// Which end of a stream something is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    ToLeader,
    ToWorker,
}

pub struct Around {
    /// Time of the world.
    pub now: BootTime,
    /// When the coordinator's machine started: its own clock counts from there.
    pub booted: BootTime,
    pub wall_offset: i64,
    pub random: Random,
    pub disk: Disk,
    pub snapshots: SnapshotRule,
    /// The processor's time for one entry.
    pub entry_takes: Span,
    /// So often a write did not come back and its process said so.
    pub halts: u64,
    pub home: Home,
    pub worker: Worker,
    pub streams: Streams,
    pub arrived: Vec<(StreamNo, FromStream)>,
    /// When what is on its way comes next.
    deliveries: BTreeMap<(StreamNo, Way), BootTime>,
    pub connects_at: BootTime,
    pub replies: Vec<(Ticket, Reply)>,
    pub judge: Judge,
    pub ledger: Ledger,
    pub fuse: Fuse,
    pub history: History,
    /// Entries that were applied again.
    pub replayed: u64,
}

impl Around {
    pub fn new(home: Home, worker: Worker, disk: Disk, random: Random) -> Self {
        Around {
            now: BootTime(1_000_000),
            booted: BootTime(0),
            wall_offset: 0,
            random,
            disk,
            snapshots: SnapshotRule::default(),
            entry_takes: Span(0),
            halts: 0,
            home,
            worker,
            streams: Streams::default(),
            arrived: Vec::new(),
            deliveries: BTreeMap::new(),
            connects_at: BootTime(0),
            replies: Vec::new(),
            judge: Judge::default(),
            ledger: Ledger::default(),
            fuse: Fuse::default(),
            history: History::default(),
            replayed: 0,
        }
    }

    /// The clock of the coordinator's machine.
    pub fn boot(&self) -> BootTime {
        BootTime(self.now.0 - self.booted.0)
    }

    /// Time of the world at which that clock shows `boot`.
    pub fn world_time(&self, boot: BootTime) -> BootTime {
        BootTime(boot.0.saturating_add(self.booted.0))
    }

    pub fn clocks(&self) -> Now {
        let wall = WallTime(executor::wall(self.now).0 + self.wall_offset);
        Now { boot: self.boot(), wall }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        self.history.note(self.now, line);
    }

    /// An entry was applied, and that took its time.
    pub fn applied(
        &mut self,
        position: Position,
        bytes: &[u8],
        batch: Batch,
        replies: &[Reply],
        effects: &[Effect],
    ) {
        self.now = self.now + self.entry_takes;
        self.judge.applied(&Entry { batch: &batch, effects });
        self.history.mix(self.now, bytes);
        self.history.note(self.now, || {
            let index = position.index;
            format!("entry {index}: {:?} -> {replies:?} {effects:?}", batch.commands)
        });
        let at = batch.at;
        match self.ledger.applied(position, bytes, batch, replies, effects) {
            true => self.ledger.time_is(at, self.now),
            false => self.replayed += 1,
        }
    }

    /// Nobody halts for a write that is only slow.
    pub fn hung(&mut self) {
        assert!(self.disk.sync_takes >= HANGS, "a process halts, and its disk does not hang");
        self.halts += 1;
    }

    pub fn connected(&mut self, stream: StreamNo, session: Option<Session>) {
        self.note(|| format!("the worker opens stream {stream}"));
        self.worker.connected(stream, session);
    }

    pub fn send(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        if let ToWorker::Start(starts) = &message.message {
            starts.iter().for_each(|start| self.judge.sent(start));
        }
        match self.home {
            Home::Within => self.worker_hears(stream, message),
            Home::Apart => self.streams.say_to_worker(stream, message),
        }
    }

    fn worker_hears(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        self.judge.delivered(&message.message);
        self.worker.hears(Input::Received { stream, message });
    }

    pub fn close(&mut self, stream: StreamNo) {
        self.streams.leader_leaves(stream);
        if self.home == Home::Within {
            self.worker.hears(Input::Disconnected { stream });
            self.reconnect();
        }
    }

    /// In one process: the agent left its stream, or the leader closed it; they meet again.
    fn reconnect(&mut self) {
        let stream = self.streams.open();
        self.arrived.push((stream, FromStream::Opened));
        self.connected(stream, None);
    }

    /// What has arrived for the leader; a worker in its process answers within the turn.
    pub fn exchange(&mut self, arrived: &mut Vec<(StreamNo, FromStream)>) {
        if self.home == Home::Within {
            self.worker_turn();
        }
        arrived.append(&mut self.arrived);
    }

    pub fn worker_turn(&mut self) {
        let boot = match self.home {
            Home::Within => self.boot(),
            Home::Apart => self.now,
        };
        let mut outputs = Vec::new();
        self.worker.turn(boot, &mut self.random, &mut outputs);
        for output in outputs {
            match output {
                Output::Send { stream, message } => match self.home {
                    Home::Within => self.arrived.push((stream, FromStream::Message(message))),
                    Home::Apart => self.streams.say_to_leader(stream, message),
                },
                Output::Close { stream, why } => {
                    self.note(|| format!("the worker leaves stream {stream}: {why:?}"));
                    self.judge.worker_left(why);
                    self.worker_leaves(stream);
                }
                Output::Stop { fence, why } => {
                    self.note(|| format!("the worker stops {fence}: {why:?}"));
                }
                Output::Run(_) | Output::Deadline(_) | Output::Forget(_) | Output::Rejoin => {}
            }
        }
    }

    fn worker_leaves(&mut self, stream: StreamNo) {
        self.streams.worker_leaves(stream);
        match self.home {
            Home::Within => {
                self.arrived.push((stream, FromStream::Closed));
                self.reconnect();
            }
            Home::Apart if self.worker.stream == Some(stream) => {
                self.worker.stream = None;
                self.connects_soon();
            }
            Home::Apart => {}
        }
    }

    pub fn connects_soon(&mut self) {
        self.connects_at = self.now + Span::from_millis(self.random.pick(&[1, 100, 1_000]));
    }

    /// A worker of its own looks for the leader.
    pub fn connect(&mut self, leads: bool) {
        let wants = self.worker.agent.is_some() && self.worker.stream.is_none();
        if self.home == Home::Within || !wants || self.now < self.connects_at {
            return;
        }
        self.connects_soon();
        if leads {
            let stream = self.streams.open();
            self.arrived.push((stream, FromStream::Opened));
            self.connected(stream, None);
            self.worker_turn();
        }
    }

    pub fn worker_dies(&mut self) {
        if let Some(stream) = self.worker.dies() {
            self.streams.worker_leaves(stream);
        }
    }

    /// The coordinator's process is gone, and with it its end of every stream.
    pub fn leader_is_gone(&mut self) {
        for stream in self.streams.numbers() {
            self.streams.leader_leaves(stream);
        }
        self.arrived.clear();
        self.replies.clear();
        if self.home == Home::Within {
            self.worker_dies();
            self.streams = Streams::default();
        }
    }

    /// Whatever is on its way gets a time of arrival.
    pub fn plan_deliveries(&mut self) {
        if self.home == Home::Within {
            return;
        }
        let (now, random) = (self.now, &mut self.random);
        let mut soon = || now + Span(random.pick(&[50, 100, 200, 1_000, 30_000]));
        self.deliveries.retain(|(stream, _), _| self.streams.all.contains_key(stream));
        for (number, stream) in &self.streams.all {
            let broken = stream.is_broken;
            if stream.leader_has_it && (broken || !stream.to_leader.is_empty()) {
                self.deliveries.entry((*number, Way::ToLeader)).or_insert_with(&mut soon);
            }
            if stream.worker_has_it && (broken || !stream.to_worker.is_empty()) {
                self.deliveries.entry((*number, Way::ToWorker)).or_insert_with(&mut soon);
            }
        }
    }

    /// What is due arrives, some of it together.
    pub fn deliver(&mut self) {
        let due = self.deliveries.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<(StreamNo, Way)> = due.map(|(place, _)| *place).collect();
        for (stream, way) in due {
            self.deliveries.remove(&(stream, way));
            for _ in 0..1 + self.random.below(8) {
                match way {
                    Way::ToLeader => self.deliver_to_leader(stream),
                    Way::ToWorker => self.deliver_to_worker(stream),
                }
            }
        }
    }

    fn deliver_to_leader(&mut self, number: StreamNo) {
        let Some(stream) = self.streams.all.get_mut(&number) else { return };
        if !stream.leader_has_it {
            return;
        }
        if let Some(message) = stream.to_leader.pop_front() {
            self.arrived.push((number, FromStream::Message(message)));
        } else if stream.is_broken {
            self.streams.leader_leaves(number);
            self.arrived.push((number, FromStream::Closed));
        }
    }

    fn deliver_to_worker(&mut self, number: StreamNo) {
        let Some(stream) = self.streams.all.get_mut(&number) else { return };
        if !stream.worker_has_it {
            return;
        }
        if let Some(message) = stream.to_worker.pop_front() {
            self.worker_hears(number, message);
        } else if stream.is_broken {
            self.streams.worker_leaves(number);
            if self.worker.stream == Some(number) {
                self.worker.stream = None;
                self.connects_soon();
            }
            self.worker.hears(Input::Disconnected { stream: number });
        }
    }

    pub fn next_delivery(&self) -> Option<BootTime> {
        self.deliveries.values().min().copied()
    }
}
