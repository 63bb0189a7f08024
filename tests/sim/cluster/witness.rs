//! The witness: it applies the committed log once, and every replica is held against it.

use std::collections::BTreeMap;

use dagmar_common::ids::{Digest, Fence, LogIndex};
use dagmar_common::time::{BootTime, LogTime};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Command};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::stored::{self, Frozen};
use dagmar_member::Entry;
use dagmar_replica::durable::BOOTSTRAP;

use crate::manners::Readiness;

/// Entries from one look at all of the state to the next; it costs more than they do.
const CHECKED_EVERY: u64 = 64;
/// Entries from one comparison of whole states to the next.
const HASHED_EVERY: u64 = 256;

/// One committed entry, and what it led to when it was applied first.
#[derive(Debug)]
struct Known {
    entry: Entry,
    replies: Vec<Reply>,
    effects: Vec<Effect>,
}

#[derive(Debug)]
pub struct Witness {
    /// The state that never died: it applies every entry once, and is never restored.
    pub shadow: State,
    /// Those that somebody may apply again.
    entries: BTreeMap<LogIndex, Known>,
    last: LogIndex,
    hashes: BTreeMap<LogIndex, Digest>,
    last_fence: Fence,
    last_time: LogTime,
    readiness: Readiness,
    /// Every check after every entry.
    pub looks_closely: bool,
    pub commands: u64,
    /// Entries that a replica applied after the first had.
    pub repeated: u64,
    pub hashed: u64,
    /// Leases that a lost worker got back.
    pub regained: u64,
}

impl Default for Witness {
    fn default() -> Self {
        Witness {
            shadow: State::new(),
            entries: BTreeMap::new(),
            last: BOOTSTRAP.0,
            hashes: BTreeMap::new(),
            last_fence: Fence(0),
            last_time: LogTime(0),
            readiness: Readiness::default(),
            looks_closely: false,
            commands: 0,
            repeated: 0,
            hashed: 0,
            regained: 0,
        }
    }
}

impl Witness {
    /// A replica applied an entry. The first time that anybody does, what stands in it.
    pub fn applied(
        &mut self,
        entry: &Entry,
        replies: &[Reply],
        effects: &[Effect],
    ) -> Option<Batch> {
        let index = entry.position.index;
        let batch = if index > self.last { self.goes_on(entry) } else { None };
        let Some(known) = self.entries.get(&index) else {
            panic!("entry {index} is applied again, and a durable snapshot holds it");
        };
        assert_eq!(known.entry, *entry, "entry {index} is another");
        assert_eq!(known.replies, replies, "entry {index}, and what the witness answers");
        assert_eq!(known.effects, effects, "entry {index}, and what the witness makes of it");
        self.repeated += u64::from(batch.is_none());
        batch
    }

    fn goes_on(&mut self, entry: &Entry) -> Option<Batch> {
        let index = entry.position.index;
        assert_eq!(index.0, self.last.0 + 1, "an entry is left out");
        self.last = index;
        let mut applied = Applied::default();
        let batch = entry
            .bytes
            .as_ref()
            .map(|bytes| stored::decode_batch(bytes).expect("what was committed can be read"));
        if let Some(batch) = &batch {
            self.commands += batch.commands.len() as u64;
            self.readiness.looks(&self.shadow);
            self.shadow.apply(entry.position, batch.clone(), &mut applied);
            self.readiness.applied(batch, &applied.effects, &self.shadow);
            self.fences_grow(&applied.effects);
            self.regained += regained(batch, &self.shadow);
        }
        if self.looks_closely || index.0.is_multiple_of(CHECKED_EVERY) {
            check(&self.shadow);
        }
        if self.hashes_at(index) {
            let hash = hash(&self.shadow.freeze());
            self.hashes.insert(index, hash);
        }
        let Applied { replies, effects } = applied;
        self.entries.insert(index, Known { entry: entry.clone(), replies, effects });
        batch
    }

    pub fn fences_grow(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Start { fence, .. } = effect {
                assert!(*fence > self.last_fence, "fence {fence} after {}", self.last_fence);
                self.last_fence = *fence;
            }
        }
    }

    /// Log time is elapsed time: it never goes back, and never runs faster than the world's, which
    /// is older than any log, on the fastest of clocks.
    pub fn time_is(&mut self, at: LogTime, now: BootTime) {
        assert!(at >= self.last_time, "log time went back from {:?} to {at:?}", self.last_time);
        assert!(at.0 <= now.0 + now.0 / 100, "log time is {at:?} at {now:?} of the world");
        self.last_time = at;
    }

    /// Whether whole states are compared behind this entry.
    pub fn hashes_at(&self, index: LogIndex) -> bool {
        index.0.is_multiple_of(if self.looks_closely { 8 } else { HASHED_EVERY })
    }

    /// The state of a replica, as of an entry at which [they are compared](Self::hashes_at).
    pub fn compare(&mut self, index: LogIndex, state: &Frozen) {
        let own = self.hashes.get(&index).copied();
        assert_eq!(own, Some(hash(state)), "another state than the witness's behind entry {index}");
        self.hashed += 1;
    }

    /// A new process begins: what it had applied cannot be missing.
    pub fn recovered(&self, applied: LogIndex, last: LogIndex) {
        assert!(last >= applied, "entry {applied} was applied, and the log ends at {last}");
    }

    /// No replica applies these again.
    pub fn forget_before(&mut self, index: LogIndex) {
        self.entries = self.entries.split_off(&index);
        self.hashes = self.hashes.split_off(&index);
    }

    pub fn last(&self) -> LogIndex {
        self.last
    }

    /// After the calm every replica is where the witness is, with the same state.
    pub fn finish(&mut self, at: LogIndex, state: &Frozen) {
        assert_eq!(at, self.last, "a replica stays behind");
        let own = hash(&self.shadow.freeze());
        assert_eq!(own, hash(state), "the witness's is another state");
    }
}

/// How many leases this entry gave back to workers that had lost them.
fn regained(batch: &Batch, after: &State) -> u64 {
    let lists = batch.commands.iter().filter_map(|command| match command {
        Command::WorkerReady { regains, .. } => Some(regains),
        _ => None,
    });
    lists.flatten().filter(|fence| after.lease(**fence).is_some()).count() as u64
}

pub fn check(state: &State) {
    if let Err(broken) = state.check() {
        panic!("at entry {} or shortly before: {broken}", state.last_applied());
    }
}

fn hash(state: &Frozen) -> Digest {
    state.write(&mut |_| Ok(())).expect("nothing is written anywhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "log time went back")]
    fn a_log_time_that_goes_back() {
        let mut witness = Witness::default();
        witness.time_is(LogTime(7), BootTime(9));
        witness.time_is(LogTime(6), BootTime(9));
    }

    #[test]
    #[should_panic(expected = "of the world")]
    fn a_log_time_that_runs_ahead() {
        Witness::default().time_is(LogTime(1_011), BootTime(1_000));
    }
}
