//! The rules of a run: which node runs, how it ends, what follows, one turn at a time.

pub(crate) mod end;
pub(crate) mod frame;
pub(crate) mod items;
pub(crate) mod join;
pub(crate) mod map;
pub(crate) mod merge;

use dagmar_common::ids::LogIndex;
use dagmar_common::limits::EDGES_PER_UNIT;
use dagmar_common::record::{Counts, NodeStatus};
use dagmar_common::time::{LogTime, WallTime};

use crate::effect::{Applied, Effect, Event};
use crate::state::lease::Leases;
use crate::state::node::{Marks, NONE};
use crate::state::run::{RunRow, Work};
use crate::state::timer::Timers;

/// Rows that a sweep passes for one unit.
const SWEEP_ROWS_PER_UNIT: u32 = EDGES_PER_UNIT;

/// What is true of the entry that is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub index: LogIndex,
    pub now: LogTime,
    pub wall: WallTime,
}

/// One run in the hands of the rules, with all that they may change besides it.
pub(crate) struct Turn<'a> {
    pub run: &'a mut RunRow,
    pub slot: u32,
    pub timers: &'a mut Timers,
    pub leases: &'a mut Leases,
    pub ready_sequence: &'a mut u64,
    pub touched: &'a mut Vec<u32>,
    pub out: &'a mut Applied,
    pub entry: Entry,
    /// Of all workers, in thousandths of a cpu.
    pub capacity: u64,
    pub units: u32,
}

impl Turn<'_> {
    /// Works on the run's agenda until it is empty or `units` are used.
    pub fn work(&mut self, units: u32) {
        let end = self.units + units;
        while self.units < end {
            let Some(work) = self.run.agenda.pop() else { return };
            self.units += 1;
            match work {
                Work::Begin { frame, from } => self.begin(frame, from, end),
                Work::Ended { node, edge } => self.end_edges(node, edge, end),
                Work::FrameEnded { frame } => self.frame_ended(frame),
                Work::Open { map } => self.open_item(map),
                Work::MapEnded { map } => self.map_ended(map),
                Work::Merge { map } => self.merge(map, end),
                Work::Sweep { row } => self.sweep(row, end),
            }
        }
    }

    /// The run stops: everything that waits for a worker or a timer ends, what runs is told.
    fn sweep(&mut self, mut row: u32, end: u32) {
        let mut passed = 0;
        while (row as usize) < self.run.nodes.len() {
            if passed >= SWEEP_ROWS_PER_UNIT {
                passed = 0;
                self.units += 1;
            }
            if self.units >= end {
                self.run.agenda.push(Work::Sweep { row });
                return;
            }
            passed += 1;
            let node = self.run.nodes.get(row);
            let is_open = !self.run.frames.get(node.frame).is_free();
            let waits = match node.status {
                NodeStatus::Ready => true,
                NodeStatus::Waiting => node.marks.has(Marks::BACKOFF),
                _ => false,
            };
            row += 1;
            if is_open && (waits || node.status == NodeStatus::Leased) {
                // What ends here leaves work of its own, which must come before the sweep goes on.
                self.units += 1;
                self.run.agenda.push(Work::Sweep { row });
                return self.stop_node(row - 1);
            }
        }
    }

    pub fn touch(&mut self) {
        if !self.run.is_touched {
            self.run.is_touched = true;
            self.touched.push(self.slot);
        }
    }

    /// A node that is no terminal goes from one status to another: counts and whoever watches.
    pub fn tell(&mut self, row: u32, from: NodeStatus, to: NodeStatus) {
        let node = self.run.nodes.get(row);
        let frame = self.run.frames.get(node.frame);
        let (section, no) = (frame.section, frame.node(row));
        if self.run.graph.graph.section(section).kind(no).is_terminal() {
            return;
        }
        let attempt = match to {
            NodeStatus::Skipped => 0,
            NodeStatus::Failed => u32::from(node.failed),
            _ => u32::from(node.failed) + 1,
        };
        let event = Event::Node {
            run: self.run.number,
            section,
            node: no,
            indices: frame.indices.clone(),
            status: to,
            attempt,
            at: self.entry.wall,
        };
        self.out.effects.push(Effect::Event(event));
        let map = frame.map;
        self.recount(map, |counts| {
            *place(counts, from) -= 1;
            *place(counts, to) += 1;
        });
    }

    /// Changes the counts of the run and of every map from `map` outwards.
    pub fn recount(&mut self, mut map: u32, change: impl Fn(&mut Counts)) {
        change(&mut self.run.counts);
        while map != NONE {
            let row = self.run.maps.get_mut(map);
            change(&mut row.counts);
            let node = row.node;
            map = self.run.frames.get(self.run.nodes.get(node).frame).map;
        }
    }
}

fn place(counts: &mut Counts, status: NodeStatus) -> &mut u64 {
    match status {
        NodeStatus::Waiting => &mut counts.waiting,
        NodeStatus::Ready | NodeStatus::Leased => &mut counts.active,
        NodeStatus::Succeeded => &mut counts.succeeded,
        NodeStatus::Failed => &mut counts.failed,
        NodeStatus::Skipped => &mut counts.skipped,
        NodeStatus::Cancelled => &mut counts.cancelled,
    }
}
