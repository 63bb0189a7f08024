//! How frames begin and end, the root frame with its run among them.

use std::sync::Arc;

use dagmar_common::graph::NodeKind;
use dagmar_common::ids::SectionNo;
use dagmar_common::limits::EDGES_PER_UNIT;
use dagmar_common::record::{NodeStatus, RunStatus};
use dagmar_common::view::View;

use crate::effect::{Effect, Event};
use crate::rules::Turn;
use crate::state::frame::{FrameMarks, FrameRow};
use crate::state::node::{NONE, NodeRow, Why};
use crate::state::run::{Stop, Work};

impl Turn<'_> {
    /// A frame with all its nodes waiting; `Begin` on the agenda sets it going.
    pub fn open_frame(
        &mut self,
        section: SectionNo,
        map: u32,
        (item, item_start, item_end): (u32, u32, u32),
        indices: Arc<[u32]>,
    ) -> u32 {
        let length = self.run.graph.graph.section(section).len();
        let mut row = FrameRow {
            section,
            map,
            item,
            item_start,
            item_end,
            first: NONE,
            left: length,
            marks: FrameMarks::default(),
            result: View::default(),
            indices,
        };
        let frame = match self.run.free.get_mut(&section.0).and_then(Vec::pop) {
            Some(frame) => {
                row.first = self.run.frames.get(frame).first;
                for node in row.first..row.first + length {
                    *self.run.nodes.get_mut(node) = NodeRow::new(frame);
                }
                *self.run.frames.get_mut(frame) = row;
                frame
            }
            None => {
                let frame = self.run.frames.len() as u32;
                row.first = self.run.nodes.extend(length, &NodeRow::new(frame));
                self.run.frames.push(row)
            }
        };
        self.run.agenda.push(Work::Begin { frame, from: 0 });
        frame
    }

    /// Nodes that wait for no edge begin; those that no head leads to are skipped.
    pub(super) fn begin(&mut self, frame: u32, from: u32, end: u32) {
        let (first, section) = {
            let row = self.run.frames.get(frame);
            (row.first, row.section)
        };
        let length = self.run.graph.graph.section(section).len();
        let mut at = from;
        let mut passed = 0;
        while at < length {
            let rows = self.run.graph.graph.section(section);
            let no = dagmar_common::ids::NodeNo(at);
            at += 1;
            passed += 1;
            if passed % EDGES_PER_UNIT == 0 {
                self.units += 1;
            }
            if rows.incoming(no) == 0 {
                let runs = rows.is_head(no);
                let stays = runs && matches!(rows.kind(no), NodeKind::Task(_));
                if !stays && at < length {
                    self.run.agenda.push(Work::Begin { frame, from: at });
                }
                match runs {
                    true => self.run_node(first + no.0),
                    false => {
                        self.end_node(first + no.0, NodeStatus::Skipped, Why::NotReached, NONE);
                    }
                }
                if !stays {
                    return;
                }
                self.units += 1;
            }
            if self.units >= end && at < length {
                self.run.agenda.push(Work::Begin { frame, from: at });
                return;
            }
        }
    }

    pub(super) fn frame_ended(&mut self, frame: u32) {
        if self.run.frames.get(frame).is_root() {
            self.run_ended(frame);
        } else {
            self.item_ended(frame);
        }
    }

    fn run_ended(&mut self, frame: u32) {
        let is_failed = self.run.frames.get(frame).marks.has(FrameMarks::FAILED);
        let status = match &self.run.stop {
            Some(Stop::Cancelled { .. }) => RunStatus::Cancelled,
            Some(Stop::TimeLimit) => RunStatus::Failed,
            None if is_failed => RunStatus::Failed,
            None => RunStatus::Succeeded,
        };
        self.run.status = status;
        self.run.ended = Some(self.entry.wall);
        self.run.last_index = self.entry.index;
        if self.run.limit_timer != NONE {
            self.timers.remove(std::mem::replace(&mut self.run.limit_timer, NONE));
        }
        // A sweep that is still under way would find nothing more.
        self.run.agenda.clear();
        self.touch();
        let (run, index) = (self.run.number, self.entry.index);
        self.out.effects.push(Effect::Event(Event::RunEnded { run, status, index }));
        self.out.effects.push(Effect::Archive { run });
    }
}
