//! One turn of a replica: what raft has ready, in the one order that is safe.

use bytes::Bytes;
use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use dagmar_common::mutant::{Mutant, lives};
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, Entry, EntryType, Message};
use raft::{INVALID_ID, Ready, StateRole};

use crate::durable::{EntryKind, HardState, LogEntry, Persist, SnapshotMeta};
use crate::membership::Membership;
use crate::message;
use crate::reads::Read;
use crate::replica::{Replica, Standing};
use crate::writes::{Outgoing, Part};

/// What is to be done outside, in the order of the fields. Nothing in it waits for anything
/// else in it: whatever must wait for the disk comes out only after
/// [`persisted`](Replica::persisted).
#[derive(Debug, Default)]
pub struct Work {
    /// Who this replica is from here on, if that changed.
    pub standing: Option<Standing>,
    /// To be sent, in any order; each may be lost.
    pub send: Vec<Outgoing>,
    /// To be made durable by one transaction. No other comes before it is answered.
    pub persist: Option<Persist>,
    /// To be applied, in order. They are committed, and durable here.
    pub committed: Vec<Committed>,
    pub reads: Vec<Read>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub index: LogIndex,
    pub term: Term,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What was proposed.
    Data(Bytes),
    /// Nothing to apply, but the index counts: a leader's first mark, or a refused change.
    Nothing,
    /// Who takes part from here on. It belongs into the head of every snapshot from here on.
    Membership(Membership),
}

impl Work {
    fn is_empty(&self) -> bool {
        self.standing.is_none()
            && self.send.is_empty()
            && self.persist.is_none()
            && self.committed.is_empty()
            && self.reads.is_empty()
    }
}

impl Replica {
    /// What there is to do, until there is nothing.
    pub fn ready(&mut self) -> Option<Work> {
        let mut work = Work::default();
        while work.is_empty() && self.node.has_ready() {
            self.turn(&mut work);
        }
        self.finish(&mut work);
        (!work.is_empty()).then_some(work)
    }

    /// One `Ready` of raft. The order matters:
    fn turn(&mut self, work: &mut Work) {
        let mut ready = self.node.ready();
        let mut part = Part {
            number: ready.number(),
            hard_state: ready.hs().map(hard_state),
            must_sync: ready.must_sync(),
            ..Part::default()
        };

        // 1. A leader's messages leave at once, beside its own write: the followers' disks and
        //    its own work at the same time. Not so before its own term is durable. That is so
        //    when others elected it, but an only voter elects itself in this very turn, and
        //    must not speak (to learners) in a term that a crash would let it begin again.
        let at_once = outgoing(ready.take_messages());
        if self.writes.is_durable_term(self.node.raft.term) {
            work.send.extend(at_once);
        } else {
            part.messages.extend(at_once);
        }

        // 2. A snapshot, and only then entries: they stand behind it. Into memory now, where raft
        //    reads them from now on, and into the write.
        if !ready.snapshot().is_empty() {
            let snapshot = snapshot_meta(&ready);
            self.node.mut_store().install(snapshot.clone());
            part.snapshot = Some(snapshot);
        }
        self.node.mut_store().append(ready.entries());
        part.entries = ready.entries().iter().map(log_entry).collect();

        // 3. All other messages promise something (a vote, an append), so the write that makes
        //    it durable holds them back; it is the only way out for them.
        let promises = outgoing(ready.take_persisted_messages());
        if lives(Mutant::SendBeforePersist) {
            work.send.extend(promises);
        } else {
            part.messages.extend(promises);
        }

        // 4. Reads that a quorum confirmed; they wait until their index is applied.
        for state in ready.take_read_states() {
            self.reads.confirm(&state.request_ctx, state.index);
        }

        // 5. What is committed. Raft gives only what is durable here too, so a crash cannot take
        //    back what was applied. Changes of the membership count from here on.
        let committed = ready.take_committed_entries();
        self.writes.gather(part);
        self.node.advance_append_async(ready);
        for entry in committed {
            let committed = self.commit(entry);
            work.committed.push(committed);
        }

        // 6. For raft, handed out is applied: it asks only for changes of the membership, and
        //    these are. While a snapshot is installed there is nothing to apply.
        if !self.writes.installing() {
            self.node.advance_apply();
        }
        self.settle();
    }

    /// What the turns left: the next write, and what nothing holds back any longer.
    fn finish(&mut self, work: &mut Work) {
        work.persist = self.writes.hand_out();
        if let Some(number) = self.writes.nothing_to_write() {
            self.node.on_persist_ready(number);
        }
        work.send.extend(self.writes.take_released());
        let standing = self.standing();
        if standing != self.told {
            self.told = standing;
            work.standing = Some(standing);
        }
        work.reads = self.reads.take(self.applied);
    }

    fn commit(&mut self, entry: Entry) -> Committed {
        let (index, term) = (LogIndex(entry.index), Term(entry.term));
        let body = match entry.get_entry_type() {
            EntryType::EntryNormal if entry.data.is_empty() => Body::Nothing,
            EntryType::EntryNormal => Body::Data(entry.data),
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                self.change_members(&entry)
            }
        };
        Committed { index, term, body }
    }

    /// A change that does not fit is refused by every replica alike: it is judged by the
    /// membership alone, and that is the same everywhere at this index.
    fn change_members(&mut self, entry: &Entry) -> Body {
        let Ok(change) = ConfChange::parse_from_bytes(&entry.data) else {
            panic!("entry {} is committed and is no change of the membership", entry.index);
        };
        if self.node.apply_conf_change(&change).is_err() {
            return Body::Nothing;
        }
        let membership = self.membership();
        // The library lets a leader that was removed go on leading (0.7.0). It was another who
        // proposed that, before it led, so it could not be refused then.
        if self.node.raft.state == StateRole::Leader && !membership.voters.contains(&self.id) {
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, INVALID_ID);
        }
        Body::Membership(membership)
    }
}

fn outgoing(messages: Vec<Message>) -> impl Iterator<Item = Outgoing> {
    messages.into_iter().map(|message| Outgoing {
        to: ReplicaId(message.to),
        snapshot: message::snapshot_meta(&message),
        // Writing into memory fails only for a message without a required field; these have none.
        bytes: message.write_to_bytes().unwrap_or_default(),
    })
}

fn hard_state(raw: &raft::eraftpb::HardState) -> HardState {
    let vote = (raw.vote != INVALID_ID).then_some(ReplicaId(raw.vote));
    HardState { term: Term(raw.term), vote, commit: LogIndex(raw.commit) }
}

fn snapshot_meta(ready: &Ready) -> SnapshotMeta {
    let head = ready.snapshot().get_metadata();
    // A joint configuration is refused where the message comes in.
    let membership = Membership::from_raft(head.get_conf_state()).unwrap_or_default();
    SnapshotMeta { index: LogIndex(head.index), term: Term(head.term), membership }
}

fn log_entry(entry: &Entry) -> LogEntry {
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => EntryKind::Data,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::Change,
    };
    let (index, term) = (LogIndex(entry.index), Term(entry.term));
    LogEntry { index, term, kind, data: entry.data.clone() }
}
