//! The names of one section while it is checked, and whether one has come before.

use std::hash::{BuildHasher as _, RandomState};

use super::Section;
use crate::ids::NodeNo;

/// Node numbers by the hash of their names, in open addressing: four to eight bytes a node, where
/// a set of names takes forty. Its order is seen by nobody, and its hash is seeded, so that nobody
/// can choose names that meet.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// One more than the node's number; 0: nothing.
    places: Vec<u32>,
    hash: RandomState,
}

impl Names {
    pub fn new(nodes: usize) -> Self {
        // At most half full.
        Names { places: vec![0; (nodes * 2).next_power_of_two()], hash: RandomState::new() }
    }

    /// False if a node with this name came before.
    pub fn add(&mut self, section: &Section, node: NodeNo) -> bool {
        let name = section.name(node);
        let mask = self.places.len() - 1;
        let mut place = self.hash.hash_one(name) as usize & mask;
        while let Some(before) = self.places[place].checked_sub(1) {
            if section.name(NodeNo(before)) == name {
                return false;
            }
            place = (place + 1) & mask;
        }
        self.places[place] = node.0 + 1;
        true
    }
}
