//! The log as raft reads it: the tail of entries in memory, and what lies before it.

use std::cmp;
use std::collections::VecDeque;

use dagmar_common::ids::{LogIndex, ReplicaId};
use raft::eraftpb::{Entry, EntryType, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use crate::durable::{EntryKind, HardState, LogEntry, Recovered, SnapshotMeta};

/// Entries kept in memory behind the last snapshot, so that a follower that was away for a
/// moment is not sent a whole snapshot; a replica without followers keeps none.
pub(crate) const TAIL_ENTRIES_MAX: u64 = 5_000;
/// Bytes of them; whichever bound is hit first.
pub(crate) const TAIL_BYTES_MAX: usize = 16 << 20;

/// What an entry takes beside its data, about.
const ENTRY_OVERHEAD_BYTES: usize = 24;

pub(crate) struct LogTail {
    /// Index and term right before the first entry.
    before: (u64, u64),
    entries: VecDeque<Entry>,
    snapshot: SnapshotMeta,
    /// What raft asks for once, when it starts.
    initial: HardState,
}

impl LogTail {
    /// From parts that are [settled](Recovered::settled).
    pub(crate) fn new(recovered: Recovered) -> Self {
        let Recovered { hard_state, base, entries } = recovered;
        let mut tail = LogTail {
            before: (base.index.0, base.term.0),
            entries: entries.iter().map(to_raft).collect(),
            snapshot: base,
            initial: hard_state,
        };
        // A first entry at or before the snapshot only says what term lies before the second.
        if tail.entries.front().is_some_and(|first| first.index <= tail.before.0)
            && let Some(first) = tail.entries.pop_front()
        {
            tail.before = (first.index, first.term);
        }
        tail.compact();
        tail
    }

    /// Entries of a `Ready`; they replace what stands from the first one's index on.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let (start, end) = (self.before.0, self.last());
        assert!(
            start < first.index && first.index <= end + 1,
            "entry {} does not fit a log that holds ({start}, {end}]",
            first.index
        );
        self.entries.truncate((first.index - start - 1) as usize);
        self.entries.extend(entries.iter().cloned());
    }

    /// Everything is replaced by a snapshot from the leader.
    pub(crate) fn install(&mut self, snapshot: SnapshotMeta) {
        self.entries.clear();
        self.before = (snapshot.index.0, snapshot.term.0);
        self.snapshot = snapshot;
    }

    /// A snapshot of our own is durable: what lies before it, but for a tail, may go.
    pub(crate) fn snapshot_saved(&mut self, snapshot: SnapshotMeta) {
        if snapshot.index > self.snapshot.index {
            self.snapshot = snapshot;
            self.compact();
        }
    }

    pub(crate) fn first_in_memory(&self) -> LogIndex {
        LogIndex(self.before.0 + 1)
    }

    fn compact(&mut self) {
        let behind = self.snapshot.index.0.saturating_sub(self.before.0) as usize;
        let alone = self.snapshot.membership.voters.len() + self.snapshot.membership.learners.len();
        let (entries_max, bytes_max) =
            if alone <= 1 { (0, 0) } else { (TAIL_ENTRIES_MAX as usize, TAIL_BYTES_MAX) };
        let mut bytes = 0;
        let kept = self
            .entries
            .iter()
            .take(behind)
            .rev()
            .take(entries_max)
            .take_while(|entry| {
                bytes += entry.data.len() + ENTRY_OVERHEAD_BYTES;
                bytes <= bytes_max
            })
            .count();
        if let Some(last_dropped) = self.entries.drain(..behind - kept).next_back() {
            self.before = (last_dropped.index, last_dropped.term);
        }
    }

    fn last(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }
}

impl Storage for LogTail {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let hard_state = raft::eraftpb::HardState {
            term: self.initial.term.0,
            vote: self.initial.vote.map_or(0, |id| id.0),
            commit: self.initial.commit.0,
            ..Default::default()
        };
        let conf_state = self.snapshot.membership.to_raft();
        Ok(RaftState { hard_state, conf_state })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.before.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let place = |index: u64| (index - self.before.0 - 1) as usize;
        let mut room = max_size.into().unwrap_or(u64::MAX) as usize;
        let mut found = Vec::new();
        for entry in self.entries.range(place(low)..place(high)) {
            let size = entry.data.len() + ENTRY_OVERHEAD_BYTES;
            // The first goes whatever its size, or nothing would ever go.
            if size > room && !found.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match index.cmp(&self.before.0) {
            cmp::Ordering::Less => Err(Error::Store(StorageError::Compacted)),
            cmp::Ordering::Equal => Ok(self.before.1),
            cmp::Ordering::Greater => self
                .entries
                .get((index - self.before.0 - 1) as usize)
                .map(|entry| entry.term)
                .ok_or(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// Only the head: the chunks travel beside raft's messages. A snapshot that does not know
    /// its receiver would be dropped there in silence, again and again; a newer one will know it.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let meta = &self.snapshot;
        if meta.index.0 < request_index || !meta.membership.contains(ReplicaId(to)) {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let head = snapshot.mut_metadata();
        (head.index, head.term) = (meta.index.0, meta.term.0);
        head.set_conf_state(meta.membership.to_raft());
        Ok(snapshot)
    }
}

pub(crate) fn to_raft(entry: &LogEntry) -> Entry {
    let mut raw = Entry::default();
    raw.set_entry_type(match entry.kind {
        EntryKind::Data => EntryType::EntryNormal,
        EntryKind::Change => EntryType::EntryConfChange,
    });
    raw.index = entry.index.0;
    raw.term = entry.term.0;
    raw.data = entry.data.clone();
    raw
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dagmar_common::ids::Term;

    use super::*;
    use crate::membership::Membership;

    fn entries(from: u64, to: u64) -> Vec<LogEntry> {
        let entry = |index| LogEntry {
            index: LogIndex(index),
            term: Term(index / 10),
            kind: EntryKind::Data,
            data: Bytes::from(vec![0; 1_000]),
        };
        (from..=to).map(entry).collect()
    }

    fn meta(index: u64, voters: u64) -> SnapshotMeta {
        let membership =
            Membership { voters: (1..=voters).map(ReplicaId).collect(), learners: Vec::new() };
        SnapshotMeta { index: LogIndex(index), term: Term(index / 10), membership }
    }

    fn tail(base: u64, voters: u64, from: u64, to: u64) -> LogTail {
        let hard_state = HardState { term: Term(10_000), ..HardState::default() };
        let recovered =
            Recovered { hard_state, base: meta(base, voters), entries: entries(from, to) };
        LogTail::new(recovered.settled().unwrap())
    }

    fn check(tail: &LogTail, before: u64, last: u64) {
        assert_eq!((tail.first_index().unwrap(), tail.last_index().unwrap()), (before + 1, last));
        assert_eq!(tail.term(before).unwrap(), before / 10, "the term before the first is known");
        assert!(tail.term(before.wrapping_sub(1)).is_err() && tail.term(last + 1).is_err());
        let all = GetEntriesContext::empty(false);
        let found = tail.entries(before + 1, last + 1, None, all).unwrap();
        let expected = (before + 1..=last).collect::<Vec<_>>();
        assert_eq!(found.iter().map(|entry| entry.index).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn it_begins_behind_its_snapshot_or_a_tail_earlier() {
        check(&tail(20, 3, 21, 30), 20, 30);
        check(&tail(20, 3, 15, 30), 15, 30);
        check(&tail(20, 3, 15, 20), 15, 20);
        check(&tail(20, 1, 15, 30), 20, 30);
        check(&tail(20, 3, 15, 18), 20, 20);
    }

    #[test]
    fn the_tail_behind_a_snapshot_is_bounded_in_entries_and_bytes() {
        let last = 2 * TAIL_ENTRIES_MAX;
        let mut few = tail(10, 3, 11, last);
        few.snapshot_saved(meta(last, 3));
        check(&few, last - TAIL_ENTRIES_MAX, last);
        let mut many = tail(10, 3, 11, 40_000);
        for entry in &mut many.entries {
            entry.data = Bytes::from_static(&[0; 100_000]);
        }
        many.snapshot_saved(meta(39_000, 3));
        let kept = 39_001 - many.first_index().unwrap();
        assert!((160..=168).contains(&kept), "16 MiB of 100 kB each, not {kept}");
    }

    #[test]
    fn entries_stop_at_the_size_asked_for_but_one_always_goes() {
        let tail = tail(20, 3, 21, 30);
        let count =
            |max: u64| tail.entries(21, 31, max, GetEntriesContext::empty(false)).unwrap().len();
        assert_eq!([count(0), count(2_100), count(u64::MAX)], [1, 2, 10]);
        assert!(tail.entries(20, 22, None, GetEntriesContext::empty(false)).is_err());
    }

    #[test]
    fn a_snapshot_is_given_only_to_those_it_knows() {
        let tail = tail(20, 3, 21, 30);
        assert_eq!(tail.snapshot(0, 3).unwrap().get_metadata().index, 20);
        assert!(tail.snapshot(0, 4).is_err());
        assert!(tail.snapshot(21, 3).is_err());
    }

    #[test]
    fn parts_that_no_crash_leaves_behind_are_refused() {
        let settled = |base, entries: Vec<LogEntry>, term, commit| {
            let (term, commit) = (Term(term), LogIndex(commit));
            let hard_state = HardState { term, vote: None, commit };
            Recovered { hard_state, base: meta(base, 3), entries }.settled()
        };
        assert!(settled(20, entries(21, 30), 3, 25).is_ok());
        assert!(settled(20, entries(22, 30), 3, 25).is_err(), "a gap behind the snapshot");
        assert!(settled(20, entries(21, 30), 3, 31).is_err(), "committed beyond the end");
        assert!(settled(20, entries(21, 30), 2, 25).is_err(), "an entry of a later term");
        let mut hole = entries(21, 30);
        hole.remove(4);
        assert!(settled(20, hole, 3, 25).is_err(), "a hole");
        let mut later = entries(15, 30);
        later.iter_mut().skip(5).for_each(|entry| entry.term = Term(3));
        assert!(settled(20, later, 3, 25).is_err(), "a later entry where the snapshot ends");
        let behind = settled(40, entries(21, 30), 3, 25).unwrap();
        assert_eq!((behind.entries.len(), behind.hard_state.commit), (0, LogIndex(40)));
        assert_eq!((behind.hard_state.term, behind.hard_state.vote), (Term(4), None));
        let mut overtaken = entries(15, 30);
        overtaken.iter_mut().for_each(|entry| entry.term = Term(1));
        let overtaken = settled(20, overtaken, 2, 14).unwrap();
        assert_eq!((overtaken.entries.len(), overtaken.last_index()), (0, LogIndex(20)));
    }
}
