//! The rank of nodes: the one order of a section that decides whose output is seen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Section;
use crate::ids::NodeNo;
use crate::view::Rank;

/// Again and again the earliest declared node whose predecessors are all taken. Nodes on a cycle,
/// which no verified graph has, keep rank 0.
pub(super) fn ranks(section: &Section) -> Vec<Rank> {
    let mut waiting = section.incoming.clone();
    let mut ranks = vec![0; waiting.len()];
    let mut ready: BinaryHeap<Reverse<NodeNo>> =
        section.nodes().filter(|node| section.incoming(*node) == 0).map(Reverse).collect();
    let mut next = 0;
    while let Some(Reverse(node)) = ready.pop() {
        next += 1;
        ranks[node.0 as usize] = next;
        for target in section.edges(node).targets {
            let left = &mut waiting[target.0 as usize];
            *left -= 1;
            if *left == 0 {
                ready.push(Reverse(*target));
            }
        }
    }
    ranks
}
