//! The rounds in which a quorum confirms that this leader still leads; one for all who wait.

use std::collections::VecDeque;

use dagmar_common::ids::LogIndex;
use dagmar_common::limits::{QUORUM_ROUND_AGAIN, QUORUM_ROUND_EVERY};
use dagmar_common::time::BootTime;

/// Counted from 1; a round counts for whoever came before it began.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    begun: u64,
    begun_at: BootTime,
    is_under_way: bool,
    wanted: Option<Haste>,
    /// Confirmed with an index that is not applied here yet.
    confirmed: VecDeque<(u64, LogIndex)>,
    settled: u64,
    applied: LogIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// A heartbeat: it can wait for others.
    Soon,
    /// A hello: a worker stands idle.
    Now,
}

impl Rounds {
    /// The round that counts for something that is here now.
    pub fn want(&mut self, haste: Haste) -> u64 {
        self.wanted = self.wanted.max(Some(haste));
        self.begun + 1
    }

    pub fn begin(&mut self, now: BootTime) -> Option<u64> {
        if now < self.begins_at()? {
            return None;
        }
        self.begun += 1;
        self.begun_at = now;
        self.is_under_way = true;
        self.wanted = None;
        Some(self.begun)
    }

    /// None if nobody waits for a round.
    pub fn begins_at(&self) -> Option<BootTime> {
        if self.is_under_way {
            return Some(self.begun_at + QUORUM_ROUND_AGAIN);
        }
        match self.wanted? {
            Haste::Now => Some(BootTime(0)),
            Haste::Soon if self.begun == 0 => Some(BootTime(0)),
            Haste::Soon => Some(self.begun_at + QUORUM_ROUND_EVERY),
        }
    }

    pub fn confirmed(&mut self, round: u64, index: LogIndex) {
        let newest = self.confirmed.back().map_or(self.settled, |(round, _)| *round);
        if round > newest && round <= self.begun {
            self.confirmed.push_back((round, index));
        }
        if round == self.begun {
            self.is_under_way = false;
        }
        self.applied(self.applied);
    }

    pub fn applied(&mut self, applied: LogIndex) {
        self.applied = applied;
        while let Some((round, index)) = self.confirmed.front().copied()
            && index <= applied
        {
            self.settled = round;
            self.confirmed.pop_front();
        }
    }

    /// How many were begun, and how many of them are settled.
    pub fn counts(&self) -> (u64, u64) {
        (self.begun, self.settled)
    }

    /// That round was confirmed, and what was committed by then is applied here.
    pub fn is_settled(&self, round: u64) -> bool {
        self.settled >= round
    }
}
