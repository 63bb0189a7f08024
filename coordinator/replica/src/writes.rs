//! The writes of one replica: one on its way to the disk, and all that gathers behind it.
//!
//! Raft hands out its writes one after another and wants them durable in that order. Here at
//! most one is out; what raft hands out meanwhile is merged into the next, so that a slow disk
//! makes few large writes out of many small ones. A message that promises something durable is
//! held by the write that makes it so, or by the one before if nothing needs to be written.

use dagmar_common::ids::ReplicaId;
use dagmar_common::mutant::{Mutant, lives};

use crate::durable::{HardState, LogEntry, Persist, SnapshotMeta, Token};

/// Bytes for another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub to: ReplicaId,
    pub bytes: Vec<u8>,
    /// The head that the message brings: the chunks go first, and what became of them must be
    /// [reported](crate::Replica::report_snapshot), or nothing else is sent there ever again.
    pub snapshot: Option<SnapshotMeta>,
}

#[derive(Debug)]
pub(crate) struct Writes {
    next: Gathering,
    out: Option<Out>,
    released: Vec<Outgoing>,
    /// As of the last gathered part; a commit index alone is not worth a write of its own.
    hard_state: HardState,
    durable_term: u64,
    tokens: u64,
}

/// What one `Ready` asks to be written, and what must not leave before it is.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The number of the `Ready`.
    pub(crate) number: u64,
    pub(crate) snapshot: Option<SnapshotMeta>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) hard_state: Option<HardState>,
    pub(crate) must_sync: bool,
    pub(crate) messages: Vec<Outgoing>,
}

#[derive(Debug, Default)]
struct Gathering {
    number: u64,
    snapshot: Option<SnapshotMeta>,
    entries: Vec<LogEntry>,
    must_sync: bool,
    messages: Vec<Outgoing>,
}

#[derive(Debug)]
struct Out {
    token: Token,
    number: u64,
    term: u64,
    installs: bool,
    messages: Vec<Outgoing>,
}

/// A write that is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// All `Ready`s up to this one are durable.
    pub(crate) number: u64,
    pub(crate) installed: bool,
}

impl Writes {
    pub(crate) fn new(hard_state: HardState) -> Self {
        Writes {
            next: Gathering::default(),
            out: None,
            released: Vec::new(),
            hard_state,
            durable_term: hard_state.term.0,
            tokens: 0,
        }
    }

    pub(crate) fn gather(&mut self, part: Part) {
        let next = &mut self.next;
        assert!(part.number > next.number, "raft numbers its readies upwards");
        next.number = part.number;
        if let Some(snapshot) = part.snapshot {
            // It takes the place of everything before it, written or not.
            next.entries.clear();
            next.snapshot = Some(snapshot);
        }
        if let Some(first) = part.entries.first() {
            // They take the place of what stands from the first one's index on.
            let kept = next.entries.partition_point(|entry| entry.index < first.index);
            next.entries.truncate(kept);
            next.entries.extend(part.entries);
        }
        if let Some(hard_state) = part.hard_state {
            self.hard_state = hard_state;
        }
        next.must_sync |= part.must_sync;
        next.messages.extend(part.messages);
    }

    /// The next write, if none is out and something must be written.
    pub(crate) fn hand_out(&mut self) -> Option<Persist> {
        if self.out.is_some() || !self.next.must_sync {
            return None;
        }
        let Gathering { number, snapshot, entries, messages, .. } = std::mem::take(&mut self.next);
        // Numbers go on upwards over the whole life.
        self.next.number = number;
        self.tokens += 1;
        let token = Token(self.tokens);
        let installs = snapshot.is_some();
        self.out = Some(Out { token, number, term: self.hard_state.term.0, installs, messages });
        Some(Persist { token, snapshot, entries, hard_state: self.hard_state })
    }

    /// With nothing out and nothing that must be written, what was held back may leave; raft
    /// is told that all up to this number is durable.
    pub(crate) fn nothing_to_write(&mut self) -> Option<u64> {
        if self.out.is_some() || self.next.must_sync {
            return None;
        }
        self.released.append(&mut self.next.messages);
        Some(self.next.number)
    }

    pub(crate) fn done(&mut self, token: Token) -> Done {
        let Some(out) = self.out.take_if(|out| out.token == token) else {
            panic!("{token:?} is said to be durable and is not out");
        };
        self.durable_term = out.term;
        self.released.extend(out.messages);
        if lives(Mutant::DurableWithTheWriteBefore) {
            self.released.append(&mut self.next.messages);
            return Done { number: out.number.max(self.next.number), installed: out.installs };
        }
        Done { number: out.number, installed: out.installs }
    }

    pub(crate) fn take_released(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.released)
    }

    /// Whether a snapshot from the leader is not yet durable.
    pub(crate) fn installing(&self) -> bool {
        self.next.snapshot.is_some() || self.out.as_ref().is_some_and(|out| out.installs)
    }

    pub(crate) fn is_durable_term(&self, term: u64) -> bool {
        self.durable_term == term
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dagmar_common::ids::{LogIndex, Term};

    use super::*;
    use crate::durable::EntryKind;

    fn entry(index: u64, term: u64) -> LogEntry {
        let (index, term) = (LogIndex(index), Term(term));
        LogEntry { index, term, kind: EntryKind::Data, data: Bytes::new() }
    }

    fn part(number: u64, entries: &[(u64, u64)]) -> Part {
        let entries: Vec<_> = entries.iter().map(|(index, term)| entry(*index, *term)).collect();
        let messages = vec![Outgoing { to: ReplicaId(number), bytes: Vec::new(), snapshot: None }];
        let must_sync = !entries.is_empty();
        Part { number, entries, must_sync, messages, ..Part::default() }
    }

    fn released(writes: &mut Writes) -> Vec<u64> {
        writes.take_released().iter().map(|message| message.to.0).collect()
    }

    #[test]
    fn what_comes_while_a_write_is_out_makes_one_next_write() {
        let mut writes = Writes::new(HardState::default());
        writes.gather(part(1, &[(2, 1)]));
        let first = writes.hand_out().unwrap();
        writes.gather(part(2, &[(3, 1), (4, 1)]));
        writes.gather(part(3, &[]));
        writes.gather(part(4, &[(4, 2), (5, 2)]));
        assert_eq!(writes.hand_out(), None, "one is out");
        assert!(released(&mut writes).is_empty(), "nothing is durable yet");
        assert_eq!(writes.done(first.token).number, 1);
        assert_eq!(released(&mut writes), [1]);
        let second = writes.hand_out().unwrap();
        assert_eq!(second.entries, [entry(3, 1), entry(4, 2), entry(5, 2)]);
        assert_eq!(writes.done(second.token).number, 4);
        assert_eq!(released(&mut writes), [2, 3, 4]);
    }

    #[test]
    fn a_message_without_a_write_of_its_own_waits_for_those_before() {
        let mut writes = Writes::new(HardState::default());
        writes.gather(part(1, &[]));
        assert_eq!(writes.nothing_to_write(), Some(1));
        assert_eq!(released(&mut writes), [1]);
        writes.gather(part(2, &[(2, 1)]));
        let persist = writes.hand_out().unwrap();
        writes.gather(part(3, &[]));
        assert_eq!(writes.nothing_to_write(), None);
        writes.done(persist.token);
        assert_eq!(released(&mut writes), [2]);
        assert_eq!(writes.nothing_to_write(), Some(3));
        assert_eq!(released(&mut writes), [3]);
    }

    #[test]
    fn a_snapshot_takes_the_place_of_what_gathered_before_it() {
        let mut writes = Writes::new(HardState::default());
        writes.gather(part(1, &[(2, 1)]));
        let meta = SnapshotMeta { index: LogIndex(9), term: Term(2), ..Default::default() };
        writes.gather(Part {
            number: 2,
            snapshot: Some(meta.clone()),
            must_sync: true,
            ..Part::default()
        });
        assert!(writes.installing());
        let persist = writes.hand_out().unwrap();
        assert_eq!((persist.snapshot, persist.entries), (Some(meta), vec![]));
        assert!(writes.installing());
        assert!(writes.done(persist.token).installed);
        assert!(!writes.installing());
    }

    #[test]
    #[should_panic(expected = "is not out")]
    fn a_token_answers_once() {
        let mut writes = Writes::new(HardState::default());
        writes.gather(part(1, &[(2, 1)]));
        let persist = writes.hand_out().unwrap();
        writes.done(persist.token);
        writes.done(persist.token);
    }
}
