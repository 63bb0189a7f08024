//! The rank of nodes: the one order of a section that decides whose output is seen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::Section;
use crate::ids::NodeNo;
use crate::view::Rank;

/// Again and again the earliest declared node whose predecessors are all taken. Nodes on a cycle,
/// which no verified graph has, keep rank 0. It is found a piece at a time.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    pub ranks: Vec<Rank>,
    taken: Rank,
    /// Edges into each node whose source is taken.
    arrived: Vec<u32>,
    /// Where looking for nodes without incoming edges goes on; they come in order by themselves.
    root: usize,
    /// Nodes that the last edge into them made free.
    free: BinaryHeap<Reverse<NodeNo>>,
    /// Edges of a taken node that are still to be followed.
    edges: Range<usize>,
}

impl Ranking {
    pub fn new(nodes: usize) -> Self {
        Ranking { ranks: vec![0; nodes], arrived: vec![0; nodes], ..Ranking::default() }
    }

    /// Goes on for `left` nodes and edges; true once every node has its rank.
    pub fn work(&mut self, section: &Section, incoming: &[u32], left: &mut u64) -> bool {
        while *left > 0 {
            let here = piece(&self.edges, *left);
            self.edges.start = here.end;
            *left -= here.len() as u64;
            for target in &section.targets[here] {
                let arrived = &mut self.arrived[target.0 as usize];
                *arrived += 1;
                if *arrived == incoming[target.0 as usize] {
                    self.free.push(Reverse(*target));
                }
            }
            if *left == 0 {
                return false;
            }
            *left -= 1;
            if incoming.get(self.root).is_some_and(|count| *count > 0) {
                self.root += 1;
                continue;
            }
            let Some(node) = self.next(incoming.len()) else { return true };
            self.taken += 1;
            self.ranks[node.0 as usize] = self.taken;
            self.edges = section.edge_places(node);
        }
        false
    }

    fn next(&mut self, nodes: usize) -> Option<NodeNo> {
        let root = (self.root < nodes).then_some(NodeNo(self.root as u32));
        let free = self.free.peek().map(|Reverse(node)| *node);
        if root.is_some() && free.is_none_or(|free| root < Some(free)) {
            self.root += 1;
            return root;
        }
        self.free.pop().map(|Reverse(node)| node)
    }
}

/// The beginning of `range`, at most `left` long.
pub(super) fn piece(range: &Range<usize>, left: u64) -> Range<usize> {
    let length = range.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    range.start..range.start + length
}
