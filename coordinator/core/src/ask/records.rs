//! The nodes of a run as its run log tells them, one after the other, whatever their number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::graph::{CompositeMode, NodeKind};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, SectionNo, WorkerNo};
use dagmar_common::record::{AttemptRecord, AttemptStatus, NodeRecord, NodeStatus};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::value::Value;
use dagmar_common::view::View;

use crate::state::State;
use crate::state::node::{NONE, PastNode, Why};
use crate::state::run::RunRow;
use crate::state::trial::TrialRow;

/// Steps in order of declaration, each composite followed by its frames. Terminals are no steps.
pub struct NodeRecords<'a> {
    state: &'a State,
    run: &'a RunRow,
    /// Innermost last.
    stack: Vec<Level>,
}

enum Level {
    Block(Block),
    Items(Items),
}

/// The nodes of one frame.
struct Block {
    source: Source,
    section: SectionNo,
    next: u32,
    indices: Arc<[u32]>,
    /// Values and parts of views that a record of this frame has told.
    told: BTreeSet<usize>,
}

#[derive(Clone, Copy)]
enum Source {
    /// An open frame: its rows from here.
    Open { first: u32 },
    /// A frame that has ended: its block, and when it ended if the block does not say.
    Past { block: u32, ended: Option<u64> },
}

/// The items of one map.
struct Items {
    map: u32,
    next: u32,
    /// The range of ended items that is under way, and its end.
    range: Option<(Source, u32)>,
    /// Frames that are open, by item.
    open: BTreeMap<u32, u32>,
}

impl<'a> NodeRecords<'a> {
    pub(super) fn new(state: &'a State, run: &'a RunRow) -> Self {
        let source = Source::Open { first: run.frames.get(0).first };
        let root = Block::new(source, SectionNo(0), Arc::default());
        NodeRecords { state, run, stack: vec![Level::Block(root)] }
    }
}

impl Iterator for NodeRecords<'_> {
    type Item = NodeRecord;

    fn next(&mut self) -> Option<NodeRecord> {
        loop {
            match self.stack.last_mut()? {
                Level::Block(block) => {
                    let section = self.run.graph.graph.section(block.section);
                    if block.next == section.len() {
                        self.stack.pop();
                        continue;
                    }
                    let no = NodeNo(block.next);
                    block.next += 1;
                    let kind = section.kind(no);
                    if kind.is_terminal() {
                        continue;
                    }
                    let record = self.run.node_record(self.state, block, no);
                    let map = self.run.facts(block.source, no).map;
                    if map != NONE && matches!(kind, NodeKind::Composite(_)) {
                        self.stack.push(Level::Items(Items::new(self.run, map)));
                    }
                    return Some(record);
                }
                Level::Items(items) => match items.step(self.run) {
                    Some(block) => self.stack.push(Level::Block(block)),
                    None => {
                        self.stack.pop();
                    }
                },
            }
        }
    }
}

impl Block {
    fn new(source: Source, section: SectionNo, indices: Arc<[u32]>) -> Self {
        Block { source, section, next: 0, indices, told: BTreeSet::new() }
    }

    /// What of `view` no record of this frame has told yet. Parts that are told whole are skipped
    /// by identity, so a view that many steps share costs once.
    fn tell(&mut self, view: &View, untold: &mut Vec<(Arc<str>, Value)>) {
        let (Some(identity), Some((name, _, value, left, right))) = (view.identity(), view.parts())
        else {
            return;
        };
        if !self.told.insert(identity) {
            return;
        }
        self.tell(left, untold);
        if self.told.insert(value.spelled().as_ptr() as usize) {
            untold.push((name.clone(), value.clone()));
        }
        self.tell(right, untold);
    }
}

impl Items {
    fn new(run: &RunRow, map: u32) -> Self {
        let mut open = BTreeMap::new();
        if run.maps.get(map).open > 0 {
            let frames = (0..).zip(run.frames.iter());
            let mine = frames.filter(|(_, frame)| !frame.is_free() && frame.map == map);
            open.extend(mine.map(|(number, frame)| (frame.item, number)));
        }
        Items { map, next: 0, range: None, open }
    }

    /// The next frame, open or ended. Items that never got one are only a count.
    fn step(&mut self, run: &RunRow) -> Option<Block> {
        let map = run.maps.get(self.map);
        let item = self.next;
        if item >= map.next {
            return None;
        }
        self.next += 1;
        let indices = map.indices.iter().copied().chain([item]).collect();
        if let Some((source, end)) = self.range
            && item < end
        {
            return Some(Block::new(source, map.body, indices));
        }
        if let Some(frame) = self.open.get(&item) {
            let first = run.frames.get(*frame).first;
            return Some(Block::new(Source::Open { first }, map.body, indices));
        }
        let past = map.past_from(item)?;
        let ended = (!past.is_special).then_some(past.ended);
        let source = Source::Past { block: past.block, ended };
        self.range = Some((source, item + past.count));
        Some(Block::new(source, map.body, indices))
    }
}

impl RunRow {
    /// What is known of a node, wherever it stands.
    fn facts(&self, source: Source, no: NodeNo) -> PastNode {
        match source {
            Source::Open { first } => PastNode::of(self.nodes.get(first + no.0)),
            Source::Past { block, ended } => {
                let node = self.past.get(block + no.0).clone();
                PastNode { ended: ended.unwrap_or(node.ended), ..node }
            }
        }
    }

    fn node_record(&self, state: &State, block: &mut Block, no: NodeNo) -> NodeRecord {
        let facts = self.facts(block.source, no);
        let section = self.graph.graph.section(block.section);
        let is_map = matches!(section.kind(no), NodeKind::Composite(_)) && facts.map != NONE;
        let mut trials = Vec::new();
        let mut trial = facts.trials;
        while trial != NONE {
            let row = self.trials.get(trial);
            trials.push(row);
            trial = row.previous;
        }
        let mut outputs: Vec<(Arc<str>, Value)> = Vec::new();
        if is_map {
            let written = &self.maps.get(facts.map).written;
            written.each(&mut |name, _, value| outputs.push((name.clone(), value.clone())));
        } else if facts.status == NodeStatus::Succeeded {
            let rest = trials.first().and_then(|trial| trial.rest.as_deref());
            let written = rest.iter().flat_map(|rest| &rest.outputs);
            outputs.extend(written.map(|one| (one.name.clone(), one.value.clone())));
        }
        let mut attempts: Vec<_> =
            trials.iter().rev().map(|trial| attempt(state, block, trial)).collect();
        if facts.status == NodeStatus::Leased && !is_map {
            attempts.extend(self.running(state, block, no));
        }
        block.told.extend(outputs.iter().map(|(_, value)| value.spelled().as_ptr() as usize));
        NodeRecord {
            path: self.graph.graph.path(block.section, no, &block.indices).into(),
            status: facts.status,
            reason: self.reason(block.section, no, &facts).into(),
            attempts,
            ended: facts.status.has_ended().then_some(LogIndex(facts.ended)),
            outputs,
            frames: if is_map { self.maps.get(facts.map).count } else { 0 },
        }
    }

    /// The attempt that is under way, as far as the state knows of it.
    fn running(&self, state: &State, block: &mut Block, no: NodeNo) -> Option<AttemptRecord> {
        let Source::Open { first } = block.source else { return None };
        let node = self.nodes.get(first + no.0);
        let lease = state.leases.live(Fence(node.fence))?;
        let mut parameters = Vec::new();
        block.tell(&node.view, &mut parameters);
        Some(AttemptRecord {
            number: u32::from(node.failed) + 1,
            status: AttemptStatus::Running,
            reason: None,
            began: WallTime::default(),
            took: Span::default(),
            worker: worker_name(state, lease.worker),
            log: None,
            last_lines: Arc::default(),
            parameters,
            granted: LogIndex(lease.granted),
            recorded: LogIndex::default(),
        })
    }

    fn reason(&self, section: SectionNo, no: NodeNo, facts: &PastNode) -> String {
        let graph = &self.graph.graph;
        let name = |cause: u32| graph.section(section).name(NodeNo(cause));
        let list = || match graph.section(section).kind(no) {
            NodeKind::Composite(composite) => {
                let CompositeMode::Map { iterate_on, .. } = &graph.composite(composite).mode;
                iterate_on.as_str()
            }
            _ => "",
        };
        if !facts.status.has_ended() {
            return String::new();
        }
        match facts.why {
            Why::Plain => String::new(),
            Why::UpstreamFailed => format!("upstream failed: {}", name(facts.cause)),
            Why::UpstreamSkipped => format!("upstream skipped: {}", name(facts.cause)),
            Why::NotReached => "not reached".into(),
            Why::CrashLimit => "crash limit".into(),
            Why::NoParameter => format!("no parameter `{}` to iterate on", list()),
            Why::NotAList => format!("parameter `{}` is not a list", list()),
            Why::RunStopped => "the run was stopped".into(),
            Why::CancelUnconfirmed => "cancel unconfirmed".into(),
            Why::ItemsFailed if facts.map != NONE => {
                let map = self.maps.get(facts.map);
                format!("{} of {} items failed", map.failed, map.count)
            }
            Why::ItemsFailed => String::new(),
        }
    }
}

fn attempt(state: &State, block: &mut Block, trial: &TrialRow) -> AttemptRecord {
    let mut parameters = Vec::new();
    block.tell(&trial.seen, &mut parameters);
    AttemptRecord {
        number: u32::from(trial.number),
        status: trial.status,
        reason: trial.reason,
        began: trial.began,
        took: trial.took,
        worker: worker_name(state, trial.worker),
        log: trial.rest.as_ref().and_then(|rest| rest.log),
        last_lines: trial.rest.as_ref().map_or_else(Arc::default, |rest| rest.last_lines.clone()),
        parameters,
        granted: LogIndex(trial.granted),
        recorded: LogIndex(trial.recorded),
    }
}

fn worker_name(state: &State, worker: WorkerNo) -> Arc<str> {
    state.workers.get(worker).name.clone()
}
