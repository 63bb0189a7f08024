//! Maps: frames open lazily from a cursor, and what ended alike is kept as a range.

use std::sync::Arc;

use dagmar_common::graph::CompositeMode;
use dagmar_common::ids::CompositeNo;
use dagmar_common::limits::MAP_FRAMES_OPEN_MIN;
use dagmar_common::record::{Counts, NodeStatus};
use dagmar_common::view::View;

use crate::ask::scope;
use crate::rules::{Turn, items};
use crate::state::frame::FrameMarks;
use crate::state::map::{MapPhase, MapRow, Merge, PastItems};
use crate::state::node::{NONE, PastNode, Why};
use crate::state::run::Work;

impl Turn<'_> {
    pub(super) fn start_map(&mut self, row: u32, composite: CompositeNo) {
        let graph = self.run.graph.clone();
        let CompositeMode::Map { body, iterate_on, .. } = &graph.graph.composite(composite).mode;
        let Some(items) = scope::find(self.run, row, iterate_on) else {
            return self.end_node(row, NodeStatus::Failed, Why::NoParameter, NONE);
        };
        let (Some(count), Some(cursor)) =
            (items::count(items.spelled()), items::begin(items.spelled()))
        else {
            return self.end_node(row, NodeStatus::Failed, Why::NotAList, NONE);
        };
        let node = self.run.nodes.get(row);
        let frame = self.run.frames.get(node.frame);
        let (around, indices, before) = (frame.map, frame.indices.clone(), node.status);
        let seen = node.view.clone();
        let steps = u64::from(count) * graph.steps[body.0 as usize];
        let map = self.run.maps.push(MapRow {
            node: row,
            composite,
            body: *body,
            items,
            cursor,
            count,
            next: 0,
            open: 0,
            ended: 0,
            failed: 0,
            cancelled: 0,
            phase: MapPhase::Running,
            is_opening: true,
            has_results: false,
            counts: Counts { waiting: steps, ..Counts::default() },
            indices,
            seen,
            past: Default::default(),
            order: Default::default(),
            merge: Merge::default(),
            written: View::default(),
        });
        self.recount(around, |counts| counts.waiting += steps);
        let node = self.run.nodes.get_mut(row);
        node.link = map;
        node.status = NodeStatus::Leased;
        self.tell(row, before, NodeStatus::Leased);
        self.run.agenda.push(Work::Open { map });
    }

    /// One more item gets its frame, if there is one and room for it.
    pub(super) fn open_item(&mut self, map: u32) {
        let room = self.room(map);
        let row = self.run.maps.get_mut(map);
        let found = if row.open < room && row.next < row.count {
            items::next(row.items.spelled(), row.cursor)
        } else {
            None
        };
        let Some((start, end, after)) = found else {
            row.is_opening = false;
            if row.all_ended() && row.phase == MapPhase::Running {
                self.run.agenda.push(Work::MapEnded { map });
            }
            return;
        };
        let item = row.next;
        row.next += 1;
        row.open += 1;
        row.cursor = after;
        let body = row.body;
        let indices: Arc<[u32]> =
            row.indices.iter().copied().chain(std::iter::once(item)).collect();
        self.run.agenda.push(Work::Open { map });
        self.open_frame(body, map, (item, start, end), indices);
    }

    /// How many frames of the map may be open at once.
    fn room(&self, map: u32) -> u32 {
        let composite = self.run.maps.get(map).composite;
        let CompositeMode::Map { max_parallel, .. } =
            &self.run.graph.graph.composite(composite).mode;
        max_parallel.unwrap_or_else(|| {
            let twice = u32::try_from(self.capacity / 500).unwrap_or(u32::MAX);
            twice.max(MAP_FRAMES_OPEN_MIN)
        })
    }

    /// A frame of a map has ended: what must be told of it later is kept, its rows are free.
    pub(super) fn item_ended(&mut self, frame: u32) {
        self.keep(frame);
        let row = self.run.frames.get_mut(frame);
        let (map, marks, section) = (row.map, row.marks, row.section);
        row.marks.set(FrameMarks::FREE);
        row.result = View::default();
        row.indices = Arc::default();
        let (first, length) = (row.first, self.run.graph.graph.section(section).len());
        if marks.has(FrameMarks::SPECIAL) {
            for node in first..first + length {
                self.run.nodes.get_mut(node).view = View::default();
            }
        }
        self.run.free.entry(section.0).or_default().push(frame);
        let row = self.run.maps.get_mut(map);
        row.open -= 1;
        row.ended += 1;
        row.failed += u32::from(marks.has(FrameMarks::FAILED));
        row.cancelled += u32::from(marks.has(FrameMarks::CANCELLED));
        if !row.is_opening && row.phase == MapPhase::Running {
            if row.next < row.count {
                row.is_opening = true;
                self.run.agenda.push(Work::Open { map });
            } else if row.all_ended() {
                self.run.agenda.push(Work::MapEnded { map });
            }
        }
    }

    /// Writes down how the items of `frame` ended; next to its like it only makes a range longer.
    fn keep(&mut self, frame: u32) {
        let row = self.run.frames.get(frame);
        let (first, item, result) = (row.first, row.item, row.result.clone());
        let length = self.run.graph.graph.section(row.section).len();
        let is_special = row.marks.has(FrameMarks::SPECIAL) || !result.is_empty();
        let ended = self.entry.index.0;
        let map = self.run.maps.get_mut(row.map);
        map.has_results |= !result.is_empty();
        let mut block = None;
        if let Some(last) = map.past.last_mut()
            && !is_special
            && !last.is_special
        {
            let is_alike = (0..length).all(|node| {
                let row = PastNode::of(self.run.nodes.get(first + node));
                row.is_like(self.run.past.get(last.block + node))
            });
            if is_alike && last.ended == ended && last.first + last.count == item {
                last.count += 1;
                return;
            }
            block = is_alike.then_some(last.block);
        }
        let block = block.unwrap_or_else(|| {
            let block = self.run.past.len() as u32;
            for node in first..first + length {
                self.run.past.push(PastNode::of(self.run.nodes.get(node)));
            }
            block
        });
        let past = PastItems { first: item, count: 1, block, is_special, ended, result };
        let place = map.past.push(past);
        map.note(item, place);
    }

    /// The run stops: items without a frame never get one.
    pub(super) fn cut_map(&mut self, map: u32) {
        let row = self.run.maps.get_mut(map);
        let dropped = row.count - row.next;
        let node = row.node;
        if dropped > 0 {
            let steps = u64::from(dropped) * self.run.graph.steps[row.body.0 as usize];
            row.cancelled += dropped;
            row.ended += dropped;
            // Unopened items stand behind `next` for good: `next` is where the map was cut.
            row.cursor = NONE;
            row.counts.waiting -= steps;
            row.counts.cancelled += steps;
            let around = self.run.frames.get(self.run.nodes.get(node).frame).map;
            self.recount(around, |counts| {
                counts.waiting -= steps;
                counts.cancelled += steps;
            });
        }
        let row = self.run.maps.get(map);
        if row.all_ended() && row.phase == MapPhase::Running && !row.is_opening {
            self.run.agenda.push(Work::MapEnded { map });
        }
    }

    /// All items of the map have ended.
    pub(super) fn map_ended(&mut self, map: u32) {
        let row = self.run.maps.get_mut(map);
        if row.phase != MapPhase::Running {
            return;
        }
        let status = match (row.cancelled, row.failed) {
            (0, 0) => NodeStatus::Succeeded,
            (0, _) => NodeStatus::Failed,
            (_, _) => NodeStatus::Cancelled,
        };
        if status == NodeStatus::Succeeded && row.has_results {
            row.phase = MapPhase::Merging;
            self.run.agenda.push(Work::Merge { map });
            return;
        }
        let why = match status {
            NodeStatus::Failed => Why::ItemsFailed,
            NodeStatus::Cancelled => Why::RunStopped,
            _ => Why::Plain,
        };
        self.end_map(map, status, why);
    }

    pub(super) fn end_map(&mut self, map: u32, status: NodeStatus, why: Why) {
        let row = self.run.maps.get_mut(map);
        row.phase = MapPhase::Ended;
        row.merge = Merge::default();
        let node = row.node;
        self.end_node(node, status, why, NONE);
    }
}
