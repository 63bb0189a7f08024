//! The names of one section while it is checked, and which of them has come before.

use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;

use super::Section;
use crate::ids::NodeNo;

/// So many names are looked up together: each is somewhere else in memory, and ways there that do
/// not wait for one another take the time of one.
const TOGETHER: usize = 64;

/// Names by their hashes, in open addressing: eight to sixteen bytes a node, where a set of names
/// takes forty. Its order is seen by nobody, and its hash is seeded, so that nobody can choose
/// names that meet.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Half a name's hash, and one more than its node's number; 0: nothing.
    places: Vec<u64>,
    /// Hashes of names that are not looked up yet, and their nodes.
    waiting: Vec<(u64, NodeNo)>,
    hash: RandomState,
}

impl Names {
    pub fn new(nodes: usize) -> Self {
        // At most half full.
        let places = vec![0; (nodes * 2).next_power_of_two()];
        Names { places, waiting: Vec::with_capacity(TOGETHER), hash: RandomState::new() }
    }

    /// The first node whose name came before it, if one is known by now.
    pub fn add(&mut self, section: &Section, node: NodeNo) -> Option<NodeNo> {
        self.waiting.push((self.hash.hash_one(section.name(node)), node));
        if self.waiting.len() < TOGETHER { None } else { self.look_up(section) }
    }

    /// Looks up what waits; the first node whose name came before it.
    pub fn look_up(&mut self, section: &Section) -> Option<NodeNo> {
        for (hash, _) in &self.waiting {
            // Only to have it at hand: none of these reads waits for what another finds.
            black_box(self.places[self.place(*hash)]);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let twice = waiting.iter().find(|(hash, node)| !self.insert(section, *hash, *node));
        let twice = twice.map(|(_, node)| *node);
        self.waiting = waiting;
        self.waiting.clear();
        twice
    }

    fn insert(&mut self, section: &Section, hash: u64, node: NodeNo) -> bool {
        let mut place = self.place(hash);
        while self.places[place] != 0 {
            let before = self.places[place];
            let known = NodeNo(before as u32 - 1);
            if before >> 32 == hash >> 32 && section.name(known) == section.name(node) {
                return false;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place] = entry(hash, node);
        true
    }

    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1)
    }
}

fn entry(hash: u64, node: NodeNo) -> u64 {
    hash >> 32 << 32 | u64::from(node.0 + 1)
}
