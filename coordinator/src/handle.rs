//! A hold on the driver for everybody else in the process: propose, read, watch, stop.

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::Begun;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::{Event, Reply};
use dagmar_coordinator_core::stored::Frozen;
use dagmar_replica::SnapshotMeta;
use thiserror::Error;

use crate::store::SnapshotStore;

/// A snapshot that is durable.
pub struct Snapshotted {
    pub meta: SnapshotMeta,
    pub bytes: u64,
    pub store: Box<dyn SnapshotStore>,
}

/// Everything that can happen to the driver.
pub enum Input {
    Propose(Vec<Proposal>),
    Read(Look),
    Freeze(Box<dyn FnOnce(Frozen) + Send>),
    Watch(Interest, Sender<Watched>),
    /// What was given to the disk, up to this token, is durable.
    Persisted(dagmar_replica::Token),
    /// A snapshot is durable; the log before it may go.
    Snapshotted(Snapshotted),
    /// The disk failed; the replica stops at once and says so.
    Broken(String),
    /// Something arrived at a link; the driver asks it.
    Wake,
    Stop,
}

/// A command and where its answer goes.
pub struct Proposal {
    pub command: Command,
    pub answer: Answer,
}

/// Nobody need wait for an answer.
pub type Answer = Option<Sender<Reply>>;

/// Taken on the driver's thread.
pub type Look = Box<dyn FnOnce(&State, &dyn Fn() -> Begun) + Send>;

/// What a watcher wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Runs that start and end.
    Runs,
    /// Their nodes as well.
    Nodes,
}

/// What a watcher gets.
#[derive(Clone, Debug)]
pub enum Watched {
    Event(Event),
    /// It fell behind and events were dropped: read the state, then go on.
    Reset {
        missed: u64,
    },
}

/// Events that one watcher may be behind; then it is told to read the state instead.
pub const WATCHER_BACKLOG_MAX: usize = 16 << 10;

/// The driver has stopped; what was asked may or may not have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the coordinator in this process has stopped")]
pub struct Stopped;

/// Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct Handle {
    inputs: Sender<Input>,
}

impl Handle {
    pub fn new() -> (Handle, Receiver<Input>) {
        // Not bounded here: whoever proposes waits for its answer, and the disk and the links
        // never have more than one message each under way.
        let (inputs, outputs) = unbounded();
        (Handle { inputs }, outputs)
    }

    /// Answered when the command is durable and applied.
    pub fn propose(&self, command: Command) -> Result<Reply, Stopped> {
        let (answer, reply) = bounded(1);
        self.send(Input::Propose(vec![Proposal { command, answer: Some(answer) }]))?;
        reply.recv().map_err(|_| Stopped)
    }

    /// Many commands at once, in order, without a turn of the log for each; the last one's answer.
    pub fn propose_all(&self, commands: Vec<Command>) -> Result<Vec<Reply>, Stopped> {
        let mut replies = Vec::with_capacity(commands.len());
        let proposals = commands.into_iter().map(|command| {
            let (answer, reply) = bounded(1);
            replies.push(reply);
            Proposal { command, answer: Some(answer) }
        });
        self.send(Input::Propose(proposals.collect()))?;
        replies.into_iter().map(|reply| reply.recv().map_err(|_| Stopped)).collect()
    }

    /// A linearizable look at the state, taken on the driver's thread: keep it short.
    pub fn read<T, F>(&self, look: F) -> Result<T, Stopped>
    where
        T: Send + 'static,
        F: FnOnce(&State) -> T + Send + 'static,
    {
        self.look(move |state, _| look(state))
    }

    /// The same, with what has begun of all that is leased.
    pub fn read_with_begun<T, F>(&self, look: F) -> Result<T, Stopped>
    where
        T: Send + 'static,
        F: FnOnce(&State, &Begun) -> T + Send + 'static,
    {
        self.look(move |state, begun| look(state, &begun()))
    }

    fn look<T, F>(&self, look: F) -> Result<T, Stopped>
    where
        T: Send + 'static,
        F: FnOnce(&State, &dyn Fn() -> Begun) -> T + Send + 'static,
    {
        let (answer, reply) = bounded(1);
        let look = move |state: &State, begun: &dyn Fn() -> Begun| {
            // Whoever asked may have gone away meanwhile; then nobody wants the answer.
            let _ = answer.send(look(state, begun));
        };
        self.send(Input::Read(Box::new(look)))?;
        reply.recv().map_err(|_| Stopped)
    }

    /// The state as applied now, to be asked elsewhere for as long as it takes, and what has begun.
    pub fn freeze(&self) -> Result<(State, Begun), Stopped> {
        // Behind a read, so that everything acknowledged before is in it.
        let begun = self.read_with_begun(|_, begun| begun.clone())?;
        let (answer, frozen) = bounded(1);
        let take = move |frozen: Frozen| {
            // As with reads.
            let _ = answer.send(frozen);
        };
        self.send(Input::Freeze(Box::new(take)))?;
        let frozen = frozen.recv().map_err(|_| Stopped)?;
        Ok((frozen.into_state(), begun))
    }

    /// Events from now on.
    pub fn watch(&self, interest: Interest) -> Result<Receiver<Watched>, Stopped> {
        let (events, watched) = bounded(WATCHER_BACKLOG_MAX);
        self.send(Input::Watch(interest, events))?;
        Ok(watched)
    }

    pub fn wake(&self) -> Result<(), Stopped> {
        self.send(Input::Wake)
    }

    pub fn stop(&self) {
        // Already stopped is as good.
        let _ = self.send(Input::Stop);
    }

    pub(crate) fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(input).map_err(|_| Stopped)
    }
}
