//! The messages of one stream, as values: the same over a channel and over gRPC.

use std::sync::Arc;

use super::Outcome;
use crate::graph::Task;
use crate::ids::{Fence, Incarnation, LogIndex, NodeNo, RunId, RunNo, Session, WorkerId};
use crate::view::Scope;

/// A message with its place in its direction of its stream, from 1. A hello has number 0.
#[derive(Clone, Debug)]
pub struct Numbered<M> {
    pub number: u64,
    pub message: M,
}

/// What a worker says.
#[derive(Clone, Debug)]
pub enum FromWorker {
    /// First on every stream, and nowhere else.
    Hello(Hello),
    Heartbeat(Heartbeat),
    /// Processes that began; never in the log.
    Begun(Vec<Begun>),
    /// Kept by the worker until each is answered `Recorded` or `Refused`.
    Outcomes(Vec<Outcome>),
    /// Fences that the worker no longer holds and has no outcome for; repeated until answered.
    Returned(Vec<Returned>),
}

/// What a leader says.
#[derive(Clone, Debug)]
pub enum ToWorker {
    HelloAnswer(HelloAnswer),
    HeartbeatAcknowledged {
        /// The number of the heartbeat that is acknowledged.
        number: u64,
    },
    Start(Vec<Start>),
    /// Outcomes that are in the log, and returned fences that were taken back.
    Recorded(Vec<Fence>),
    /// Outcomes that never will be: a newer fence or another outcome stands.
    Refused(Vec<Fence>),
    /// Stop what runs (TERM, grace, KILL) and report it cancelled; never begun: return it.
    Cancel(Vec<Fence>),
    /// Stop without an outcome: the lease is no longer this worker's.
    Kill(Vec<Fence>),
    /// Give back what has not begun.
    Recall(Vec<Fence>),
    /// A newer incarnation of this worker is known; finish what runs and join under a fresh id.
    Stale,
}

impl FromWorker {
    /// For whoever follows what happens inside.
    pub fn name(&self) -> &'static str {
        match self {
            FromWorker::Hello(_) => "hello",
            FromWorker::Heartbeat(_) => "heartbeat",
            FromWorker::Begun(_) => "begun",
            FromWorker::Outcomes(_) => "outcomes",
            FromWorker::Returned(_) => "returned",
        }
    }
}

impl ToWorker {
    /// For whoever follows what happens inside.
    pub fn name(&self) -> &'static str {
        match self {
            ToWorker::HelloAnswer(_) => "hello answer",
            ToWorker::HeartbeatAcknowledged { .. } => "heartbeat acknowledged",
            ToWorker::Start(_) => "start",
            ToWorker::Recorded(_) => "recorded",
            ToWorker::Refused(_) => "refused",
            ToWorker::Cancel(_) => "cancel",
            ToWorker::Kill(_) => "kill",
            ToWorker::Recall(_) => "recall",
            ToWorker::Stale => "stale",
        }
    }
}

/// Who a worker is, what it offers, and every fence that it was not answered for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    pub worker: WorkerId,
    pub incarnation: Incarnation,
    /// Of all its devices, for people.
    pub name: String,
    pub cpu_millis: u32,
    /// Sorted by key.
    pub labels: Vec<(String, String)>,
    pub held: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub fence: Fence,
    pub state: HeldAs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAs {
    Queued,
    Running,
    /// The outcome is ready to send.
    Finished,
    /// Seen, and none of the others.
    Gone,
}

#[derive(Clone, Debug)]
pub struct HelloAnswer {
    pub session: Session,
    /// For each fence of the hello that needs one.
    pub verdicts: Vec<(Fence, Verdict)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Not leased any more: stop it without an outcome.
    Kill,
    /// Its run was cancelled.
    Cancel,
    /// Send the outcome.
    Report,
}

/// Every 5 s, never in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The last numbers of this stream that were received and sent.
    pub received: u64,
    pub sent: u64,
    /// XOR of the hashes of all fences begun and not yet reported, as of these numbers.
    pub begun_sum: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub fence: Fence,
    pub at: crate::time::WallTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    pub fence: Fence,
    /// Its process may have run, at least in part.
    pub started: bool,
}

/// One granted trial with all that is needed to run it. Everything large is shared.
#[derive(Clone, Debug)]
pub struct Start {
    pub fence: Fence,
    pub name: TrialName,
    pub task: Arc<Task>,
    /// What the trial sees: initial parameters at the bottom of the chain.
    pub scope: Scope,
}

/// Which attempt at what this is, in the words that people and tasks use.
#[derive(Clone, Debug)]
pub struct TrialName {
    pub run: RunNo,
    pub run_id: RunId,
    pub tag: Arc<str>,
    /// The dot path of the step: `step`, or `map.3.step`.
    pub path: Arc<str>,
    /// The node in its section: the tie of `Begun` and outcomes to a place in pictures.
    pub node: NodeNo,
    /// From 1.
    pub attempt: u32,
    /// Of each map around it, outermost first: the item's index.
    pub indices: Arc<[u32]>,
    /// Of each map around it, outermost first: the name that its item goes by.
    pub items: Arc<[Arc<str>]>,
    /// Of the entry that granted it.
    pub granted: LogIndex,
}
