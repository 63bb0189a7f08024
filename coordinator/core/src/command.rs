//! Everything that can change the state: the commands of the log, as values.

use dagmar_common::ids::{
    ClusterId, Digest, Fence, Incarnation, LogIndex, RequestId, RunId, Session, Term, WorkerId,
};
use dagmar_common::lease::{Held, Outcome, Returned};
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;

/// One entry of the log: all that arrived while the last one was being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of the leader that proposed it; in an entry of another term the batch is dropped whole.
    pub term: Term,
    pub at: LogTime,
    /// A label for people.
    pub wall: WallTime,
    pub commands: Vec<Command>,
}

/// Where the log holds the batch that is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub index: LogIndex,
    pub term: Term,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// First of every leader; workers are suspended until they are ready under it.
    LeaderUp,
    /// Nothing but another turn of the agenda.
    Continue,
    /// A chunk of what is too large for one entry; `digest` is that of the whole.
    Stage {
        part: Part,
        digest: Digest,
        offset: u64,
        total: u64,
        bytes: Vec<u8>,
    },
    Submit(Submit),
    Cancel {
        request: RequestId,
        run: RunId,
        reason: String,
    },
    /// A worker is known with this incarnation and these fences, or differs from what is known.
    Hello(WorkerHello),
    /// Void for another incarnation, and for an older session than one that it had already.
    WorkerReady {
        worker: WorkerId,
        incarnation: Incarnation,
        session: Session,
        /// What it holds of leases that were taken from it: it gets back those that nobody has.
        regains: Vec<Fence>,
    },
    WorkerSuspended {
        worker: WorkerId,
        session: Session,
    },
    WorkerLost {
        worker: WorkerId,
        /// What this leader knows of its leases' starts.
        started: Vec<Fence>,
        unsent: Vec<Fence>,
    },
    Outcomes {
        worker: WorkerId,
        outcomes: Vec<Outcome>,
    },
    /// Void for another incarnation: what an older one gives back may run with the newer one.
    Returned {
        worker: WorkerId,
        incarnation: Incarnation,
        returned: Vec<Returned>,
    },
    /// The run's record is durable elsewhere; it leaves the state.
    Archived {
        run: RunId,
    },
    /// The worker gets nothing more and gives back what has not begun, until it is said otherwise.
    Drain {
        worker: WorkerId,
        is_on: bool,
    },
    /// The worker will not come back under this id; its leases end.
    RemoveWorker {
        worker: WorkerId,
    },
    /// First of all in a cluster that was made from a backup.
    Restored {
        cluster: ClusterId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    pub request: RequestId,
    pub run: RunId,
    /// A `run` that was generated, not asked for, gets a suffix where it is taken.
    pub generated: bool,
    pub tag: String,
    pub graph: Payload,
    /// Initial values as [`encode_parameters`](crate::stored) bytes, already merged and checked.
    pub parameters: Payload,
    /// What the submitter recorded with it: configuration, files, code identity.
    pub context: Value,
}

/// What of a submission travels ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Graph,
    Parameters,
}

/// Bytes that travel inside, or were staged before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Inline(Vec<u8>),
    Staged(Digest),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHello {
    pub worker: WorkerId,
    pub incarnation: Incarnation,
    pub name: String,
    pub cpu_millis: u32,
    pub labels: Vec<(String, String)>,
    /// What of earlier leases it knows of; of one that is born ready, what an earlier life had
    /// begun and was not answered for.
    pub held: Vec<Held>,
    /// Where it lives in the process of its only coordinator it is born ready, with this session.
    pub born_ready: Option<Session>,
    /// When it is lost, never under [`dagmar_common::limits::LOST_AFTER_MIN`]; None: the default.
    pub lost_after: Option<Span>,
}

impl Command {
    /// About what it takes in an entry, and never less than half of it.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 64;
        const FENCE: usize = 10;
        let held = |count: usize| count * FENCE;
        FIXED
            + match self {
                Command::LeaderUp
                | Command::Continue
                | Command::WorkerSuspended { .. }
                | Command::Archived { .. }
                | Command::Drain { .. }
                | Command::RemoveWorker { .. }
                | Command::Restored { .. } => 0,
                Command::Stage { bytes, .. } => bytes.len(),
                Command::Submit(submit) => {
                    submit.graph.weight()
                        + submit.parameters.weight()
                        + submit.context.spelled().len()
                        + submit.tag.len()
                        + submit.run.as_str().len()
                }
                Command::Cancel { reason, run, .. } => reason.len() + run.as_str().len(),
                Command::Hello(hello) => {
                    let label = |(key, value): &(String, String)| key.len() + value.len() + 2;
                    let labels: usize = hello.labels.iter().map(label).sum();
                    hello.name.len() + labels + held(hello.held.len())
                }
                Command::WorkerReady { regains, .. } => held(regains.len()),
                Command::WorkerLost { started, unsent, .. } => held(started.len() + unsent.len()),
                Command::Outcomes { outcomes, .. } => outcomes.iter().map(Outcome::bytes).sum(),
                Command::Returned { returned, .. } => held(returned.len()),
            }
    }
}

impl Payload {
    fn weight(&self) -> usize {
        match self {
            Payload::Inline(bytes) => bytes.len(),
            Payload::Staged(_) => 32,
        }
    }
}
