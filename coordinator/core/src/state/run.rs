//! The row of a run: its graph, its columns of nodes, frames, trials and maps, and how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::graph::{Graph, NodeKind, Section, Task};
use dagmar_common::ids::{Digest, LogIndex, NodeNo, RunId, RunNo, SectionNo, TaskNo};
use dagmar_common::record::{Counts, RunStatus};
use dagmar_common::time::WallTime;
use dagmar_common::value::Value;
use dagmar_common::view::Scope;

use super::column::{Column, Freeze};
use super::frame::FrameRow;
use super::map::MapRow;
use super::node::{NONE, NodeRow, PastNode};
use super::trial::TrialRow;

/// A graph as runs share it.
#[derive(Debug)]
pub(crate) struct SharedGraph {
    pub graph: Arc<Graph>,
    pub digest: Digest,
    pub tasks: Vec<Arc<Task>>,
    /// Steps of one frame of each section.
    pub steps: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct RunRow {
    pub number: RunNo,
    pub id: RunId,
    pub tag: Arc<str>,
    pub graph: Arc<SharedGraph>,
    /// The class of each task's queue, and the queue of each task.
    pub queues: Vec<Queue>,
    pub queue_of: Arc<[u32]>,
    pub initial: Arc<Scope>,
    pub context: Value,
    pub status: RunStatus,
    pub stop: Option<Stop>,
    pub submitted: WallTime,
    pub ended: Option<WallTime>,
    pub first_index: LogIndex,
    pub last_index: LogIndex,
    pub counts: Counts,
    /// Live leases.
    pub leases: u32,
    pub limit_timer: u32,
    pub nodes: Column<NodeRow, 512>,
    pub frames: Column<FrameRow, 128>,
    pub trials: Column<TrialRow, 512>,
    pub maps: Column<MapRow, 8>,
    pub past: Column<PastNode, 512>,
    /// Frames whose rows wait to be used again, by section.
    pub free: BTreeMap<u32, Vec<u32>>,
    /// What is left to do, the next at the end.
    pub agenda: Vec<Work>,
    /// It stands in the round of runs that have an agenda.
    pub is_in_round: bool,
    /// Its place among the classes is to be looked at in this entry.
    pub is_touched: bool,
}

/// Why nothing of a run is started any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled { reason: Arc<str> },
    TimeLimit,
}

/// Ready nodes of one run and one class, first come first served.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub class: u32,
    pub head: u32,
    pub tail: u32,
    pub length: u32,
    /// The leases of its run as the class knows them; follows from the rest between entries.
    pub key: Option<u32>,
}

/// One thing on a run's agenda; cursors, so that each turn is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nodes of a new frame that wait for nothing begin, from this one on.
    Begin {
        frame: u32,
        from: u32,
    },
    /// A node has ended: its edges end, from this one on.
    Ended {
        node: u32,
        edge: u32,
    },
    FrameEnded {
        frame: u32,
    },
    /// More items of a map get frames.
    Open {
        map: u32,
    },
    MapEnded {
        map: u32,
    },
    Merge {
        map: u32,
    },
    /// The run stops: what has not ended is looked at, from this row on.
    Sweep {
        row: u32,
    },
}

impl Queue {
    pub fn new(class: u32) -> Self {
        Queue { class, head: NONE, tail: NONE, length: 0, key: None }
    }
}

impl RunRow {
    pub fn section(&self, frame: u32) -> &Section {
        self.graph.graph.section(self.frames.get(frame).section)
    }

    /// The section and the node behind a row.
    pub fn place(&self, row: u32) -> (SectionNo, NodeNo) {
        let frame = self.frames.get(self.nodes.get(row).frame);
        (frame.section, frame.node(row))
    }

    pub fn kind(&self, row: u32) -> NodeKind {
        let (section, node) = self.place(row);
        self.graph.graph.section(section).kind(node)
    }

    pub fn task_of(&self, row: u32) -> Option<TaskNo> {
        match self.kind(row) {
            NodeKind::Task(task) => Some(task),
            _ => None,
        }
    }

    pub fn queue_place(&self, task: TaskNo) -> usize {
        self.queue_of[task.0 as usize] as usize
    }

    /// Appends a ready node to its queue.
    pub fn enqueue(&mut self, queue: usize, row: u32) {
        let tail = self.queues[queue].tail;
        let node = self.nodes.get_mut(row);
        node.link = NONE;
        node.other = tail;
        match tail {
            NONE => self.queues[queue].head = row,
            tail => self.nodes.get_mut(tail).link = row,
        }
        let queue = &mut self.queues[queue];
        queue.tail = row;
        queue.length += 1;
    }

    /// Takes a ready node out of its queue, wherever it stands in it.
    pub fn dequeue(&mut self, queue: usize, row: u32) {
        let node = self.nodes.get_mut(row);
        let (before, after) = (node.other, node.link);
        node.other = NONE;
        node.link = NONE;
        match before {
            NONE => self.queues[queue].head = after,
            before => self.nodes.get_mut(before).link = after,
        }
        match after {
            NONE => self.queues[queue].tail = before,
            after => self.nodes.get_mut(after).other = before,
        }
        self.queues[queue].length -= 1;
    }

    /// Drops so many pages of each of its columns; false once nothing is left.
    pub fn shed(&mut self, pages: usize) -> bool {
        self.nodes.shed(pages)
            | self.frames.shed(pages)
            | self.trials.shed(pages)
            | self.maps.shed(pages)
            | self.past.shed(pages)
    }

    pub fn is_live(&self) -> bool {
        self.status == RunStatus::Running
    }
}

impl Freeze for RunRow {
    fn freeze(&mut self) {
        self.nodes.share_if_long();
        self.frames.share_if_long();
        self.trials.share_if_long();
        self.maps.share_if_long();
        self.past.share_if_long();
    }
}

impl Freeze for Option<Box<RunRow>> {
    fn freeze(&mut self) {
        if let Some(run) = self {
            run.freeze();
        }
    }
}

impl SharedGraph {
    pub fn new(graph: Graph, digest: Digest) -> Self {
        let tasks = graph.tasks.iter().cloned().map(Arc::new).collect();
        let steps = graph.sections.iter().map(|section| section.step_count() as u64).collect();
        SharedGraph { graph: Arc::new(graph), digest, tasks, steps }
    }
}
