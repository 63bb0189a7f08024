//! A run's steps at the root, as one screen shows them.

use dagmar_common::graph::NodeKind;
use dagmar_common::ids::{Fence, NodeNo, SectionNo};
use dagmar_common::record::follow::StepProgress;
use dagmar_common::record::{Counts, NodeStatus};

use super::Begun;
use super::records::Source;
use crate::state::node::{NONE, PastNode};
use crate::state::run::RunRow;

impl RunRow {
    /// In order of declaration.
    pub(super) fn root_steps<'a>(
        &'a self,
        begun: Option<&'a Begun>,
    ) -> impl Iterator<Item = StepProgress> + use<'a> {
        let section = self.graph.graph.root();
        let steps = section.nodes().filter(|no| !section.kind(*no).is_terminal());
        steps.map(move |no| self.step_progress(no, begun))
    }

    fn step_progress(&self, no: NodeNo, begun: Option<&Begun>) -> StepProgress {
        let section = self.graph.graph.root();
        let first = self.frames.get(0).first;
        let node = self.nodes.get(first + no.0);
        let (fence, facts) = (Fence(node.fence), PastNode::of(node));
        let is_map = matches!(section.kind(no), NodeKind::Composite(_)) && facts.map != NONE;
        let map = is_map.then(|| self.maps.get(facts.map));
        let trial = (facts.trials != NONE).then(|| self.trials.get(facts.trials));
        let is_leased = facts.status == NodeStatus::Leased && !is_map;
        let runs = is_leased && begun.is_none_or(|begun| begun.has(fence));
        let last = trial.map_or(0, |trial| u32::from(trial.number));
        let began = trial.map(|trial| trial.began);
        StepProgress {
            name: section.name(no).into(),
            status: if is_leased && !runs { NodeStatus::Ready } else { facts.status },
            // One that was lost had the same number.
            attempt: if runs { u32::from(node.failed) + 1 } else { last },
            began: if runs { begun.and_then(|begun| begun.at(fence)) } else { began },
            took: trial
                .filter(|trial| facts.status.has_ended() && trial.status.has_duration())
                .map(|trial| trial.took),
            frames: map.map_or(0, |map| map.count),
            frames_ended: map.map_or(0, |map| map.ended),
            counts: map.map_or_else(Counts::default, |map| map.counts),
            reason: self.reason(Source::Open { first }, SectionNo(0), no, &facts).into(),
        }
    }
}
