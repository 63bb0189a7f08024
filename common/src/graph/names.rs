//! The names of one section while it is checked, and which of them is given twice.

use std::hash::{BuildHasher as _, RandomState};

use super::Section;
use crate::ids::NodeNo;

/// Names of one bucket, about: what is compared lies side by side then, and in a fast cache.
pub(super) const BUCKET_NAMES: usize = 4_096;
/// Buckets differ a little.
const BUCKET_ROOM: usize = BUCKET_NAMES + BUCKET_NAMES / 16;

/// Hashes of names in buckets: eight bytes a node, where a set of names takes forty, and where a
/// table over all of them would be somewhere else in memory for each. The hash is seeded, so that
/// nobody can choose names that meet; what is found does not depend on it.
#[derive(Debug, Default)]
pub(super) struct Names {
    buckets: Vec<Vec<(u32, NodeNo)>>,
    compared: usize,
    twice: Option<NodeNo>,
    hash: RandomState,
}

impl Names {
    pub fn new(nodes: usize) -> Self {
        let bucket = || Vec::with_capacity(nodes.min(BUCKET_ROOM));
        let buckets = (0..nodes.div_ceil(BUCKET_NAMES)).map(|_| bucket()).collect();
        Names { buckets, ..Names::default() }
    }

    pub fn add(&mut self, section: &Section, node: NodeNo) {
        let hash = self.hash.hash_one(section.name(node));
        let bucket = (hash >> 32) as usize % self.buckets.len();
        self.buckets[bucket].push((hash as u32, node));
    }

    /// All are there: compares those of the first `buckets`.
    pub fn compare(&mut self, section: &Section, buckets: usize) {
        let until = buckets.min(self.buckets.len());
        for bucket in &mut self.buckets[self.compared.min(until)..until] {
            let found = first_again(section, std::mem::take(bucket));
            self.twice = self.twice.into_iter().chain(found).min();
        }
        self.compared = self.compared.max(until);
    }

    /// The first node in order of declaration whose name came before it, of those compared.
    pub fn twice(&self) -> Option<NodeNo> {
        self.twice
    }
}

fn first_again(section: &Section, mut bucket: Vec<(u32, NodeNo)>) -> Option<NodeNo> {
    bucket.sort_unstable();
    let alike = bucket.chunk_by(|one, next| one.0 == next.0);
    let again = alike.filter_map(|alike| {
        let is_again = |place: &usize| {
            let name = section.name(alike[*place].1);
            alike[..*place].iter().any(|(_, before)| section.name(*before) == name)
        };
        (1..alike.len()).find(is_again).map(|place| alike[place].1)
    });
    again.min()
}
