//! The trials that a supervisor has, between those who ask for them and whoever hears of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use dagmar_common::ids::Fence;
use dagmar_common::lease::{Begun, Ending, ExitReason, Outcome};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::view::Scope;
use dagmar_supervisor::protocol::RequestBatch;

use crate::logs::segments::Segments;
use crate::records::Records;
use crate::task::environment::{Environments, ScopeKey};

/// What the executor tells of the trials it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Begun(Begun),
    Finished(Outcome),
    /// No outcome will come: it was killed, taken back before it began, or could not be recorded.
    Returned {
        fence: Fence,
        started: bool,
    },
    /// The supervisor died; all that it ran is killed and reported as returned before this.
    SupervisorLost,
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) logs: Arc<Segments>,
}

pub(super) struct State {
    pub(super) running: HashMap<Fence, Running>,
    pub(super) environments: Environments,
    pub(super) records: Records,
    /// Of an earlier life, and kept until our hello has been heard.
    pub(super) left: Vec<Fence>,
    /// Requests that travel with the next ones.
    pub(super) waiting: RequestBatch,
    /// The supervisor is gone.
    pub(super) lost: bool,
}

pub(super) struct Running {
    pub(super) key: ScopeKey,
    /// Where its outputs are expected.
    pub(super) output: PathBuf,
    /// What a script was given that tells what it exports.
    pub(super) given: Option<Scope>,
    /// For messages.
    pub(super) program: String,
    pub(super) began: Option<WallTime>,
}

impl Shared {
    pub(super) fn new(state: State, logs: Arc<Segments>) -> Arc<Self> {
        Arc::new(Shared { state: Mutex::new(state), logs })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets a trial that runs no more.
    pub(super) fn end(&mut self, fence: Fence) -> Option<Running> {
        let running = self.running.remove(&fence)?;
        self.environments.release(running.key, &mut self.waiting);
        self.records.over(fence);
        Some(running)
    }
}

/// The outcome of a process that never was.
pub(super) fn not_started(fence: Fence, text: &str, errno: i32) -> Outcome {
    Outcome {
        fence,
        ending: Ending::Failed(ExitReason::NotStarted(errno)),
        began: now(),
        took: Span::default(),
        outputs: Vec::new(),
        log: None,
        last_lines: text.into(),
    }
}

pub(super) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
