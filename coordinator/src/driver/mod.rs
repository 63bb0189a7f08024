//! The driver: the one loop that owns a member, tells it what came in and does what it wants.

pub mod snapshotting;
mod watchers;

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dagmar_common::ids::StreamNo;
use dagmar_common::time::BootTime;
use dagmar_coordinator_core::effect::{Effect, Reply};
use dagmar_member::{FromStream, Halt, Member, Output};
use thiserror::Error;

use self::watchers::Watchers;
use crate::clock;
use crate::disk::Disk;
use crate::handle::{Input, Look};
use crate::links::Links;

pub use self::snapshotting::Snapshotting;

/// How soon a watcher that fell behind is looked at again.
const REMIND_AFTER: Duration = Duration::from_millis(10);

/// A member as this process asks it: over channels, and with looks at its state.
pub type Coordinator = Member<Sender<Reply>, Look>;

/// Why a driver ended other than by being asked to.
#[derive(Debug, Error)]
pub enum DriverError {
    #[error("{0}")]
    Disk(String),
    #[error("the worker in this process cannot go on: {0}")]
    Links(std::io::Error),
    #[error("{0}")]
    Halted(Halt),
}

/// What a driver starts from.
pub struct Parts<L> {
    pub member: Coordinator,
    pub disk: Disk,
    pub snapshots: Snapshotting,
    /// Nothing is written before something is asked: a new log begins with it.
    pub waits_for_first: bool,
    pub links: L,
}

pub struct Driver<L> {
    parts: Parts<L>,
    watchers: Watchers,
    inputs: Receiver<Input>,
    arrived: Vec<(StreamNo, FromStream)>,
    stopping: bool,
}

impl<L: Links> Driver<L> {
    pub fn new(parts: Parts<L>, inputs: Receiver<Input>) -> Self {
        let watchers = Watchers::default();
        Driver { parts, watchers, inputs, arrived: Vec::new(), stopping: false }
    }

    /// Until it is stopped, or something breaks. Whoever may lead stands for election at once:
    /// a replica that is alone has nobody to wait for.
    pub fn run(mut self) -> Result<(), DriverError> {
        let ended = self.serve();
        // Whoever still waits learns that it will not be answered here.
        for answer in self.parts.member.abandon() {
            reply_to(&answer, Reply::Dropped);
        }
        ended
    }

    fn serve(&mut self) -> Result<(), DriverError> {
        // Whoever only looks or watches is not yet the first: a log without a run in it would be
        // left if this process died between its first two writes.
        while self.parts.waits_for_first && !self.parts.member.has_proposals() && !self.stopping {
            match self.inputs.recv() {
                Ok(input) => self.take(input)?,
                Err(_) => return Ok(()),
            }
        }
        self.take_all()?;
        self.parts.member.campaign();
        while !self.stopping {
            self.work()?;
            self.wait()?;
        }
        Ok(())
    }

    /// Everything that follows from what came in and from the time, until nothing does.
    fn work(&mut self) -> Result<(), DriverError> {
        while let Some(output) = self.parts.member.next_output(clock::now()) {
            self.perform(output)?;
        }
        Ok(())
    }

    /// Blocks for the first input, then takes all that are there: they share the next entry.
    fn wait(&mut self) -> Result<(), DriverError> {
        let patience = self.patience();
        match self.inputs.recv_timeout(patience) {
            Ok(input) => self.take(input)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
        self.take_all()
    }

    fn take_all(&mut self) -> Result<(), DriverError> {
        while let Ok(input) = self.inputs.try_recv() {
            self.take(input)?;
        }
        Ok(())
    }

    fn patience(&mut self) -> Duration {
        let now = clock::boot();
        let (links, member) = (self.parts.links.wakes_at(), self.parts.member.wakes_at(now));
        let until = links.into_iter().fold(member, BootTime::min);
        let patience = Duration::from_micros(until.0.saturating_sub(now.0));
        if self.watchers.remind() { patience.min(REMIND_AFTER) } else { patience }
    }

    fn take(&mut self, input: Input) -> Result<(), DriverError> {
        let Parts { member, snapshots, .. } = &mut self.parts;
        match input {
            Input::Propose(proposals) => {
                proposals.into_iter().for_each(|it| member.propose(it.command, it.answer));
            }
            Input::Read(look) => member.read(look),
            Input::Freeze(take) => take(member.freeze()),
            Input::Watch(interest, events) => self.watchers.add(interest, events),
            Input::Persisted(token) => member.persisted(clock::now(), token),
            Input::Snapshotted(snapshotted) => {
                let (meta, bytes) = snapshots.ended(snapshotted);
                member.snapshot_saved(meta, bytes);
            }
            Input::Stop => {
                tracing::debug!("the driver is asked to stop");
                self.stopping = true;
            }
            Input::Broken(why) => return Err(DriverError::Disk(why)),
            Input::Wake => {}
        }
        Ok(())
    }

    fn perform(&mut self, output: Output<Sender<Reply>, Look>) -> Result<(), DriverError> {
        let Parts { member, disk, snapshots, links, .. } = &mut self.parts;
        match output {
            Output::Persist(persist) => {
                tracing::debug!(token = ?persist.token, "a write goes to the disk");
                disk.persist(persist);
            }
            Output::Applied(entry) => {
                let effects = member.effects().len();
                tracing::debug!(index = %entry.position.index, effects, "an entry is applied");
                for effect in member.effects() {
                    if let Effect::Event(event) = effect {
                        self.watchers.tell(event);
                    }
                }
            }
            Output::Reply { ticket, reply } => reply_to(&ticket, reply),
            Output::Look(look) => look(member.state(), &|| member.begun()),
            Output::BornReady { stream, session } => {
                tracing::debug!(stream = stream.0, session = session.0, "its worker is ready");
                links.born_ready(stream, session);
            }
            Output::ToWorker { stream, message } => {
                let (number, what) = (message.number, message.message.name());
                tracing::debug!(stream = stream.0, number, what, "to a worker");
                links.send(stream, message);
            }
            Output::CloseWorker { stream, why } => {
                tracing::info!(stream = stream.0, ?why, "a worker's stream is closed");
                links.close(stream);
            }
            Output::Hear => {
                links.exchange(&mut self.arrived).map_err(DriverError::Links)?;
                for (stream, what) in self.arrived.drain(..) {
                    tracing::debug!(stream = stream.0, what = what.name(), "from a worker");
                    member.from_stream(stream, what);
                }
            }
            Output::SnapshotDue(meta) => {
                tracing::debug!(index = %meta.index, "a snapshot begins");
                snapshots.begin(member.freeze(), meta);
            }
            Output::TruncateBefore(index) => disk.truncate_before(index),
            Output::Halt(why) => return Err(DriverError::Halted(why)),
            // Whoever follows a local run archives it, and proposes nothing.
            Output::Archive { .. } => {}
            // This replica is alone: it leads from its start to its end, and has no peers.
            Output::Standing(standing) => tracing::debug!(?standing, "a new standing"),
            Output::ToPeer(_) | Output::Installed(_) | Output::Refused(_) => {}
        }
        Ok(())
    }
}

fn reply_to(answer: &Sender<Reply>, reply: Reply) {
    // Whoever asked may have gone away.
    let _ = answer.send(reply);
}
