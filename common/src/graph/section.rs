//! One section in compressed rows: names, kinds, and edges by offset.

use std::ops::Range;

use super::NodeKind;
use crate::ids::{NodeNo, SectionNo};
use crate::view::Rank;

/// When an edge is taken, failed or skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EdgeKind {
    /// Taken on success and when the source is passed over.
    Next = 1,
    /// Taken on failure, which is then handled.
    OnFailure = 2,
    /// Taken on success, failed on failure, skipped when the source was skipped or cancelled.
    Needs = 3,
}

/// A sub-graph with one entry and one result. Nodes stand in order of declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    pub(super) names: String,
    /// Where each node's name ends in `names`.
    pub(super) name_ends: Vec<u32>,
    pub(super) kinds: Vec<NodeKind>,
    /// Bit set: the node heads a chain. Heads without incoming edges begin with their frame.
    pub(super) heads: Vec<bool>,
    /// Where each node's outgoing edges end in `targets`, and so begins the next one's.
    pub(super) edge_ends: Vec<u32>,
    pub(super) targets: Vec<NodeNo>,
    pub(super) edge_kinds: Vec<EdgeKind>,
    /// Derived: edges into each node.
    pub(super) incoming: Vec<u32>,
    /// Derived: each node's place in the one order that decides who is seen.
    pub(super) ranks: Vec<Rank>,
    /// Derived by [`super::Graph::finish`]: the node it hangs under; None for the root.
    pub(super) parent: Option<(SectionNo, NodeNo)>,
}

/// The outgoing edges of one node.
#[derive(Clone, Copy, Debug)]
pub struct Edges<'a> {
    pub kinds: &'a [EdgeKind],
    pub targets: &'a [NodeNo],
}

impl<'a> Edges<'a> {
    pub fn iter(self) -> impl Iterator<Item = (EdgeKind, NodeNo)> + 'a {
        self.kinds.iter().copied().zip(self.targets.iter().copied())
    }
}

impl Section {
    pub fn len(&self) -> u32 {
        self.kinds.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn nodes(&self) -> impl Iterator<Item = NodeNo> + use<> {
        (0..self.len()).map(NodeNo)
    }

    pub fn name(&self, node: NodeNo) -> &str {
        let place = node.0 as usize;
        let start = if place == 0 { 0 } else { self.name_ends[place - 1] as usize };
        &self.names[start..self.name_ends[place] as usize]
    }

    pub fn kind(&self, node: NodeNo) -> NodeKind {
        self.kinds[node.0 as usize]
    }

    /// A head runs by its `needs` (or begins its frame); others are members of a chain.
    pub fn is_head(&self, node: NodeNo) -> bool {
        self.heads[node.0 as usize]
    }

    pub fn edges(&self, node: NodeNo) -> Edges<'_> {
        let range = self.edge_places(node);
        Edges { kinds: &self.edge_kinds[range.clone()], targets: &self.targets[range] }
    }

    /// Where the node's outgoing edges stand among all of the section.
    pub(super) fn edge_places(&self, node: NodeNo) -> Range<usize> {
        let place = node.0 as usize;
        let start = if place == 0 { 0 } else { self.edge_ends[place - 1] as usize };
        start..self.edge_ends[place] as usize
    }

    /// Edges that must end before the node's join is decided.
    pub fn incoming(&self, node: NodeNo) -> u32 {
        self.incoming[node.0 as usize]
    }

    pub fn rank(&self, node: NodeNo) -> Rank {
        self.ranks[node.0 as usize]
    }

    /// The node that this section hangs under; None for the root.
    pub fn parent(&self) -> Option<(SectionNo, NodeNo)> {
        self.parent
    }

    pub fn has_on_failure(&self, node: NodeNo) -> bool {
        self.edges(node).kinds.contains(&EdgeKind::OnFailure)
    }

    pub fn find(&self, name: &str) -> Option<NodeNo> {
        self.nodes().find(|node| self.name(*node) == name)
    }

    /// Nodes that are no terminals.
    pub fn step_count(&self) -> usize {
        self.kinds.iter().filter(|kind| !kind.is_terminal()).count()
    }
}
