//! The words between an agent and its shell: what happened, and what is to be done about it.

use dagmar_common::ids::{Fence, Session, StreamNo};
use dagmar_common::lease::{FromWorker, Numbered, Outcome, Start, ToWorker};
use dagmar_common::time::{BootTime, WallTime};

/// What a shell tells its agent. Time comes with every turn.
#[derive(Debug)]
pub enum Input {
    /// A stream to a leader is open. `born_ready`: in the process of its only coordinator the
    /// first hello is in the log already, and this is the session that was given with it.
    Connected {
        stream: StreamNo,
        born_ready: Option<Session>,
    },
    Disconnected {
        stream: StreamNo,
    },
    Received {
        stream: StreamNo,
        message: Numbered<ToWorker>,
    },
    ProcessStarted {
        fence: Fence,
        at: WallTime,
    },
    /// The trial is over: its process ended, ran into its time limit, or its program could not be
    /// started. Whether it counts as cancelled is the agent's to say.
    ProcessEnded(Outcome),
    /// Nothing of it ever ran, for a reason of this host: its start could not be recorded.
    ProcessNotStarted {
        fence: Fence,
    },
    /// Its process group is gone by our own hand, which makes no outcome.
    ProcessStopped {
        fence: Fence,
    },
}

/// What a shell does for its agent, in this order.
#[derive(Debug)]
pub enum Output {
    Send {
        stream: StreamNo,
        message: Numbered<FromWorker>,
    },
    /// Leave this stream and look for the leader, also where it was found last.
    Close {
        stream: StreamNo,
        why: Leaving,
    },
    /// Record the start, then start it; answered by `ProcessStarted`, `ProcessEnded` or
    /// `ProcessNotStarted`.
    Run(Start),
    /// TERM to the group, KILL after the grace; answered by `ProcessEnded` or `ProcessStopped`.
    Stop {
        fence: Fence,
        why: Stop,
    },
    /// A heartbeat was acknowledged: exclusive processes may live until then, and no longer. Their
    /// supervisor holds it, for it outlives this daemon.
    Deadline(BootTime),
    /// Answered, hence no longer needed: the records of these may go.
    Forget(Vec<Fence>),
    /// A newer incarnation of this worker is known and nothing is held any more: join again under
    /// a fresh id, with a new agent.
    Rejoin,
}

/// Why an agent leaves a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// A message is missing, or came where it cannot.
    OutOfOrder,
    /// No acknowledgement for too long.
    Silent,
    /// Its shell opened another.
    Replaced,
}

/// Why a process is stopped; it decides what is said of it when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Its run was cancelled: an outcome says so.
    Cancelled,
    /// Its lease is no longer this worker's: there is no outcome.
    NotLeased,
}
