//! Every fence that was ever started here, as ranges, so that none is started twice.

use std::collections::BTreeMap;

use crate::bounds::FENCE_RANGES_MAX;

/// First and last fence of each range; ranges neither touch nor overlap.
#[derive(Debug, Default)]
pub struct Started(BTreeMap<u64, u64>);

impl Started {
    /// False if `fence` was there already.
    pub fn insert(&mut self, fence: u64) -> bool {
        let below = self.0.range(..=fence).next_back().map(|(first, last)| (*first, *last));
        if below.is_some_and(|(_, last)| fence <= last) {
            return false;
        }
        let last = match fence.checked_add(1).and_then(|next| self.0.remove(&next)) {
            Some(last) => last,
            None => fence,
        };
        let first = match below {
            Some((first, end)) if end + 1 == fence => first,
            _ => fence,
        };
        self.0.insert(first, last);
        if self.0.len() > FENCE_RANGES_MAX {
            self.join_lowest();
        }
        true
    }

    /// Fences only ever grow, so what is lowest is oldest, and least likely to be asked for.
    fn join_lowest(&mut self) {
        let Some((lowest, _)) = self.0.pop_first() else { return };
        if let Some((_, last)) = self.0.pop_first() {
            self.0.insert(lowest, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn agrees_with_a_plain_set() {
        let (mut started, mut plain) = (Started::default(), BTreeSet::new());
        let mut seed = 3_u64;
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let fence = (seed >> 33) % 3_000;
            assert_eq!(started.insert(fence), plain.insert(fence), "{fence}");
        }
        assert!(started.insert(u64::MAX));
        assert!(!started.insert(u64::MAX));
    }

    #[test]
    fn forgets_no_start_when_it_is_full() {
        let mut started = Started::default();
        for fence in 0..FENCE_RANGES_MAX as u64 + 10 {
            assert!(started.insert(fence * 2));
        }
        assert_eq!(started.0.len(), FENCE_RANGES_MAX);
        for fence in 0..FENCE_RANGES_MAX as u64 + 10 {
            assert!(!started.insert(fence * 2));
        }
    }
}
