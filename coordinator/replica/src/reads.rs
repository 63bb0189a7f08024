//! Linearizable reads: asked with a context of their own, released when applied far enough.

use std::collections::BTreeMap;

use dagmar_common::ids::LogIndex;
use dagmar_common::mutant::{Mutant, lives};

use crate::config::ELECTION_TICKS;

/// Reads that wait at once; more are dropped, and whoever asked tries again.
const READS_WAITING_MAX: usize = 4_096;

/// One try at a read. A retry is another one: a context used twice could be answered by an
/// acknowledgement from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadId(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub id: ReadId,
    pub fate: ReadFate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFate {
    /// Everything that was committed when the read was asked, up to `index`, is applied.
    Released { index: LogIndex },
    /// No leader, a change of leader, or lost on the way: try again.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// For a quorum, for so many ticks.
    Asked {
        ticks: u64,
    },
    Confirmed {
        index: LogIndex,
    },
}

#[derive(Debug)]
pub(crate) struct Reads {
    boot_nonce: u64,
    replica: u64,
    count: u64,
    waiting: BTreeMap<ReadId, Waiting>,
    dropped: Vec<ReadId>,
}

impl Reads {
    pub(crate) fn new(replica: u64, boot_nonce: u64) -> Self {
        Reads { boot_nonce, replica, count: 0, waiting: BTreeMap::new(), dropped: Vec::new() }
    }

    /// A new read and, if there is room for it, the context to ask raft with.
    pub(crate) fn ask(&mut self) -> (ReadId, Option<Vec<u8>>) {
        self.count += 1;
        let id = ReadId(self.count);
        if self.waiting.len() >= READS_WAITING_MAX {
            self.dropped.push(id);
            return (id, None);
        }
        self.waiting.insert(id, Waiting::Asked { ticks: 0 });
        let mut context = Vec::with_capacity(24);
        let count = if lives(Mutant::ReadContextAgain) { 1 } else { self.count };
        for number in [self.replica, self.boot_nonce, count] {
            context.extend_from_slice(&number.to_le_bytes());
        }
        (id, Some(context))
    }

    pub(crate) fn drop_read(&mut self, id: ReadId) {
        if self.waiting.remove(&id).is_some() {
            self.dropped.push(id);
        }
    }

    /// Confirmed ones stay: a quorum has spoken for their index, whoever leads now.
    pub(crate) fn drop_unconfirmed(&mut self) {
        self.drop_where(|waiting| matches!(waiting, Waiting::Asked { .. }));
    }

    pub(crate) fn tick(&mut self) {
        for waiting in self.waiting.values_mut() {
            if let Waiting::Asked { ticks } = waiting {
                *ticks += 1;
            }
        }
        self.drop_where(
            |waiting| matches!(waiting, Waiting::Asked { ticks } if *ticks > ELECTION_TICKS),
        );
    }

    /// Answers to other lives of this replica, and late ones to dropped reads, find nothing.
    pub(crate) fn confirm(&mut self, context: &[u8], index: u64) {
        let number = |at: usize| {
            let bytes = context.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        if number(0) != Some(self.replica) || number(8) != Some(self.boot_nonce) {
            return;
        }
        if lives(Mutant::ReadContextAgain) {
            let all = self.waiting.values_mut();
            return all.for_each(|one| *one = Waiting::Confirmed { index: LogIndex(index) });
        }
        let Some(waiting) = number(16).and_then(|count| self.waiting.get_mut(&ReadId(count)))
        else {
            return;
        };
        *waiting = Waiting::Confirmed { index: LogIndex(index) };
    }

    pub(crate) fn take(&mut self, applied: LogIndex) -> Vec<Read> {
        let dropped = self.dropped.drain(..).map(|id| Read { id, fate: ReadFate::Dropped });
        let mut taken: Vec<_> = dropped.collect();
        self.waiting.retain(|id, waiting| match waiting {
            Waiting::Confirmed { index } if *index <= applied => {
                taken.push(Read { id: *id, fate: ReadFate::Released { index: *index } });
                false
            }
            _ => true,
        });
        taken
    }

    fn drop_where(&mut self, condition: impl Fn(&Waiting) -> bool) {
        let dropped = &mut self.dropped;
        self.waiting.retain(|id, waiting| {
            let goes = condition(waiting);
            if goes {
                dropped.push(*id);
            }
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(reads: &mut Reads) -> (ReadId, Vec<u8>) {
        let (id, context) = reads.ask();
        (id, context.unwrap())
    }

    fn released(id: ReadId, index: u64) -> Vec<Read> {
        vec![Read { id, fate: ReadFate::Released { index: LogIndex(index) } }]
    }

    #[test]
    fn a_read_is_released_when_its_index_is_applied_and_not_before() {
        let mut reads = Reads::new(1, 7);
        let (id, context) = asked(&mut reads);
        reads.confirm(&context, 5);
        assert_eq!(reads.take(LogIndex(4)), []);
        assert_eq!(reads.take(LogIndex(5)), released(id, 5));
        assert_eq!(reads.take(LogIndex(6)), []);
    }

    #[test]
    fn every_try_has_a_context_of_its_own_and_other_lives_are_not_answered() {
        let (mut before, mut now) = (Reads::new(1, 7), Reads::new(1, 8));
        let (_, old) = asked(&mut before);
        let (_, first) = asked(&mut now);
        let (_, second) = asked(&mut now);
        assert!(old != first && first != second && old != second);
        now.confirm(&old, 1);
        assert_eq!(now.take(LogIndex(9)), []);
    }

    #[test]
    fn unconfirmed_reads_are_dropped_with_the_leader_or_when_they_grow_old() {
        let mut reads = Reads::new(1, 7);
        let (confirmed, context) = asked(&mut reads);
        let (unconfirmed, _) = asked(&mut reads);
        reads.confirm(&context, 5);
        reads.drop_unconfirmed();
        let dropped = |id| Read { id, fate: ReadFate::Dropped };
        assert_eq!(reads.take(LogIndex(0)), [dropped(unconfirmed)]);
        let (old, _) = asked(&mut reads);
        for _ in 0..=ELECTION_TICKS {
            reads.tick();
        }
        assert_eq!(reads.take(LogIndex(0)), [dropped(old)]);
        assert_eq!(reads.take(LogIndex(5)), released(confirmed, 5));
    }
}
