//! One run as others see it: its record, its graph, its counts, and whether it has ended.

use std::sync::Arc;

use dagmar_common::graph::Graph;
use dagmar_common::ids::{LogIndex, NodeNo, RunId, RunNo, SectionNo};
use dagmar_common::record::follow::StepProgress;
use dagmar_common::record::{Counts, NodeRecord, RunRecord, RunStatus};
use dagmar_common::value::Value;
use dagmar_common::view::Scope;

use super::{Begun, NodeRecords};
use crate::state::run::{RunRow, Stop};
use crate::state::{Known, State, Summary};

/// A run that is in the state: live, or ended and not archived yet.
#[derive(Clone, Copy)]
pub struct RunView<'a> {
    pub(super) state: &'a State,
    pub(super) run: &'a RunRow,
    /// None: what is leased is told as if it ran.
    pub(super) begun: Option<&'a Begun>,
}

impl State {
    pub fn run(&self, run: RunNo) -> Option<RunView<'_>> {
        let run = self.runs.get(self.runs.slot(run)?);
        Some(RunView { state: self, run, begun: None })
    }

    /// A run in the state by its name.
    pub fn find_run(&self, run: &RunId) -> Option<RunView<'_>> {
        match self.runs.by_id.get(run)? {
            Known::Live(slot) => {
                Some(RunView { state: self, run: self.runs.get(*slot), begun: None })
            }
            Known::Archived(_) => None,
        }
    }

    /// What stays of a run that was archived.
    pub fn find_summary(&self, run: &RunId) -> Option<&Summary> {
        match self.runs.by_id.get(run)? {
            Known::Live(_) => None,
            Known::Archived(place) => Some(self.runs.summaries.get(*place)),
        }
    }

    /// The runs in the state, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = RunView<'_>> {
        self.runs.live().map(|(_, run)| RunView { state: self, run, begun: None })
    }

    /// The runs that left the state, in the order in which they did.
    pub fn summaries(&self) -> impl Iterator<Item = &Summary> {
        self.runs.summaries.iter()
    }

    pub fn graph(&self, run: RunNo) -> Option<&Arc<Graph>> {
        let run = self.runs.get(self.runs.slot(run)?);
        Some(&run.graph.graph)
    }

    /// Every step of the run: the root's in order of declaration, each composite followed by its
    /// frames. It streams: nothing of a run is held besides where it stands.
    pub fn node_records(&self, run: RunNo) -> Option<NodeRecords<'_>> {
        self.run(run).map(|view| view.node_records())
    }
}

impl<'a> RunView<'a> {
    /// The same, where only what has begun is told as running.
    #[must_use]
    pub fn with(self, begun: &'a Begun) -> Self {
        RunView { begun: Some(begun), ..self }
    }

    pub fn number(&self) -> RunNo {
        self.run.number
    }

    /// The last entry that this view knows of.
    pub fn as_of(&self) -> LogIndex {
        self.state.last_applied()
    }

    pub fn run_id(&self) -> &'a RunId {
        &self.run.id
    }

    pub fn status(&self) -> RunStatus {
        self.run.status
    }

    /// Nothing more of it is started: it was cancelled or its time limit passed.
    pub fn is_stopping(&self) -> bool {
        self.run.stop.is_some()
    }

    pub fn graph(&self) -> &'a Arc<Graph> {
        &self.run.graph.graph
    }

    pub fn counts(&self) -> Counts {
        match self.begun {
            Some(begun) => begun.counts(self.state, self.run),
            None => self.run.counts,
        }
    }

    pub fn node_records(&self) -> NodeRecords<'a> {
        NodeRecords::new(self.state, self.run, self.begun)
    }

    /// The root's steps in order of declaration, as one screen shows them.
    pub fn root_steps(&self) -> impl Iterator<Item = StepProgress> + use<'a> {
        self.run.root_steps(self.begun)
    }

    /// One step, in the frame that `indices` name; None where that frame is not, or not yet.
    pub fn step(
        &self,
        section: SectionNo,
        node: NodeNo,
        indices: &Arc<[u32]>,
    ) -> Option<NodeRecord> {
        self.run.step_record(self.state, section, node, indices)
    }

    pub fn record(&self) -> RunRecord {
        let run = self.run;
        let reason = match &run.stop {
            None => String::new(),
            Some(Stop::TimeLimit) => "time limit".to_owned(),
            Some(Stop::Cancelled { reason }) => reason.to_string(),
        };
        let start = parameters(&run.initial);
        RunRecord {
            run_id: run.id.clone(),
            tag: run.tag.to_string(),
            generation: 0,
            graph: run.graph.digest,
            status: run.status,
            reason,
            submitted: run.submitted,
            ended: run.ended,
            parameters_at_end: match run.is_live() {
                true => start.clone(),
                false => self.parameters_at_end(),
            },
            parameters_at_start: start,
            context: run.context.clone(),
            counts: self.counts(),
            first_index: run.first_index,
            last_index: run.last_index,
        }
    }

    /// The initial values overlaid by what the root frame's succeeded nodes wrote.
    fn parameters_at_end(&self) -> Vec<(Arc<str>, Value)> {
        let overlay = self.run.frames.get(0).result.clone();
        parameters(&Scope { overlay, base: Some(self.run.initial.clone()) })
    }
}

fn parameters(scope: &Scope) -> Vec<(Arc<str>, Value)> {
    scope.flatten().into_iter().collect()
}
