//! The questions about runs, as the coordinator in this process answers them.

use bytes::Bytes;
use crossbeam_channel::Receiver;
use dagmar_common::graph::encode;
use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{
    Change, Detail, LogPiece, LogQuestion, Progress, Reason, choose,
};
use dagmar_common::record::{RunSummary, Submission};
use dagmar_coordinator_core::ask::{self, Begun};
use dagmar_coordinator_core::command::{Command, Part, Submit};
use dagmar_coordinator_core::effect::{Refusal, Reply};
use dagmar_coordinator_core::{State, stored};

use super::here::{Here, TRIES_MAX, entries, no_such_run, refused, summary};
use super::why::{self, Pace};
use super::{Runs, Story, reading, watching};

impl Here {
    /// Changes of the only run of this process from its beginning, which may be yet to come.
    pub fn follow(&self, detail: Detail) -> Result<Receiver<Change>, Problem> {
        watching::follow(self, detail)
    }
}

impl Runs for Here {
    /// What is staged leaves with the first submission that names it. Somebody else's may be that
    /// one, at any moment, if it is of the same graph; then everything goes once more.
    fn submit(&self, submission: Submission) -> Result<RunId, Problem> {
        let bytes = stored::encode_parameters(&submission.parameters);
        for _ in 0..TRIES_MAX {
            let graph = self.payload(Part::Graph, &submission.graph)?;
            let parameters = self.payload(Part::Parameters, &bytes)?;
            let (Some(graph), Some(parameters)) = (graph, parameters) else { continue };
            let submit = Submit {
                request: submission.request,
                run: submission.run.clone(),
                generated: submission.generated,
                tag: submission.tag.clone(),
                graph,
                parameters,
                context: submission.context.clone(),
            };
            match self.answer(&Command::Submit(submit))? {
                Reply::Submitted { run, .. } => return Ok(run),
                Reply::Refused(Refusal::NotStaged) => {}
                Reply::Refused(refusal) => return Err(refused(refusal)),
                _ => {
                    let what = "a submission was answered with nothing";
                    return Err(Problem::new(Code::Internal, what));
                }
            }
        }
        Err(refused(Refusal::NotStaged))
    }

    fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        let list = |state: &State, begun: &Begun| {
            state.runs().map(|view| summary(&view.with(begun))).collect()
        };
        self.handle.read_with_begun(list).map_err(|stopped| self.stopped(stopped))
    }

    fn story(&self, run: &RunId) -> Result<Story, Problem> {
        let (state, begun) = self.handle.freeze().map_err(|stopped| self.stopped(stopped))?;
        let Some(view) = state.find_run(run) else { return Err(no_such_run(run)) };
        let (record, graph) = (view.with(&begun).record(), Bytes::from(encode(view.graph())));
        let entries = entries(state, Some(begun), run.clone())?;
        Ok(Story { record, graph, entries })
    }

    fn progress(&self, run: &RunId, most: usize) -> Result<Progress, Problem> {
        self.look(run, move |view| {
            let (steps, left_out) = choose(view.root_steps(), most);
            Progress { summary: summary(view), steps, left_out }
        })
    }

    fn watch(&self, run: &RunId, detail: Detail) -> Result<Receiver<Change>, Problem> {
        watching::watch(self, run, detail)
    }

    fn logs(
        &self,
        run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
        reading::logs(self, run, question)
    }

    fn cancel(&self, run: &RunId, request: RequestId, reason: &str) -> Result<(), Problem> {
        let (run, reason) = (run.clone(), reason.to_owned());
        self.propose(&Command::Cancel { request, run, reason }).map(|_| ())
    }

    fn why(&self, run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem> {
        let (id, path) = (run.clone(), path.map(str::to_owned));
        let ask = move |state: &State, begun: &Begun| {
            let number = state.find_run(&id)?.number();
            let reasons = ask::why(state, begun, number, path.as_deref());
            Some(why::sentences(path.as_deref(), reasons, state.log_time(), Pace::Moving))
        };
        let reasons = self.handle.read_with_begun(ask).map_err(|stopped| self.stopped(stopped))?;
        reasons.ok_or_else(|| no_such_run(run))
    }
}

#[cfg(test)]
mod tests;
