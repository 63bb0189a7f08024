//! What a leader knows of one worker beside the state: what is under way, and what began.

use std::collections::BTreeSet;

use dagmar_common::ids::{Fence, Incarnation, Session as SessionNo, StreamNo, WorkerId};
use dagmar_common::lease::{Outcome, Returned};
use dagmar_common::time::BootTime;

use crate::ask::Begun;
use crate::command::Command;

#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Commands about it that are proposed and not applied.
    pub proposed: u32,
    /// Those of them that may end its readiness.
    pub ending: u32,
    /// With a hello, answered or not; the newest last.
    pub streams: Vec<StreamNo>,
    /// The session whose stream broke last, and when.
    pub parted: Option<(SessionNo, BootTime)>,
    /// What had begun, and was not reported, when that stream broke.
    pub begun: Begun,
    /// Granted under this leader, and never sent.
    pub unsent: BTreeSet<Fence>,
    /// What it reported in this turn.
    pub outcomes: Vec<Outcome>,
    pub returned: Vec<Returned>,
    /// Of whoever gave these back.
    pub returned_in: Incarnation,
}

impl Known {
    /// Something about it is on its way into the log.
    pub fn is_busy(&self) -> bool {
        self.proposed > 0 || !self.outcomes.is_empty() || !self.returned.is_empty()
    }
}

/// The worker that a command is about, and whether it may end that worker's readiness.
pub(crate) fn about(command: &Command) -> Option<(WorkerId, bool)> {
    match command {
        Command::Hello(hello) => Some((hello.worker, true)),
        Command::WorkerSuspended { worker, .. } | Command::WorkerLost { worker, .. } => {
            Some((*worker, true))
        }
        Command::RemoveWorker { worker } => Some((*worker, true)),
        Command::WorkerReady { worker, .. }
        | Command::Outcomes { worker, .. }
        | Command::Returned { worker, .. } => Some((*worker, false)),
        _ => None,
    }
}
