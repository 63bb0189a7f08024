//! The invariants of one run: frames, nodes, queues, maps and counts agree with one another.

use dagmar_common::graph::NodeKind;
use dagmar_common::record::{Counts, NodeStatus};

use super::holds;
use crate::state::frame::FrameRow;
use crate::state::map::MapPhase;
use crate::state::node::{Marks, NONE};
use crate::state::run::RunRow;

impl RunRow {
    pub(super) fn check(&self) -> Result<(), String> {
        let mut under = vec![Counts::default(); self.maps.len()];
        let mut open = vec![0_u32; self.maps.len()];
        let mut all = Counts::default();
        let (mut ready, mut waits_for_something) = (0, false);
        for (number, frame) in (0..).zip(self.frames.iter()) {
            if frame.is_free() {
                continue;
            }
            let (own, left) = self.check_frame(number, frame)?;
            holds!(frame.left == left, "frame {number}: {left} nodes are left");
            ready += own.ready;
            waits_for_something |= own.ready + own.leased + own.backoffs > 0;
            add(&mut all, &own.counts);
            let mut map = frame.map;
            if map != NONE {
                open[map as usize] += 1;
            }
            while map != NONE {
                add(&mut under[map as usize], &own.counts);
                map = self.frames.get(self.nodes.get(self.maps.get(map).node).frame).map;
            }
        }
        self.check_queues(ready)?;
        if self.is_live() {
            let moves = waits_for_something || !self.agenda.is_empty();
            holds!(moves, "it waits for nothing and has not ended");
        }
        self.check_maps(&open)?;
        let ended = self.ended_items();
        for (number, map) in (0..).zip(self.maps.iter()).filter(|(_, map)| is_live(map.phase)) {
            let mut expected = under[number as usize];
            add(&mut expected, &ended[number as usize]);
            holds!(map.counts == expected, "map {number}: {:?} is {expected:?}", map.counts);
        }
        let root = (0..).zip(self.maps.iter()).filter(|(number, map)| {
            self.frames.get(self.nodes.get(map.node).frame).is_root()
                && self.is_map(map.node, *number)
        });
        root.for_each(|(number, _)| add(&mut all, &ended[number as usize]));
        holds!(self.counts == all, "it counts {:?} and has {all:?}", self.counts);
        Ok(())
    }

    pub(super) fn leased_tasks(&self) -> u32 {
        let open = self.frames.iter().filter(|frame| !frame.is_free());
        open.map(|frame| {
            let length = self.graph.graph.section(frame.section).len();
            let rows = frame.first..frame.first + length;
            let leased = rows.filter(|row| {
                let node = self.nodes.get(*row);
                node.status == NodeStatus::Leased && self.task_of(*row).is_some()
            });
            leased.count() as u32
        })
        .sum()
    }

    fn check_frame(&self, number: u32, frame: &FrameRow) -> Result<(Own, u32), String> {
        let section = self.graph.graph.section(frame.section);
        let (mut own, mut left) = (Own::default(), 0);
        for no in section.nodes() {
            let row = frame.row(no);
            let node = self.nodes.get(row);
            let name = section.name(no);
            holds!(node.frame == number, "{name} in frame {number} says {}", node.frame);
            holds!(node.arrived <= section.incoming(no), "{name} heard too many edges");
            left += u32::from(!node.status.has_ended());
            let decided = node.arrived == section.incoming(no);
            if node.status != NodeStatus::Waiting {
                holds!(decided, "{name} in frame {number} went ahead of its edges");
            }
            let is_backoff = node.status == NodeStatus::Waiting && node.marks.has(Marks::BACKOFF);
            own.backoffs += u32::from(is_backoff);
            match section.kind(no) {
                NodeKind::Success | NodeKind::Fail => continue,
                NodeKind::Task(_) => {
                    own.ready += u32::from(node.status == NodeStatus::Ready);
                    own.leased += u32::from(node.status == NodeStatus::Leased);
                }
                NodeKind::Stub | NodeKind::Composite(_) => {}
            }
            let counts = &mut own.counts;
            match node.status {
                NodeStatus::Waiting => counts.waiting += 1,
                NodeStatus::Ready | NodeStatus::Leased => counts.active += 1,
                NodeStatus::Succeeded => counts.succeeded += 1,
                NodeStatus::Failed => counts.failed += 1,
                NodeStatus::Skipped => counts.skipped += 1,
                NodeStatus::Cancelled => counts.cancelled += 1,
            }
        }
        Ok((own, left))
    }

    fn check_queues(&self, ready: u32) -> Result<(), String> {
        let mut queued = 0;
        for queue in &self.queues {
            let (mut row, mut before, mut sequence, mut length) = (queue.head, NONE, 0, 0);
            while row != NONE {
                let node = self.nodes.get(row);
                holds!(node.status == NodeStatus::Ready, "row {row} is queued and not ready");
                holds!(node.other == before, "row {row} is linked wrongly");
                holds!(node.at > sequence, "row {row} became ready before the one before it");
                (sequence, before, row) = (node.at, row, node.link);
                length += 1;
            }
            holds!(queue.tail == before, "a queue does not end where it says");
            holds!(queue.length == length, "a queue of {length} says {}", queue.length);
            queued += length;
        }
        holds!(queued == ready, "{ready} nodes are ready and {queued} are queued");
        Ok(())
    }

    fn check_maps(&self, open: &[u32]) -> Result<(), String> {
        for (number, map) in self.maps.iter().enumerate() {
            holds!(map.open == open[number], "map {number} has {} frames open", open[number]);
            let kept: u32 = map.past.iter().map(|past| past.count).sum();
            holds!(map.open + kept == map.next, "map {number}: {kept} items are kept");
            let dropped = if map.cursor == NONE { map.count - map.next } else { 0 };
            holds!(map.ended == kept + dropped, "map {number}: {} items ended", map.ended);
            holds!(map.phase == MapPhase::Running || map.all_ended(), "map {number} ended early");
            let is_running = self.is_map(map.node, number as u32) && is_live(map.phase);
            let sees = &self.nodes.get(map.node).view;
            holds!(
                !is_running || sees.is_same(&map.seen),
                "map {number} does not see what its node does"
            );
        }
        Ok(())
    }

    /// Of each map, the nodes of items that have no frame: those that ended, and those to come.
    fn ended_items(&self) -> Vec<Counts> {
        let mut sums: Vec<Counts> = Vec::new();
        // A map starts after the one around it, so those inside are summed up first from behind.
        sums.resize(self.maps.len(), Counts::default());
        for number in (0..self.maps.len() as u32).rev() {
            let map = self.maps.get(number);
            let section = self.graph.graph.section(map.body);
            let mut sum = Counts::default();
            for past in map.past.iter() {
                for no in section.nodes().filter(|no| !section.kind(*no).is_terminal()) {
                    let node = self.past.get(past.block + no.0);
                    let many = u64::from(past.count);
                    match node.status {
                        NodeStatus::Succeeded => sum.succeeded += many,
                        NodeStatus::Failed => sum.failed += many,
                        NodeStatus::Skipped => sum.skipped += many,
                        NodeStatus::Cancelled => sum.cancelled += many,
                        _ => {}
                    }
                    if let (NodeKind::Composite(_), false) = (section.kind(no), node.map == NONE) {
                        let inner = sums[node.map as usize];
                        add(&mut sum, &inner);
                    }
                }
            }
            let steps = u64::from(map.count - map.next) * self.graph.steps[map.body.0 as usize];
            match map.cursor == NONE {
                true => sum.cancelled += steps,
                false => sum.waiting += steps,
            }
            sums[number as usize] = sum;
        }
        self.add_open_inner(&mut sums);
        sums
    }

    /// Maps in open frames of other maps count there too.
    fn add_open_inner(&self, sums: &mut [Counts]) {
        for number in self.open_nested().into_iter().rev() {
            let around = self.frames.get(self.nodes.get(self.maps.get(number).node).frame).map;
            let inner = sums[number as usize];
            add(&mut sums[around as usize], &inner);
        }
    }

    /// Maps whose node lies in an open frame of another map.
    fn open_nested(&self) -> Vec<u32> {
        let numbered = (0..).zip(self.maps.iter());
        let nested = numbered.filter(|(number, map)| {
            let frame = self.frames.get(self.nodes.get(map.node).frame);
            !frame.is_free() && !frame.is_root() && self.is_map(map.node, *number)
        });
        nested.map(|(number, _)| number).collect()
    }

    /// The row is still the node of that map, and not of a later frame.
    fn is_map(&self, row: u32, map: u32) -> bool {
        let node = self.nodes.get(row);
        node.link == map && matches!(self.kind(row), NodeKind::Composite(_))
    }
}

#[derive(Default)]
struct Own {
    counts: Counts,
    ready: u32,
    leased: u32,
    backoffs: u32,
}

fn is_live(phase: MapPhase) -> bool {
    phase != MapPhase::Ended
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.waiting += more.waiting;
    sum.active += more.active;
    sum.succeeded += more.succeeded;
    sum.failed += more.failed;
    sum.skipped += more.skipped;
    sum.cancelled += more.cancelled;
}
