//! The jitter of election timeouts, from a seed: the library's own comes from the machine.

use crate::config::ELECTION_TICKS;

#[derive(Debug)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Jitter { state: seed }
    }

    /// Ticks until an election, in `[ELECTION_TICKS, 2 * ELECTION_TICKS)`.
    pub(crate) fn draw(&mut self) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        (ELECTION_TICKS + x % ELECTION_TICKS) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_alike_and_all_draws_are_in_range() {
        let draws = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..100).map(|_| jitter.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
        let range = ELECTION_TICKS as usize..2 * ELECTION_TICKS as usize;
        assert!(draws(5).iter().all(|ticks| range.contains(ticks)));
        assert!(range.clone().all(|ticks| draws(5).contains(&ticks)));
    }
}
