//! What a replica makes durable and comes back from: entries, hard state, the heads of snapshots.

use bytes::Bytes;
use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use thiserror::Error;

use crate::membership::Membership;

/// Where the log of a new cluster stands before its first entry. It is not 0, so that a member
/// that joins later, and stands at 0, always begins with a snapshot and learns who the members are.
pub const BOOTSTRAP: (LogIndex, Term) = (LogIndex(1), Term(1));

/// What an entry means to consensus. The numbers are stored and never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A batch of commands; without bytes it is the mark with which a leader begins its term.
    Data = 0,
    /// One change of the membership.
    Change = 1,
}

impl EntryKind {
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(EntryKind::Data),
            1 => Some(EntryKind::Change),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub index: LogIndex,
    pub term: Term,
    pub kind: EntryKind,
    pub data: Bytes,
}

/// What a replica has promised. The commit index in it may lag: it is a hint, not a promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<ReplicaId>,
    pub commit: LogIndex,
}

/// The place in the log that a snapshot holds everything up to, and who the members were there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    pub index: LogIndex,
    pub term: Term,
    pub membership: Membership,
}

/// Names one [`Persist`]; [`persisted`](crate::Replica::persisted) gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub(crate) u64);

impl Token {
    /// Of a write that no replica asked for: a bench's, a test's.
    pub const UNASKED: Token = Token(0);
}

/// One durable write: all of it, in this order, in one transaction, or the replica must halt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    pub token: Token,
    /// Everything in the log is replaced by this snapshot, whose chunks are durable already.
    pub snapshot: Option<SnapshotMeta>,
    /// They replace whatever the log holds from the first one's index on.
    pub entries: Vec<LogEntry>,
    pub hard_state: HardState,
}

/// What a replica starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub hard_state: HardState,
    /// The last snapshot, or where the log of a new cluster stands.
    pub base: SnapshotMeta,
    /// In order without a gap; some may lie before the base.
    pub entries: Vec<LogEntry>,
}

/// Durable parts that do not belong together: damage, or files of different logs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the log does not hold together: {why}")]
pub struct Incoherent {
    pub why: String,
}

impl Recovered {
    /// A member of a cluster that begins now, with these voters, the same on each of them.
    pub fn bootstrap(voters: &[ReplicaId]) -> Self {
        let (index, term) = BOOTSTRAP;
        let membership = Membership { voters: voters.to_vec(), learners: Vec::new() };
        Recovered {
            hard_state: HardState { term, vote: None, commit: index },
            base: SnapshotMeta { index, term, membership },
            entries: Vec::new(),
        }
    }

    /// A member that knows nothing and waits for a leader's snapshot.
    pub fn joining() -> Self {
        Recovered {
            hard_state: HardState::default(),
            base: SnapshotMeta::default(),
            entries: Vec::new(),
        }
    }

    pub fn last_index(&self) -> LogIndex {
        self.entries.last().map_or(self.base.index, |entry| entry.index.max(self.base.index))
    }

    /// Brings a log that an interrupted install left behind its snapshot up to it, and refuses
    /// everything else that no crash leaves behind.
    pub fn settled(mut self) -> Result<Self, Incoherent> {
        let refuse = |why: String| Err(Incoherent { why });
        for pair in self.entries.windows(2) {
            if pair[1].index.0 != pair[0].index.0 + 1 || pair[1].term < pair[0].term {
                let (index, before) = (pair[1].index, pair[0].index);
                return refuse(format!("entry {index} follows entry {before}"));
            }
        }
        let base = &self.base;
        if self.entries.first().is_some_and(|entry| entry.index.0 > base.index.0 + 1) {
            let first = self.entries[0].index;
            return refuse(format!("it begins at {first}, its snapshot ends at {}", base.index));
        }
        let at_base = self.entries.iter().find(|entry| entry.index == base.index);
        if let Some(entry) = at_base.filter(|entry| entry.term > base.term) {
            let (term, index) = (entry.term, entry.index);
            return refuse(format!("entry {index} has term {term}, its snapshot {}", base.term));
        }
        // A leader's snapshot was durable, and the log was not yet replaced by it: it ends
        // before, or goes on with entries that were never committed.
        let ends_before = self.entries.last().is_some_and(|entry| entry.index < base.index);
        if ends_before || at_base.is_some_and(|entry| entry.term < base.term) {
            self.entries.clear();
        }
        let last = self.last_index();
        let last_term = self.entries.last().map_or(base.term, |entry| entry.term);
        let hard_state = &mut self.hard_state;
        if hard_state.term < base.term {
            // A vote in the snapshot's term would have been durable together with that term.
            *hard_state = HardState { term: base.term, vote: None, commit: base.index };
        }
        hard_state.commit = hard_state.commit.max(base.index);
        if hard_state.commit > last || hard_state.term < last_term {
            let HardState { term, commit, .. } = hard_state;
            return refuse(format!(
                "term {term} and commit {commit} do not fit its end {last} of term {last_term}"
            ));
        }
        Ok(self)
    }
}
