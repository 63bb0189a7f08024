//! The nodes of a run as its run log tells them, one after the other, whatever their number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::graph::{CompositeMode, NodeKind};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, SectionNo, WorkerNo};
use dagmar_common::lease::LogPlace;
use dagmar_common::limits::{ALIKE_ITEMS_MAX, ATTEMPT_SEEN_BYTES_MAX};
use dagmar_common::record::{
    Alike, AttemptRecord, AttemptStatus, Entry, FrameRecord, NodeRecord, NodeStatus,
};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::value::Value;
use dagmar_common::view::{Rank, View};

use super::Begun;
use crate::rules::end::rank_of;
use crate::rules::items;
use crate::state::State;
use crate::state::node::{NONE, PastNode, Why};
use crate::state::run::RunRow;
use crate::state::trial::TrialRow;

/// What comes next in a map.
enum Next {
    Frame(FrameRecord, Block),
    Alike(Alike),
}

/// Steps in order of declaration, each composite followed by its frames. Terminals are no steps.
pub struct NodeRecords<'a> {
    state: &'a State,
    run: &'a RunRow,
    begun: Option<&'a Begun>,
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
    /// What the composites around it saw, the outermost first.
    around: Arc<[View]>,
    /// What a record of this frame has told: a name, and the place of who wrote it.
    told: BTreeSet<(Arc<str>, Rank)>,
    /// Parts of views of which all is told, by identity: they are only passed over.
    passed: BTreeSet<usize>,
}

#[derive(Clone, Copy)]
pub(super) enum Source {
    /// An open frame: its rows from here.
    Open { first: u32 },
    /// A frame that has ended: its block, and when it ended if the block does not say.
    Past { block: u32, ended: Option<u64> },
}

/// The items of one map.
struct Items {
    map: u32,
    next: u32,
    /// Where the text of item `next` begins in the list.
    cursor: u32,
    /// The range of ended items that is under way, and its end.
    range: Option<(Source, u32)>,
    /// Frames that are open, by item.
    open: BTreeMap<u32, u32>,
    /// What its frames see besides what is written in them, the outermost first.
    around: Arc<[View]>,
}

impl<'a> NodeRecords<'a> {
    pub(super) fn new(state: &'a State, run: &'a RunRow, begun: Option<&'a Begun>) -> Self {
        let source = Source::Open { first: run.frames.get(0).first };
        let root = Block::new(source, SectionNo(0), Arc::default());
        NodeRecords { state, run, begun, stack: vec![Level::Block(root)] }
    }
}

impl Iterator for NodeRecords<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
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
                        let seen = &self.run.maps.get(map).seen;
                        let around = block.around.iter().chain([seen]).cloned().collect();
                        self.stack.push(Level::Items(Items::new(self.run, map, around)));
                    }
                    let told = match self.begun {
                        Some(begun) => begun.told(record),
                        None => record,
                    };
                    return Some(Entry::Node(told));
                }
                Level::Items(items) => match items.step(self.state, self.run) {
                    Some(Next::Frame(frame, block)) => {
                        self.stack.push(Level::Block(block));
                        return Some(Entry::Frame(frame));
                    }
                    Some(Next::Alike(alike)) => return Some(Entry::Alike(alike)),
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
        let around = Arc::default();
        let (told, passed) = (BTreeSet::new(), BTreeSet::new());
        Block { source, section, next: 0, indices, around, told, passed }
    }

    /// All that a step saw beyond the run's initial values; where that is much, what no earlier
    /// record of this frame has told, for a long chain would else be told again at each link.
    fn seen(&mut self, view: &View) -> Vec<(Arc<str>, Value)> {
        let (mut all, mut room) = (BTreeMap::new(), ATTEMPT_SEEN_BYTES_MAX);
        let views = self.around.iter().chain([view]);
        let is_whole = views.into_iter().all(|view| gather(view, &mut all, &mut room));
        let mut untold = Vec::new();
        self.tell(view, &mut untold);
        if is_whole { all.into_iter().collect() } else { untold }
    }

    /// What of `view` no record of this frame has told yet. Parts that are told whole are skipped
    /// by identity, so a view that many steps share costs once; what is told does not depend on
    /// what is shared.
    fn tell(&mut self, view: &View, untold: &mut Vec<(Arc<str>, Value)>) {
        let (Some(identity), Some((name, rank, value, left, right))) =
            (view.identity(), view.parts())
        else {
            return;
        };
        if !self.passed.insert(identity) {
            return;
        }
        self.tell(left, untold);
        if self.told.insert((name.clone(), rank)) {
            untold.push((name.clone(), value.clone()));
        }
        self.tell(right, untold);
    }
}

/// Puts what `view` holds over what is there; false where it is more than there is room for.
fn gather(view: &View, all: &mut BTreeMap<Arc<str>, Value>, room: &mut usize) -> bool {
    let Some((name, _, value, left, right)) = view.parts() else { return true };
    let Some(rest) = room.checked_sub(name.len() + value.spelled().len() + 1) else { return false };
    *room = rest;
    all.insert(name.clone(), value.clone());
    gather(left, all, room) && gather(right, all, room)
}

impl Items {
    fn new(run: &RunRow, map: u32, around: Arc<[View]>) -> Self {
        let mut open = BTreeMap::new();
        if run.maps.get(map).open > 0 {
            let frames = (0..).zip(run.frames.iter());
            let mine = frames.filter(|(_, frame)| !frame.is_free() && frame.map == map);
            open.extend(mine.map(|(number, frame)| (frame.item, number)));
        }
        let cursor = items::begin(run.maps.get(map).items.spelled()).unwrap_or(0);
        Items { map, next: 0, cursor, range: None, open, around }
    }

    /// The next frame, open or ended. Items that never got one are only a count.
    fn step(&mut self, state: &State, run: &RunRow) -> Option<Next> {
        let map = run.maps.get(self.map);
        let item = self.next;
        if item >= map.next {
            return None;
        }
        if let Some(frame) = self.open.get(&item) {
            let source = Source::Open { first: run.frames.get(*frame).first };
            return Some(self.frame(run, source, NodeStatus::Leased));
        }
        if self.range.is_none_or(|(_, end)| item >= end) {
            let past = map.past_from(item)?;
            let ended = (!past.is_special).then_some(past.ended);
            let source = Source::Past { block: past.block, ended };
            self.range = Some((source, item + past.count));
        }
        let (source, end) = self.range?;
        let status = run.frame_status(source, map.body);
        if end - item > 1 && !run.holds_composites(map.body) {
            return Some(Next::Alike(self.alike(state, run, source, end, status)));
        }
        Some(self.frame(run, source, status))
    }

    fn frame(&mut self, run: &RunRow, source: Source, status: NodeStatus) -> Next {
        let map = run.maps.get(self.map);
        let indices: Arc<[u32]> = map.indices.iter().copied().chain([self.next]).collect();
        let composite = run.composite_path(self.map);
        let path = format!("{composite}.{}", self.next).into();
        let frame = FrameRecord { path, label: self.take_label(run), status };
        let block = Block::new(source, map.body, indices);
        Next::Frame(frame, Block { around: self.around.clone(), ..block })
    }

    /// Items that ended alike, told as one; the rest of a long range comes next.
    fn alike(
        &mut self,
        state: &State,
        run: &RunRow,
        source: Source,
        end: u32,
        status: NodeStatus,
    ) -> Alike {
        let map = run.maps.get(self.map);
        let first = self.next;
        let count = (end - first).min(ALIKE_ITEMS_MAX);
        let labels = (0..count).map(|_| self.take_label(run)).collect();
        let section = run.graph.graph.section(map.body);
        let block = Block::new(source, map.body, Arc::default());
        let mut block = Block { around: self.around.clone(), ..block };
        let steps = section.nodes().filter(|no| !section.kind(*no).is_terminal());
        let nodes = steps.map(|no| {
            let record = run.node_record(state, &mut block, no);
            NodeRecord { path: section.name(no).into(), ..record }
        });
        let composite = run.composite_path(self.map).into();
        Alike { composite, first, count, labels, status, nodes: nodes.collect() }
    }

    /// The text of item `next`, a string bare; then the next item is next.
    fn take_label(&mut self, run: &RunRow) -> Arc<str> {
        self.next += 1;
        let list = run.maps.get(self.map).items.spelled();
        let Some((start, end, after)) = items::next(list, self.cursor) else {
            return Arc::default();
        };
        self.cursor = after;
        let item = &list[start as usize..end as usize];
        match item.starts_with('"') {
            true => Value::from_spelled(item).bare().into(),
            false => item.into(),
        }
    }
}

impl RunRow {
    /// One step, in the frame that `indices` name; None where that frame is not, or not yet.
    pub(super) fn step_record(
        &self,
        state: &State,
        section: SectionNo,
        node: NodeNo,
        indices: &Arc<[u32]>,
    ) -> Option<NodeRecord> {
        let source = self.source_of(section, indices)?;
        let mut block = Block::new(source, section, indices.clone());
        Some(self.node_record(state, &mut block, node))
    }

    fn source_of(&self, section: SectionNo, indices: &[u32]) -> Option<Source> {
        let [around @ .., item] = indices else {
            return Some(Source::Open { first: self.frames.get(0).first });
        };
        let open = self.frames.iter().find(|frame| {
            !frame.is_free() && frame.section == section && *frame.indices == *indices
        });
        if let Some(frame) = open {
            return Some(Source::Open { first: frame.first });
        }
        let (above, composite) = self.graph.graph.section(section).parent()?;
        let map = self.facts(self.source_of(above, around)?, composite).map;
        if map == NONE {
            return None;
        }
        let map = self.maps.get(map);
        let past = (0..=*item).rev().find_map(|first| map.past_from(first))?;
        let ended = (!past.is_special).then_some(past.ended);
        let holds = past.first + past.count > *item;
        holds.then_some(Source::Past { block: past.block, ended })
    }

    fn holds_composites(&self, section: SectionNo) -> bool {
        let section = self.graph.graph.section(section);
        section.nodes().any(|no| matches!(section.kind(no), NodeKind::Composite(_)))
    }

    /// The dot path of the composite whose items these are.
    fn composite_path(&self, map: u32) -> String {
        let row = self.maps.get(map);
        let graph = &self.graph.graph;
        match graph.section(row.body).parent() {
            Some((section, node)) => graph.path(section, node, &row.indices),
            None => String::new(),
        }
    }

    /// How an ended frame ended, from what its nodes say.
    fn frame_status(&self, source: Source, section_no: SectionNo) -> NodeStatus {
        let section = self.graph.graph.section(section_no);
        let mut status = NodeStatus::Succeeded;
        for no in section.nodes() {
            let node = self.facts(source, no).status;
            match section.kind(no) {
                NodeKind::Fail if node == NodeStatus::Succeeded => return NodeStatus::Failed,
                _ if node == NodeStatus::Failed && !section.has_on_failure(no) => {
                    return NodeStatus::Failed;
                }
                _ if node == NodeStatus::Cancelled => status = NodeStatus::Cancelled,
                _ => {}
            }
        }
        status
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
        let mut outputs: Vec<(Arc<str>, Rank, Value)> = Vec::new();
        if is_map {
            let written = &self.maps.get(facts.map).written;
            written.each(&mut |name, rank, value| {
                outputs.push((name.clone(), rank, value.clone()));
            });
        } else if facts.status == NodeStatus::Succeeded {
            let rest = trials.first().and_then(|trial| trial.rest.as_deref());
            let written = rest.iter().flat_map(|rest| &rest.outputs);
            let rank = |way| rank_of(section.rank(no), way);
            outputs.extend(written.map(|one| (one.name.clone(), rank(one.way), one.value.clone())));
        }
        let mut attempts: Vec<_> =
            trials.iter().rev().map(|trial| attempt(state, block, trial)).collect();
        if facts.status == NodeStatus::Leased && !is_map {
            attempts.extend(self.running(state, block, no));
        }
        block.told.extend(outputs.iter().map(|(name, rank, _)| (name.clone(), *rank)));
        NodeRecord {
            path: self.graph.graph.path(block.section, no, &block.indices).into(),
            status: facts.status,
            reason: self.reason(block.source, block.section, no, &facts).into(),
            attempts,
            ended: facts.status.has_ended().then_some(LogIndex(facts.ended)),
            outputs: outputs.into_iter().map(|(name, _, value)| (name, value)).collect(),
            frames: if is_map { self.maps.get(facts.map).count } else { 0 },
        }
    }

    /// The attempt that is under way, as far as the state knows of it.
    fn running(&self, state: &State, block: &mut Block, no: NodeNo) -> Option<AttemptRecord> {
        let Source::Open { first } = block.source else { return None };
        let node = self.nodes.get(first + no.0);
        let lease = state.leases.live(Fence(node.fence))?;
        let parameters = block.seen(&node.view);
        Some(AttemptRecord {
            number: u32::from(node.failed) + 1,
            status: AttemptStatus::Running,
            reason: None,
            began: WallTime::default(),
            took: Span::default(),
            worker: worker_name(state, lease.worker),
            // Where its output will lie is not known yet, but whose it is.
            log: Some(LogPlace { fence: Fence(node.fence), ..LogPlace::default() }),
            last_lines: Arc::default(),
            parameters,
            granted: LogIndex(lease.granted),
            recorded: LogIndex::default(),
        })
    }

    pub(super) fn reason(
        &self,
        source: Source,
        section: SectionNo,
        no: NodeNo,
        facts: &PastNode,
    ) -> String {
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
            Why::UpstreamSkipped => {
                let is_cancelled =
                    self.facts(source, NodeNo(facts.cause)).status == NodeStatus::Cancelled;
                let how = if is_cancelled { "cancelled" } else { "skipped" };
                format!("upstream {how}: {}", name(facts.cause))
            }
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
            Why::Unknown => "it may have run, and may not be started twice".into(),
        }
    }
}

fn attempt(state: &State, block: &mut Block, trial: &TrialRow) -> AttemptRecord {
    let parameters = block.seen(&trial.seen);
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
