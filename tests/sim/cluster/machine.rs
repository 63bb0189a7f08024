//! The machine of one replica: its clock, its disk, its ends of streams, perhaps a worker within.

use dagmar_common::ids::{LogIndex, Session, StreamNo};
use dagmar_common::lease::{Numbered, ToWorker};
use dagmar_common::time::{BootTime, Span};
use dagmar_member::{FromStream, SnapshotRule};
use dagmar_worker_core::{Input, Leaving, Output};

use super::air::Air;
use super::clock::Clock;
use super::fuse::Fuse;
use crate::disk::Disk;
use crate::working::Worker;

/// A sync that takes so long never ends for whoever waits for it.
pub const HANGS: Span = Span::from_secs(40);

pub struct Machine {
    pub place: usize,
    /// There is no other replica.
    pub is_alone: bool,
    pub clock: Clock,
    pub disk: Disk,
    pub fuse: Fuse,
    pub snapshots: SnapshotRule,
    /// The processor's time for one entry.
    pub entry_takes: Span,
    pub paused_until: BootTime,
    /// By any life of its replica.
    pub applied: LogIndex,
    /// A worker in the process of its only coordinator: it dies with it.
    pub inner: Option<Worker>,
    pub arrived: Vec<(StreamNo, FromStream)>,
}

impl Machine {
    /// Nobody halts for a write that is only slow.
    pub fn hung(&self, air: &mut Air) {
        assert!(self.disk.sync_takes >= HANGS, "a process halts, and its disk does not hang");
        air.told.halts += 1;
    }

    /// Its end of every stream is gone; others see it after `silence`.
    pub fn leaves_all(&mut self, silence: Span, air: &mut Air) {
        for number in air.streams.numbers() {
            if air.stream(number).is_some_and(|stream| stream.node == self.place) {
                air.leader_leaves(number, silence);
            }
        }
        self.arrived.clear();
    }

    pub fn connected(&mut self, stream: StreamNo, session: Option<Session>, air: &mut Air) {
        air.note(|| format!("the worker within opens stream {stream}"));
        if let Some(inner) = &mut self.inner {
            inner.connected(stream, session);
        }
    }

    pub fn send(&mut self, stream: StreamNo, message: Numbered<ToWorker>, air: &mut Air) {
        if let ToWorker::Start(starts) = &message.message {
            starts.iter().for_each(|start| air.judge.sent(start));
        }
        match &mut self.inner {
            Some(inner) => {
                air.judge.delivered(&message.message);
                inner.hears(Input::Received { stream, message });
            }
            None => air.say_to_worker(stream, message),
        }
    }

    pub fn close(&mut self, stream: StreamNo, air: &mut Air) {
        match &mut self.inner {
            Some(inner) => {
                inner.hears(Input::Disconnected { stream });
                self.ended_within(stream, air);
            }
            None => air.leader_leaves(stream, Span(0)),
        }
    }

    /// In one process: the agent left its stream, or the leader closed it; they meet again. Not
    /// if both did, and have met.
    fn ended_within(&mut self, stream: StreamNo, air: &mut Air) {
        if self.inner.as_ref().is_none_or(|inner| inner.stream != Some(stream)) {
            return;
        }
        let stream = air.streams.number();
        self.arrived.push((stream, FromStream::Opened));
        self.connected(stream, None, air);
    }

    /// A worker within answers within the turn.
    pub fn inner_turn(&mut self, air: &mut Air) {
        let Some(inner) = &mut self.inner else { return };
        let boot = self.clock.boot(air.now);
        inner.executor.advance(boot, &mut air.random);
        let mut outputs = Vec::new();
        inner.turn(boot, &mut air.random, &mut outputs);
        air.saw(inner);
        let (id, incarnation) = (inner.id, inner.incarnation);
        for output in outputs {
            match output {
                Output::Send { stream, message } => {
                    self.arrived.push((stream, FromStream::Message(message)));
                }
                Output::Close { stream, why } => {
                    air.note(|| format!("the worker within leaves stream {stream}: {why:?}"));
                    air.judge.worker_left(why);
                    air.told.endings += 1;
                    assert_ne!(why, Leaving::Replaced, "two streams within one process");
                    self.arrived.push((stream, FromStream::Closed));
                    self.ended_within(stream, air);
                }
                Output::Stop { fence, why } => air.stopped(id, incarnation, fence, why),
                Output::Run(_) | Output::Deadline(_) | Output::Forget(_) | Output::Rejoin => {}
            }
        }
    }

    /// In the time of the world.
    pub fn inner_wakes_at(&self) -> Option<BootTime> {
        let inner = self.inner.as_ref()?;
        let agent = inner.agent.as_ref()?.wakes_at();
        let boot = agent.into_iter().chain(inner.executor.wakes_at()).min()?;
        Some(self.clock.world(boot))
    }
}
