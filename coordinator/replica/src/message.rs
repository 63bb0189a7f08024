//! Messages between replicas: bytes that are parsed and judged before raft sees them.
//!
//! Raft trusts its peers and panics over what cannot be. What comes from outside is never
//! asserted: it is refused here.

use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, Entry, EntryType, Message, MessageType};
use raft::raw_node::is_local_msg;
use thiserror::Error;

use crate::durable::SnapshotMeta;
use crate::membership::Membership;

/// A larger message is refused unparsed. Appends carry 64 KiB of entries, or one entry.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Terms are packed into 32 bits of a session's number; a real one never comes near.
const TERM_MAX: u64 = u32::MAX as u64;
/// No log comes near; beyond it sums of indexes could overflow.
const INDEX_MAX: u64 = 1 << 62;
/// Bytes of a read's context.
const CONTEXT_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReceiveError {
    /// Drop it and count it.
    #[error("a message that says it is from replica {from} is refused: {why}")]
    Refused { from: ReplicaId, why: &'static str },
    /// Halt: to go on would forget what this replica has promised.
    #[error(
        "this replica lost data it had acknowledged: its log ends at {last}, and the leader was \
         told that {acknowledged} was durable here; remove replica {id} from the cluster and add \
         a new one with an empty directory"
    )]
    LostData { id: ReplicaId, last: LogIndex, acknowledged: LogIndex },
}

/// The snapshot that a message brings the head of. Its chunks must be durable here before the
/// message is [received](crate::Replica::receive_snapshot).
pub fn announced_snapshot(bytes: &[u8]) -> Option<SnapshotMeta> {
    let message = Message::parse_from_bytes(bytes).ok()?;
    snapshot_meta(&message)
}

pub(crate) fn snapshot_meta(message: &Message) -> Option<SnapshotMeta> {
    if message.get_msg_type() != MessageType::MsgSnapshot {
        return None;
    }
    let head = message.get_snapshot().get_metadata();
    let membership = Membership::from_raft(head.get_conf_state())?;
    let (index, term) = (LogIndex(head.index), Term(head.term));
    let fits = head.index > 0 && head.term > 0 && !membership.voters.is_empty();
    fits.then_some(SnapshotMeta { index, term, membership })
}

/// What `from` sent to `to`, parsed and found to be something a peer may say.
pub(crate) fn open(from: ReplicaId, to: ReplicaId, bytes: &[u8]) -> Result<Message, ReceiveError> {
    let refuse = |why| Err(ReceiveError::Refused { from, why });
    if bytes.len() > MESSAGE_BYTES_MAX {
        return refuse("larger than 8 MiB");
    }
    let Ok(message) = Message::parse_from_bytes(bytes) else {
        return refuse("not a message");
    };
    match fault(from, to, &message) {
        Some(why) => refuse(why),
        None => Ok(message),
    }
}

fn fault(from: ReplicaId, to: ReplicaId, message: &Message) -> Option<&'static str> {
    let kind = message.get_msg_type();
    if message.from != from.0 || message.to != to.0 || from == to {
        return Some("its sender or receiver is another replica");
    }
    if is_local_msg(kind) {
        return Some("of a kind that a replica says only to itself");
    }
    // A follower here never forwards: the answer would be lost on the way back.
    if matches!(kind, MessageType::MsgPropose | MessageType::MsgTransferLeader) {
        return Some("a forwarded proposal");
    }
    let asks_to_read = kind == MessageType::MsgReadIndex;
    if message.term > TERM_MAX || (message.term == 0) != asks_to_read {
        return Some("its term cannot be");
    }
    let numbers = [message.index, message.commit, message.reject_hint];
    if numbers.into_iter().any(|number| number > INDEX_MAX) {
        return Some("its index cannot be");
    }
    match kind {
        MessageType::MsgAppend => entries_fault(message),
        MessageType::MsgReadIndex | MessageType::MsgReadIndexResp => read_fault(message),
        MessageType::MsgSnapshot if snapshot_meta(message).is_none() => {
            Some("its snapshot has no head")
        }
        MessageType::MsgSnapshot if message.get_snapshot().get_metadata().term > message.term => {
            Some("its snapshot is of a later term")
        }
        _ if !message.entries.is_empty() => Some("entries where none belong"),
        _ => None,
    }
}

fn entries_fault(message: &Message) -> Option<&'static str> {
    let (mut index, mut term) = (message.index, message.log_term);
    for entry in message.get_entries() {
        if entry.index != index + 1 || entry.term < term.max(1) || entry.term > message.term {
            return Some("its entries are not in order");
        }
        (index, term) = (entry.index, entry.term);
        if !is_ours(entry) {
            return Some("an entry of a kind that we do not write");
        }
    }
    None
}

fn read_fault(message: &Message) -> Option<&'static str> {
    let [entry] = message.get_entries() else {
        return Some("a read without its context");
    };
    (entry.data.len() > CONTEXT_BYTES_MAX).then_some("a read with a large context")
}

fn is_ours(entry: &Entry) -> bool {
    entry.context.is_empty()
        && match entry.get_entry_type() {
            EntryType::EntryNormal => true,
            EntryType::EntryConfChange => ConfChange::parse_from_bytes(&entry.data).is_ok(),
            EntryType::EntryConfChangeV2 => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(indexes: &[(u64, u64)]) -> Message {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.from, message.to, message.term, message.index) = (2, 1, 3, 10);
        message.log_term = 2;
        let entry = |(index, term): &(u64, u64)| {
            let mut entry = Entry::default();
            (entry.index, entry.term) = (*index, *term);
            entry
        };
        message.set_entries(indexes.iter().map(entry).collect::<Vec<_>>().into());
        message
    }

    fn check(message: &Message, expected: Option<&str>) {
        let bytes = message.write_to_bytes().unwrap();
        let found = open(ReplicaId(2), ReplicaId(1), &bytes).err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(found, None),
            Some(why) => assert!(found.as_ref().is_some_and(|it| it.contains(why)), "{found:?}"),
        }
    }

    #[test]
    fn what_no_peer_may_say_is_refused() {
        check(&append(&[(11, 2), (12, 3)]), None);
        check(&append(&[(12, 2)]), Some("not in order"));
        check(&append(&[(11, 1)]), Some("not in order"));
        check(&append(&[(11, 4)]), Some("not in order"));
        check(&Message { to: 3, ..append(&[]) }, Some("another replica"));
        check(&Message { from: 3, ..append(&[]) }, Some("another replica"));
        check(&Message { term: 0, ..append(&[]) }, Some("term"));
        check(&Message { term: 1 << 40, ..append(&[]) }, Some("term"));
        check(&Message { index: u64::MAX, ..append(&[]) }, Some("index"));
        for (kind, why) in [
            (MessageType::MsgHup, "itself"),
            (MessageType::MsgPropose, "forwarded"),
            (MessageType::MsgReadIndexResp, "context"),
            (MessageType::MsgSnapshot, "head"),
        ] {
            let mut message = append(&[]);
            message.set_msg_type(kind);
            check(&message, Some(why));
        }
        let mut message = append(&[(11, 2)]);
        message.set_msg_type(MessageType::MsgHeartbeat);
        check(&message, Some("none belong"));
        let mut joint = append(&[(11, 2)]);
        joint.mut_entries()[0].set_entry_type(EntryType::EntryConfChangeV2);
        check(&joint, Some("do not write"));
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        let open = |bytes: &[u8]| open(ReplicaId(2), ReplicaId(1), bytes);
        assert!(open(b"\xff\xff\xff").is_err());
        assert!(open(&vec![0; MESSAGE_BYTES_MAX + 1]).is_err());
        assert_eq!(announced_snapshot(b"\xff"), None);
    }
}
