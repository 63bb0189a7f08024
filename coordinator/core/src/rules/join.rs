//! How edges end and joins are decided: what a node's end means for those behind it.

use dagmar_common::graph::{EdgeKind, NodeKind};
use dagmar_common::ids::NodeNo;
use dagmar_common::limits::EDGES_PER_UNIT;
use dagmar_common::record::NodeStatus;

use crate::rules::Turn;
use crate::state::frame::FrameMarks;
use crate::state::node::{Marks, NONE, NodeRow, Why};
use crate::state::run::Work;

/// What a join says once all of its edges have ended.
enum Decision {
    Run,
    Skip(Why, u32),
}

impl Turn<'_> {
    /// Ends the edges out of `row`, from the given one on.
    pub(super) fn end_edges(&mut self, row: u32, from: u32, end: u32) {
        let (status, view, first, section, no) = {
            let node = self.run.nodes.get(row);
            let frame = self.run.frames.get(node.frame);
            (node.status, node.view.clone(), frame.first, frame.section, frame.node(row))
        };
        let mut edge = from;
        loop {
            let section = self.run.graph.graph.section(section);
            let edges = section.edges(no);
            let Some(&target) = edges.targets.get(edge as usize) else { return };
            let kind = edges.kinds[edge as usize];
            let is_last = edge as usize + 1 == edges.targets.len();
            let incoming = section.incoming(target);
            let target_kind = section.kind(target);
            edge += 1;
            let behind = self.run.nodes.get_mut(first + target.0);
            behind.arrived += 1;
            if !view.is_empty() {
                behind.view = behind.view.join(&view);
            }
            behind.hear(kind, status, no);
            if behind.arrived == incoming {
                let decision = behind.decision();
                // A task only joins a queue; all else may end at once and leave work of its own,
                // which goes first: so the agenda stays as short as the longest path.
                let stays =
                    matches!(target_kind, NodeKind::Task(_)) && matches!(decision, Decision::Run);
                if !stays && !is_last {
                    self.run.agenda.push(Work::Ended { node: row, edge });
                }
                self.decide(first + target.0, decision);
                if !stays {
                    return;
                }
                self.units += 1;
            }
            if is_last {
                return;
            }
            self.units += u32::from(edge.is_multiple_of(EDGES_PER_UNIT));
            if self.units >= end {
                self.run.agenda.push(Work::Ended { node: row, edge });
                return;
            }
        }
    }

    fn decide(&mut self, row: u32, decision: Decision) {
        match decision {
            Decision::Run => self.run_node(row),
            Decision::Skip(why, cause) => self.end_node(row, NodeStatus::Skipped, why, cause),
        }
    }

    /// The join said *run*.
    pub(super) fn run_node(&mut self, row: u32) {
        if self.run.stop.is_some() {
            return self.end_node(row, NodeStatus::Cancelled, Why::RunStopped, NONE);
        }
        match self.run.kind(row) {
            NodeKind::Task(_) => self.make_ready(row),
            NodeKind::Stub | NodeKind::Success => {
                self.end_node(row, NodeStatus::Succeeded, Why::Plain, NONE);
            }
            NodeKind::Fail => {
                let frame = self.run.nodes.get(row).frame;
                self.run.frames.get_mut(frame).marks.set(FrameMarks::FAILED);
                self.end_node(row, NodeStatus::Succeeded, Why::Plain, NONE);
            }
            NodeKind::Composite(composite) => self.start_map(row, composite),
        }
    }

    /// The node waits for a worker, behind what became ready before it.
    pub fn make_ready(&mut self, row: u32) {
        let Some(task) = self.run.task_of(row) else {
            unreachable!("only a task waits for a worker")
        };
        *self.ready_sequence += 1;
        let queue = self.run.queue_place(task);
        self.run.enqueue(queue, row);
        let node = self.run.nodes.get_mut(row);
        let before = node.status;
        node.status = NodeStatus::Ready;
        node.at = *self.ready_sequence;
        self.tell(row, before, NodeStatus::Ready);
        self.touch();
    }
}

impl NodeRow {
    /// One incoming edge has ended with its source.
    fn hear(&mut self, kind: EdgeKind, source: NodeStatus, no: NodeNo) {
        match (kind, source) {
            (EdgeKind::Next | EdgeKind::Needs, NodeStatus::Succeeded)
            | (EdgeKind::OnFailure, NodeStatus::Failed) => self.marks.set(Marks::TAKEN),
            (EdgeKind::Next | EdgeKind::OnFailure, _) => {}
            (EdgeKind::Needs, NodeStatus::Failed) => {
                // The earliest declared is named, whichever ended first.
                let is_first = !self.marks.has(Marks::NEEDS_FAILED);
                self.other = if is_first { no.0 } else { self.other.min(no.0) };
                self.marks.set(Marks::NEEDS_FAILED);
            }
            (EdgeKind::Needs, _) => {
                if !self.marks.has(Marks::NEEDS_FAILED) {
                    self.other = self.other.min(no.0);
                }
                self.marks.set(Marks::NEEDS_SKIPPED);
            }
        }
    }

    fn decision(&mut self) -> Decision {
        let cause = std::mem::replace(&mut self.other, NONE);
        if self.marks.has(Marks::NEEDS_FAILED) {
            Decision::Skip(Why::UpstreamFailed, cause)
        } else if self.marks.has(Marks::NEEDS_SKIPPED) {
            Decision::Skip(Why::UpstreamSkipped, cause)
        } else if self.marks.has(Marks::TAKEN) {
            Decision::Run
        } else {
            Decision::Skip(Why::NotReached, NONE)
        }
    }
}
