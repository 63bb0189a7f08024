//! Tests of one replica alone: how it starts, what it refuses, in which order it lets things out.

use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use protobuf::Message as _;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use crate::durable::{EntryKind, Persist, Recovered};
use crate::{
    Body, Change, ChangeError, Committed, ProposeError, Proposed, ReadFate, ReceiveError, Replica,
    ReplicaConfig, Role, SnapshotMeta, Standing, Work,
};

const ALONE: &[u64] = &[1];
const THREE: &[u64] = &[1, 2, 3];

fn config() -> ReplicaConfig {
    ReplicaConfig { id: ReplicaId(1), seed: 5, boot_nonce: 9 }
}

fn born(voters: &[u64]) -> Replica {
    let voters: Vec<_> = voters.iter().map(|id| ReplicaId(*id)).collect();
    Replica::new(config(), Recovered::bootstrap(&voters)).unwrap()
}

/// The durable parts after `persist`, as a store would give them back.
fn after(mut recovered: Recovered, persist: &Persist) -> Recovered {
    if let Some(snapshot) = &persist.snapshot {
        recovered.base = snapshot.clone();
        recovered.entries.clear();
    }
    if let Some(first) = persist.entries.first() {
        recovered.entries.retain(|entry| entry.index < first.index);
        recovered.entries.extend(persist.entries.iter().cloned());
    }
    recovered.hard_state = persist.hard_state;
    recovered
}

fn turn(replica: &mut Replica) -> Work {
    replica.ready().expect("something is ready")
}

fn write(work: &mut Work) -> Persist {
    work.persist.take().expect("something must be written")
}

fn data(committed: &[Committed]) -> Vec<&[u8]> {
    committed
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::Data(data) => Some(&data[..]),
            Body::Nothing | Body::Membership(_) => None,
        })
        .collect()
}

/// A replica that is alone and leads, with everything written and applied.
fn leader() -> Replica {
    let mut replica = born(ALONE);
    replica.campaign();
    settle(&mut replica);
    replica
}

fn settle(replica: &mut Replica) -> Vec<Committed> {
    let mut committed = Vec::new();
    while let Some(mut work) = replica.ready() {
        if let Some(persist) = work.persist.take() {
            replica.persisted(persist.token);
        }
        if let Some(last) = work.committed.last() {
            replica.applied(last.index);
        }
        committed.append(&mut work.committed);
    }
    committed
}

fn heard(kind: MessageType, from: u64, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message { from, to: 1, term: 1, ..Default::default() };
    message.set_msg_type(kind);
    change(&mut message);
    message.write_to_bytes().unwrap()
}

#[test]
fn alone_it_leads_after_one_turn_without_a_tick_and_one_write_holds_it_all() {
    let mut replica = born(ALONE);
    replica.campaign();
    let proposed = replica.propose(b"first".to_vec()).unwrap();
    assert_eq!(proposed, Proposed { term: Term(2), index: LogIndex(3) });
    let mut work = turn(&mut replica);
    assert_eq!(work.standing, Some(Standing { term: Term(2), role: Role::Leader }));
    let persist = write(&mut work);
    assert_eq!(persist.hard_state.vote, Some(ReplicaId(1)));
    assert_eq!(persist.hard_state.term, Term(2));
    let written: Vec<_> = persist.entries.iter().map(|entry| entry.index.0).collect();
    assert_eq!(written, [2, 3]);
    assert_eq!(work.committed, [], "nothing is committed before it is durable");
    assert!(replica.ready().is_none());
    replica.persisted(persist.token);
    let work = turn(&mut replica);
    assert_eq!(data(&work.committed), [b"first"]);
    assert_eq!(work.committed[0].body, Body::Nothing);
    assert!(work.persist.is_none(), "a commit index is not worth a write of its own");
}

#[test]
fn proposals_made_while_a_write_is_out_make_one_next_write() {
    let mut replica = leader();
    replica.propose(b"a".to_vec()).unwrap();
    let first = write(&mut turn(&mut replica));
    for text in [b"b", b"c", b"d"] {
        replica.propose(text.to_vec()).unwrap();
        assert!(replica.ready().is_none_or(|work| work.persist.is_none()));
    }
    replica.persisted(first.token);
    let mut work = turn(&mut replica);
    assert_eq!(data(&work.committed), [b"a"]);
    let second = write(&mut work);
    let written: Vec<_> = second.entries.iter().map(|entry| &entry.data[..]).collect();
    assert_eq!(written, [b"b", b"c", b"d"]);
    replica.persisted(second.token);
    assert_eq!(data(&turn(&mut replica).committed), [b"b", b"c", b"d"]);
}

#[test]
fn it_comes_back_from_what_was_written_and_hands_out_everything_again() {
    let mut replica = born(ALONE);
    replica.campaign();
    replica.propose(b"first".to_vec()).unwrap();
    let persist = write(&mut turn(&mut replica));
    let recovered = after(Recovered::bootstrap(&[ReplicaId(1)]), &persist);
    assert_eq!(recovered.hard_state.commit, LogIndex(1), "what was committed is not known yet");
    let mut replica = Replica::new(config(), recovered).unwrap();
    assert!(replica.ready().is_none());
    replica.campaign();
    assert_eq!(replica.standing(), Standing { term: Term(3), role: Role::Leader });
    let committed = settle(&mut replica);
    assert_eq!(data(&committed), [b"first"]);
    assert_eq!(committed.last().unwrap().index, LogIndex(4), "its new mark");
}

#[test]
fn behind_a_snapshot_only_what_follows_it_is_handed_out() {
    let mut replica = leader();
    let mut parts = Recovered::bootstrap(&[ReplicaId(1)]);
    parts.hard_state.term = Term(2);
    for text in [b"a", b"b", b"c"] {
        replica.propose(text.to_vec()).unwrap();
    }
    let persist = write(&mut turn(&mut replica));
    let meta = SnapshotMeta { index: LogIndex(4), term: Term(2), membership: replica.membership() };
    let mut recovered = after(parts, &persist);
    recovered.base = meta.clone();
    let mut again = Replica::new(config(), recovered).unwrap();
    again.campaign();
    assert_eq!(data(&settle(&mut again)), [b"c"]);
    replica.persisted(persist.token);
    settle(&mut replica);
    replica.snapshot_saved(meta);
    assert_eq!(replica.status().first_in_memory, LogIndex(5));
}

#[test]
fn one_of_three_neither_leads_nor_proposes_nor_reads_by_itself() {
    let mut replica = born(THREE);
    replica.campaign();
    assert_eq!(replica.standing().role, Role::Candidate);
    assert_eq!(replica.propose(b"x".to_vec()), Err(ProposeError::NotLeader { hint: None }));
    let id = replica.read();
    let mut work = turn(&mut replica);
    assert_eq!(work.reads, [crate::Read { id, fate: ReadFate::Dropped }]);
    assert_eq!(work.send.len(), 2, "asking whether it may stand changes nothing durable");
    assert!(work.persist.take().is_none());
}

#[test]
fn a_vote_leaves_only_when_it_is_durable() {
    let mut replica = born(THREE);
    let request = |message: &mut Message| {
        (message.term, message.index, message.log_term) = (2, 1, 1);
    };
    let bytes = heard(MessageType::MsgRequestVote, 2, request);
    replica.receive(ReplicaId(2), &bytes).unwrap();
    let mut work = turn(&mut replica);
    assert_eq!(work.send, []);
    let persist = write(&mut work);
    assert_eq!(persist.hard_state.vote, Some(ReplicaId(2)));
    assert!(replica.ready().is_none());
    replica.persisted(persist.token);
    assert_eq!(turn(&mut replica).send.len(), 1);
}

#[test]
fn a_follower_names_the_leader_and_a_read_lost_on_the_way_is_dropped() {
    let mut replica = born(THREE);
    let bytes = heard(MessageType::MsgHeartbeat, 3, |_| {});
    replica.receive(ReplicaId(3), &bytes).unwrap();
    let hint = Some(ReplicaId(3));
    assert_eq!(replica.propose(b"x".to_vec()), Err(ProposeError::NotLeader { hint }));
    let id = replica.read();
    assert!(turn(&mut replica).reads.is_empty(), "the leader may answer");
    for _ in 0..=crate::ELECTION_TICKS {
        replica.receive(ReplicaId(3), &bytes).unwrap();
        replica.tick();
    }
    let reads: Vec<_> =
        std::iter::from_fn(|| replica.ready()).flat_map(|work| work.reads).collect();
    assert_eq!(reads, [crate::Read { id, fate: ReadFate::Dropped }]);
}

#[test]
fn a_read_of_a_leader_waits_until_its_index_is_applied() {
    let mut replica = leader();
    replica.propose(b"a".to_vec()).unwrap();
    let persist = write(&mut turn(&mut replica));
    replica.persisted(persist.token);
    let committed = turn(&mut replica).committed;
    let id = replica.read();
    assert!(replica.ready().is_none_or(|work| work.reads.is_empty()));
    let index = committed.last().unwrap().index;
    replica.applied(index);
    assert_eq!(turn(&mut replica).reads, [crate::Read { id, fate: ReadFate::Released { index } }]);
}

#[test]
fn a_leader_that_knows_more_than_this_disk_holds_is_a_reason_to_halt() {
    let mut replica = born(THREE);
    let bytes = heard(MessageType::MsgHeartbeat, 2, |message| message.commit = 7);
    let error = replica.receive(ReplicaId(2), &bytes).unwrap_err();
    assert!(matches!(error, ReceiveError::LostData { acknowledged: LogIndex(7), .. }));
    assert!(error.to_string().contains("remove replica 1 from the cluster"), "{error}");
}

#[test]
fn too_much_uncommitted_is_refused_and_room_comes_back() {
    let mut replica = leader();
    let large = || vec![7; 1 << 20];
    let refused = (0..10).find_map(|_| replica.propose(large()).err());
    assert_eq!(refused, Some(ProposeError::Full));
    settle(&mut replica);
    replica.propose(large()).unwrap();
}

#[test]
fn members_change_one_step_at_a_time_and_a_leader_is_not_removed() {
    let mut replica = leader();
    assert_eq!(replica.change(Change::Remove(ReplicaId(1))), Err(ChangeError::Leads(ReplicaId(1))));
    let promote = Change::Promote(ReplicaId(2));
    assert_eq!(replica.change(promote), Err(ChangeError::NotLearner(ReplicaId(2))));
    replica.change(Change::AddLearner(ReplicaId(2))).unwrap();
    assert_eq!(replica.change(Change::AddLearner(ReplicaId(3))), Err(ChangeError::Pending));
    let committed = settle(&mut replica);
    let Body::Membership(members) = &committed.last().unwrap().body else {
        panic!("{committed:?}");
    };
    assert_eq!(members.learners, [ReplicaId(2)]);
    assert_eq!(*members, replica.membership());
    for _ in 0..1_500 {
        replica.propose(b"x".to_vec()).unwrap();
    }
    let behind = replica.change(promote).unwrap_err();
    assert!(matches!(behind, ChangeError::Behind { learner: ReplicaId(2), .. }), "{behind}");
    settle(&mut replica);
    replica.change(Change::Remove(ReplicaId(2))).unwrap();
    settle(&mut replica);
    assert_eq!(replica.membership().learners, []);
}

#[test]
fn an_only_voter_says_nothing_to_a_learner_before_its_own_term_is_durable() {
    let mut parts = Recovered::bootstrap(&[ReplicaId(1)]);
    parts.base.membership.learners.push(ReplicaId(2));
    let mut replica = Replica::new(config(), parts).unwrap();
    replica.campaign();
    let mut work = turn(&mut replica);
    assert_eq!(work.send, []);
    replica.persisted(write(&mut work).token);
    assert!(!turn(&mut replica).send.is_empty());
}

#[test]
fn entries_keep_their_kind_on_the_way_to_the_disk_and_back() {
    let mut replica = leader();
    replica.change(Change::AddLearner(ReplicaId(2))).unwrap();
    let persist = write(&mut turn(&mut replica));
    assert_eq!(persist.entries[0].kind, EntryKind::Change);
    let mut parts = Recovered::bootstrap(&[ReplicaId(1)]);
    parts.base.index = LogIndex(2);
    parts.base.term = Term(2);
    let mut again = Replica::new(config(), after(parts, &persist)).unwrap();
    again.campaign();
    settle(&mut again);
    assert_eq!(again.membership().learners, [ReplicaId(2)]);
}

#[test]
fn an_only_voter_does_not_lead_before_all_of_its_log_is_durable() {
    let mut replica = born(&[1, 2]);
    let appended = |index, kind, data: Vec<u8>| {
        let mut entry = Entry { index, term: 2, data: data.into(), ..Default::default() };
        entry.set_entry_type(kind);
        heard(MessageType::MsgAppend, 2, |message| {
            (message.term, message.index, message.commit) = (2, index - 1, index - 1);
            message.log_term = if index == 2 { 1 } else { 2 };
            message.entries = vec![entry].into();
        })
    };
    let removal = Change::Remove(ReplicaId(2)).to_raft().write_to_bytes().unwrap();
    let removal = appended(2, EntryType::EntryConfChange, removal);
    replica.receive(ReplicaId(2), &removal).unwrap();
    settle(&mut replica);
    // From here on it is alone, with an entry on its way to the disk.
    let last = appended(3, EntryType::EntryNormal, b"last".to_vec());
    replica.receive(ReplicaId(2), &last).unwrap();
    let persist = write(&mut turn(&mut replica));
    assert_eq!(replica.membership().voters, [ReplicaId(1)]);
    replica.campaign();
    assert!(!replica.leads());
    replica.persisted(persist.token);
    settle(&mut replica);
    replica.campaign();
    assert!(replica.leads());
}
