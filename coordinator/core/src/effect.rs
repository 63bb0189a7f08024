//! What apply leaves to be done outside: replies, messages for workers, events, archives.

use std::sync::Arc;

use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo, SectionNo, WorkerNo};
use dagmar_common::record::{NodeStatus, RunStatus};
use dagmar_common::time::WallTime;

/// What one entry led to. Its buffers are reused from entry to entry.
#[derive(Debug, Default)]
pub struct Applied {
    /// One for each command of the batch, in order.
    pub replies: Vec<Reply>,
    /// Performed by the leader in this order, dropped by followers.
    pub effects: Vec<Effect>,
}

impl Applied {
    pub fn clear(&mut self) {
        self.replies.clear();
        self.effects.clear();
    }
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// The batch was of a deposed leader, or the command was void: ask again.
    Dropped,
    /// What was staged is still being checked: ask again soon.
    Later,
    Submitted {
        run: RunId,
        number: RunNo,
    },
    Refused(Refusal),
}

/// Why a command changed nothing; each becomes a stable code and a sentence at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    RunIdTaken {
        run: RunId,
    },
    NoSuchRun {
        run: RunId,
    },
    RunEnded {
        run: RunId,
        status: RunStatus,
    },
    BadGraph {
        why: String,
    },
    BadParameters {
        why: String,
    },
    NotStaged,
    StagingFull,
    /// The same request id came with other content.
    RequestReused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leases that the session turns into `Start` messages by asking the state.
    Start {
        worker: WorkerNo,
        fence: Fence,
    },
    Recall {
        worker: WorkerNo,
        fence: Fence,
    },
    Cancel {
        worker: WorkerNo,
        fence: Fence,
    },
    /// It runs that, and somebody else has the trial, or nobody is to run it.
    Kill {
        worker: WorkerNo,
        fence: Fence,
    },
    /// The answer to one outcome or one returned fence.
    Recorded {
        worker: WorkerNo,
        fence: Fence,
    },
    Refused {
        worker: WorkerNo,
        fence: Fence,
    },
    /// A newer incarnation stands: the older one is told on every stream it has.
    Stale {
        worker: WorkerNo,
    },
    Event(Event),
    /// The run has ended: its record is to be written, then `Archived` proposed.
    Archive {
        run: RunNo,
    },
}

/// A change that somebody may watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    RunStarted {
        run: RunNo,
        index: LogIndex,
    },
    /// A node that is no terminal changed to `status`; an attempt that failed and is tried again
    /// shows as `Ready` (or `Waiting` during a backoff) with `attempt` grown.
    Node {
        run: RunNo,
        section: SectionNo,
        node: NodeNo,
        /// Of each map around it, outermost first; shared with its frame.
        indices: Arc<[u32]>,
        status: NodeStatus,
        attempt: u32,
        /// Of the entry that changed it.
        at: WallTime,
    },
    RunEnded {
        run: RunNo,
        status: RunStatus,
        index: LogIndex,
    },
}
