//! The runs of a log at rest: what its replay says, while nobody leads and nothing is started.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use dagmar_common::graph::encode;
use dagmar_common::ids::{Fence, RequestId, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{
    Change, Detail, LogPiece, LogQuestion, Progress, Reason, choose,
};
use dagmar_common::record::{RunSummary, Submission};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::{self, Begun, RunView};
use dagmar_coordinator_core::effect::Applied;
use dagmar_replica::LogEntry;

use super::here::{Logs, entries, no_such_run, summary};
use super::why::{self, Pace};
use super::{Runs, Story, output};
use crate::replay;
use crate::underway;

/// A state that nobody moves.
pub struct Still {
    /// Locked for as long as a question takes; freezing needs it whole.
    state: Mutex<State>,
    /// What its worker had begun, as far as that was written down.
    begun: Begun,
    logs: Arc<dyn Logs>,
}

impl Still {
    /// Replays entries onto what a snapshot held. The only replica of a log takes every durable
    /// entry for committed, as it will when it leads again. What is careful and was `asked` for
    /// may have begun, whether that was written down or not.
    pub fn replay(
        mut state: State,
        log: Vec<LogEntry>,
        mut begun: Begun,
        asked: impl Fn(Fence) -> bool,
        logs: Arc<dyn Logs>,
    ) -> Result<Self, Problem> {
        let mut applied = Applied::default();
        for (position, batch) in replay::decoded(&log, state.last_applied()) {
            let batch = batch.map_err(|error| {
                let message =
                    format!("entry {} of the log cannot be read: {error}", position.index);
                Problem::new(Code::Damaged, message)
            })?;
            let _mark = underway::applying(position.index);
            state.apply(position, batch, &mut applied);
        }
        for fence in state.careful_leases().into_iter().filter(|fence| asked(*fence)) {
            begun.insert(fence, None);
        }
        Ok(Still { state: Mutex::new(state), begun, logs })
    }

    /// What its worker had been given that may not run twice, or not beside itself.
    pub fn careful_leases(&self) -> Vec<Fence> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).careful_leases()
    }

    fn look<T>(&self, run: &RunId, look: impl FnOnce(&RunView<'_>) -> T) -> Result<T, Problem> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let view = state.find_run(run).ok_or_else(|| no_such_run(run))?;
        Ok(look(&view.with(&self.begun)))
    }
}

fn at_rest<T>(what: &str) -> Result<T, Problem> {
    Err(Problem::new(Code::Interrupted, format!("nobody works on this run, so {what}"))
        .try_this("dagmar resume RUN"))
}

impl Runs for Still {
    fn submit(&self, _submission: Submission) -> Result<RunId, Problem> {
        at_rest("nothing can be submitted")
    }

    fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.runs().map(|view| summary(&view.with(&self.begun))).collect())
    }

    fn story(&self, run: &RunId) -> Result<Story, Problem> {
        let (record, graph) =
            self.look(run, |view| (view.record(), Bytes::from(encode(view.graph()))))?;
        let frozen = self.state.lock().unwrap_or_else(PoisonError::into_inner).freeze();
        let entries = entries(frozen.into_state(), Some(self.begun.clone()), run.clone())?;
        Ok(Story { record, graph, entries })
    }

    fn progress(&self, run: &RunId, most: usize) -> Result<Progress, Problem> {
        self.look(run, |view| {
            let (steps, left_out) = choose(view.root_steps(), most);
            Progress { summary: summary(view), steps, left_out }
        })
    }

    fn watch(&self, _run: &RunId, _detail: Detail) -> Result<Receiver<Change>, Problem> {
        at_rest("nothing changes")
    }

    fn logs(
        &self,
        run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
        output::stored(self.story(run)?.entries, self.logs.clone(), question)
    }

    fn cancel(&self, _run: &RunId, _request: RequestId, _reason: &str) -> Result<(), Problem> {
        at_rest("nothing can be cancelled")
    }

    fn why(&self, run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem> {
        let number = self.look(run, |view| view.number())?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons = ask::why(&state, &self.begun, number, path);
        Ok(why::sentences(path, reasons, state.log_time(), Pace::AtRest))
    }
}
