//! A run's nodes as a stream: each once, in the order of its graph, equal frames told as one.

use std::sync::Arc;

use super::{Counts, NodeRecord, NodeStatus, RunRecord, RunStatus};
use crate::ids::{Digest, RunId};
use crate::limits::ALIKE_ITEMS_MAX;
use crate::time::WallTime;

/// One row of `ls`, and all that is kept of an archived run outside its archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    pub run_id: RunId,
    pub tag: String,
    /// What the pipeline calls itself, or its file.
    pub pipeline: String,
    pub generation: u32,
    pub graph: Digest,
    pub status: RunStatus,
    pub reason: String,
    pub submitted: WallTime,
    pub ended: Option<WallTime>,
    pub counts: Counts,
}

impl RunSummary {
    pub fn of(record: &RunRecord, pipeline: &str) -> Self {
        RunSummary {
            run_id: record.run_id.clone(),
            tag: record.tag.clone(),
            pipeline: pipeline.to_owned(),
            generation: record.generation,
            graph: record.graph,
            status: record.status,
            reason: record.reason.clone(),
            submitted: record.submitted,
            ended: record.ended,
            counts: record.counts,
        }
    }
}

/// One piece of a run's story.
///
/// They come depth first: a composite's node, then for each of its frames the frame and the nodes
/// in it. So whoever renders or stores a story never holds more than the way to where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Node(NodeRecord),
    Frame(FrameRecord),
    /// Frames of one composite, without composites inside, that all went alike.
    Alike(Alike),
}

/// One instance of a section: a map's item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    /// The composite's path and the frame's key: `map.3`.
    pub path: Arc<str>,
    /// The item's text.
    pub label: Arc<str>,
    pub status: NodeStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The composite's path.
    pub composite: Arc<str>,
    pub first: u32,
    pub count: u32,
    /// One for each frame, or none at all.
    pub labels: Vec<Arc<str>>,
    pub status: NodeStatus,
    /// The nodes of one frame; their paths are names in it.
    pub nodes: Vec<NodeRecord>,
}

impl Alike {
    /// It stands for as many frames as one entry may, and each of them has a number and a label,
    /// or none has one. What is read from outside is asked; whoever spreads it is not.
    pub fn is_sound(&self) -> bool {
        self.count <= ALIKE_ITEMS_MAX
            && self.first.checked_add(self.count.saturating_sub(1)).is_some()
            && (self.labels.is_empty() || self.labels.len() == self.count as usize)
    }

    /// The frames one by one, each with its nodes under their full paths.
    pub fn spread(&self) -> impl Iterator<Item = (FrameRecord, Vec<NodeRecord>)> + '_ {
        (0..self.count).map(|place| {
            let path: Arc<str> = format!("{}.{}", self.composite, self.first + place).into();
            let nodes = self.nodes.iter().map(|node| NodeRecord {
                path: format!("{path}.{}", node.path).into(),
                ..node.clone()
            });
            let nodes = nodes.collect();
            let label = self.labels.get(place as usize).cloned().unwrap_or_else(|| "".into());
            (FrameRecord { path, label, status: self.status }, nodes)
        })
    }
}

/// Calls `visit` with every frame and node of a story, those told as one included.
pub fn spread<E>(entry: Entry, visit: &mut dyn FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
    let Entry::Alike(alike) = entry else { return visit(entry) };
    for (frame, nodes) in alike.spread() {
        visit(Entry::Frame(frame))?;
        for node in nodes {
            visit(Entry::Node(node))?;
        }
    }
    Ok(())
}

/// Tells equal frames as one while a story goes by. It holds one frame and one run of equals.
#[derive(Debug, Default)]
pub struct Folder {
    frame: Option<(FrameRecord, Vec<NodeRecord>)>,
    alike: Option<Alike>,
}

impl Folder {
    /// Takes the next entry; what is certain by then goes to `out`.
    pub fn push(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        match entry {
            Entry::Frame(frame) => {
                self.close_frame(out);
                self.frame = Some((frame, Vec::new()));
            }
            Entry::Node(node) => match &mut self.frame {
                Some((frame, nodes)) if is_in(&node, frame) && node.frames == 0 => nodes.push(node),
                Some((frame, _)) if is_in(&node, frame) => {
                    self.spill(out);
                    out.push(Entry::Node(node));
                }
                _ => {
                    self.finish(out);
                    out.push(Entry::Node(node));
                }
            },
            Entry::Alike(alike) => {
                self.close_frame(out);
                self.append(alike, out);
            }
        }
    }

    pub fn finish(&mut self, out: &mut Vec<Entry>) {
        self.close_frame(out);
        out.extend(self.alike.take().map(unfold_single).into_iter().flatten());
    }

    /// The open frame turned out to hold more than leaves: it stands for itself.
    fn spill(&mut self, out: &mut Vec<Entry>) {
        out.extend(self.alike.take().map(unfold_single).into_iter().flatten());
        if let Some((frame, nodes)) = self.frame.take() {
            out.push(Entry::Frame(frame));
            out.extend(nodes.into_iter().map(Entry::Node));
        }
    }

    fn close_frame(&mut self, out: &mut Vec<Entry>) {
        let Some((frame, nodes)) = self.frame.take() else { return };
        match fold(&frame, &nodes) {
            Some(alike) => self.append(alike, out),
            None => {
                self.frame = Some((frame, nodes));
                self.spill(out);
            }
        }
    }

    fn append(&mut self, next: Alike, out: &mut Vec<Entry>) {
        if let Some(alike) = &mut self.alike {
            let follows = alike.composite == next.composite
                && alike.first.checked_add(alike.count) == Some(next.first)
                && alike.count.saturating_add(next.count) <= ALIKE_ITEMS_MAX
                && alike.labels.is_empty() == next.labels.is_empty();
            if follows && alike.status == next.status && alike.nodes == next.nodes {
                alike.count += next.count;
                alike.labels.extend(next.labels);
                return;
            }
        }
        out.extend(self.alike.replace(next).map(unfold_single).into_iter().flatten());
    }
}

/// A single frame is no crowd: it goes out as what it came as.
fn unfold_single(alike: Alike) -> Vec<Entry> {
    if alike.count != 1 {
        return vec![Entry::Alike(alike)];
    }
    let mut entries = Vec::with_capacity(1 + alike.nodes.len());
    for (frame, nodes) in alike.spread() {
        entries.push(Entry::Frame(frame));
        entries.extend(nodes.into_iter().map(Entry::Node));
    }
    entries
}

fn is_in(node: &NodeRecord, frame: &FrameRecord) -> bool {
    node.path.strip_prefix(&*frame.path).and_then(|rest| rest.strip_prefix('.')).is_some()
}

/// A frame as a crowd of one; None where its key is no number.
fn fold(frame: &FrameRecord, nodes: &[NodeRecord]) -> Option<Alike> {
    let (composite, key) = frame.path.rsplit_once('.')?;
    let first = key.parse().ok()?;
    let name = |node: &NodeRecord| Arc::from(&node.path[frame.path.len() + 1..]);
    let nodes = nodes.iter().map(|node| NodeRecord { path: name(node), ..node.clone() });
    Some(Alike {
        composite: composite.into(),
        first,
        count: 1,
        labels: vec![frame.label.clone()],
        status: frame.status,
        nodes: nodes.collect(),
    })
}
