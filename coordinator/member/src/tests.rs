//! Members at work: alone, and three of them with a network that loses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dagmar_common::ids::{Digest, LogIndex, ReplicaId, RequestId, RunId};
use dagmar_common::limits::STAGE_CHUNK_BYTES;
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Command, Part};
use dagmar_coordinator_core::effect::Reply;
use dagmar_replica::{Change, Outgoing, Recovered, ReplicaConfig, TICK, announced_snapshot};

use crate::reading::Reader;
use crate::{Halt, Member, MemberConfig, Output, SnapshotRule};

const A: ReplicaId = ReplicaId(1);
const B: ReplicaId = ReplicaId(2);
const C: ReplicaId = ReplicaId(3);

type Chunks = Vec<Vec<u8>>;

fn at(millis: u64) -> Now {
    Now { boot: BootTime(0) + Span::from_millis(millis), ..Now::default() }
}

fn member(id: ReplicaId, recovered: Recovered) -> Member<u64, u64> {
    let config = MemberConfig {
        replica: ReplicaConfig { id, seed: id.0, boot_nonce: 1 },
        lost_after: None,
        within: None,
        snapshots: SnapshotRule::default(),
    };
    Member::new(config, recovered, State::new(), at(0)).unwrap()
}

/// What cannot be: it is refused, by the log.
fn cancel(request: u128) -> Command {
    let (request, run) = (RequestId(request), RunId::new("none"));
    Command::Cancel { request, run, reason: String::new() }
}

fn chunk(number: u64) -> Command {
    let bytes = vec![number as u8; STAGE_CHUNK_BYTES];
    let (digest, total) = (Digest::of(&bytes), bytes.len() as u64);
    Command::Stage { part: Part::Graph, digest, offset: 0, total, bytes }
}

/// Outputs by name, until there are none.
fn names(member: &mut Member<u64, u64>, now: Now) -> Vec<String> {
    std::iter::from_fn(|| member.next_output(now))
        .map(|output| {
            let text = format!("{output:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn token(member: &mut Member<u64, u64>, now: Now) -> dagmar_replica::Token {
    let outputs = std::iter::from_fn(|| member.next_output(now));
    let tokens = outputs.filter_map(|output| match output {
        Output::Persist(persist) => Some(persist.token),
        _ => None,
    });
    tokens.last().unwrap()
}

/// Asked again under a later leadership of the same replica, its answer would pass for that of a
/// round of that one.
#[test]
fn a_round_ends_with_the_leadership_that_asked_for_it() {
    let mut member = member(A, Recovered::bootstrap(&[A]));
    member.reading.ask(&mut member.replica, Reader::Round(1));
    member.read(7);
    let _ = names(&mut member, at(1));
    assert_eq!(member.reading.rounds(), [true, false], "nobody leads: they are to be asked again");
    member.campaign();
    member.next_output(at(2));
    assert!(!member.reading.rounds().contains(&true));
}

#[test]
fn who_is_alone_writes_its_vote_its_mark_and_its_first_entry_at_once() {
    let mut member = member(A, Recovered::bootstrap(&[A]));
    member.propose(cancel(1), Some(7));
    member.campaign();
    let mut persists = Vec::new();
    while let Some(output) = member.next_output(at(1)) {
        if let Output::Persist(persist) = output {
            persists.push(persist);
        }
    }
    let [persist] = &persists[..] else { panic!("{persists:?}") };
    assert_eq!((persist.entries.len(), persist.hard_state.vote), (2, Some(A)));
    member.persisted(at(2), persist.token);
    let outputs = names(&mut member, at(3));
    assert_eq!(outputs, ["Hear", "Applied", "Applied", "Reply", "Hear"]);
}

#[test]
fn what_arrives_while_a_write_is_out_is_the_next_entry() {
    let mut member = member(A, Recovered::bootstrap(&[A]));
    member.campaign();
    let first = token(&mut member, at(1));
    for ticket in 0..3 {
        member.propose(cancel(u128::from(ticket)), Some(ticket));
    }
    assert_eq!(names(&mut member, at(2)), ["Hear"]);
    member.persisted(at(3), first);
    let outputs = names(&mut member, at(3));
    assert_eq!(outputs, ["Hear", "Persist", "Applied", "Applied", "Hear"]);
}

#[test]
fn a_disk_that_hangs_ends_the_process_and_a_machine_that_slept_does_not() {
    let mut member = member(A, Recovered::bootstrap(&[A]));
    member.campaign();
    token(&mut member, at(1));
    let mut now = 3_600_000;
    assert!(!names(&mut member, at(now)).contains(&"Halt".to_owned()));
    let halted = loop {
        now += TICK.0 / 1_000;
        let outputs = std::iter::from_fn(|| member.next_output(at(now)));
        let mut halts = outputs.filter(|output| matches!(output, Output::Halt(_)));
        if let Some(halt) = halts.next() {
            break halt;
        }
        assert!(now < 3_640_000, "nobody noticed");
    };
    assert!(matches!(halted, Output::Halt(Halt::Hung)) && now > 3_629_000, "after {now}");
    assert!(member.next_output(at(now + 1_000)).is_none(), "that was its last word");
}

/// Members, their disks (every write is durable at once), and messages on their way.
struct House {
    now: u64,
    members: BTreeMap<ReplicaId, Member<u64, u64>>,
    saved: BTreeMap<LogIndex, Chunks>,
    network: VecDeque<(ReplicaId, Outgoing)>,
    silent: BTreeSet<ReplicaId>,
    replies: BTreeMap<u64, Reply>,
    /// By whom, and how far its state was.
    looks: BTreeMap<u64, LogIndex>,
    installs: usize,
}

impl House {
    fn new(ids: &[ReplicaId]) -> House {
        let add = |id: &ReplicaId| (*id, member(*id, Recovered::bootstrap(ids)));
        let mut house = House {
            now: 0,
            members: ids.iter().map(add).collect(),
            saved: BTreeMap::new(),
            network: VecDeque::new(),
            silent: BTreeSet::new(),
            replies: BTreeMap::new(),
            looks: BTreeMap::new(),
            installs: 0,
        };
        house.of(A).campaign();
        house.flow();
        assert!(house.of(A).leads());
        house
    }

    fn of(&mut self, id: ReplicaId) -> &mut Member<u64, u64> {
        self.members.get_mut(&id).unwrap()
    }

    /// Until nobody has anything to do or to say.
    fn flow(&mut self) {
        loop {
            for id in self.members.keys().copied().collect::<Vec<_>>() {
                while let Some(output) =
                    self.members.get_mut(&id).unwrap().next_output(at(self.now))
                {
                    self.perform(id, output);
                }
            }
            let Some((from, message)) = self.network.pop_front() else { return };
            self.deliver(from, message);
        }
    }

    fn perform(&mut self, id: ReplicaId, output: Output<u64, u64>) {
        let (now, member) = (at(self.now), self.members.get_mut(&id).unwrap());
        match output {
            Output::ToPeer(message) => self.network.push_back((id, message)),
            Output::Persist(persist) => member.persisted(now, persist.token),
            Output::Reply { ticket, reply } => {
                assert_eq!(self.replies.insert(ticket, reply), None, "{ticket} is answered twice");
            }
            Output::Look(ticket) => {
                self.looks.insert(ticket, member.state().last_applied());
            }
            Output::SnapshotDue(meta) => {
                self.saved.insert(meta.index, chunks(member));
                member.snapshot_saved(meta, 1);
            }
            Output::Installed(_) => self.installs += 1,
            Output::Halt(_) | Output::Refused(_) => panic!("{output:?}"),
            _ => {}
        }
    }

    fn deliver(&mut self, from: ReplicaId, message: Outgoing) {
        let Outgoing { to, bytes, snapshot } = message;
        let arrives = !self.silent.contains(&from) && !self.silent.contains(&to);
        let there = arrives && self.members.contains_key(&to);
        if there && let Some(meta) = announced_snapshot(&bytes) {
            let state = State::restore(&self.saved[&meta.index]).unwrap();
            self.of(to).snapshot_from_peer(from, &bytes, meta, state);
        } else if there {
            self.of(to).from_peer(from, &bytes);
        }
        if snapshot.is_some() {
            self.of(from).report_snapshot(to, there);
        }
    }

    fn ticks(&mut self, count: u64) {
        for _ in 0..count {
            self.now += TICK.0 / 1_000;
            self.flow();
        }
    }

    /// Everybody stands at the same place with the same state.
    #[track_caller]
    fn agrees(&mut self) {
        let mut all = self.members.values_mut().map(|it| (it.applied_to(), chunks(it)));
        let first = all.next().unwrap();
        assert!(all.all(|one| one == first), "they differ");
    }
}

fn chunks(member: &mut Member<u64, u64>) -> Chunks {
    let mut chunks = Vec::new();
    let written = member.freeze().write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    written.unwrap();
    chunks
}

#[test]
fn what_a_leader_acknowledged_stands_everywhere_and_a_follower_refuses_at_once() {
    let mut house = House::new(&[A, B, C]);
    house.of(A).propose(cancel(1), Some(1));
    house.of(B).propose(cancel(2), Some(2));
    house.flow();
    assert!(matches!(house.replies[&1], Reply::Refused(_)));
    assert_eq!(house.replies[&2], Reply::Dropped);
    house.of(C).read(3);
    let leader = house.of(A).state().last_applied();
    house.ticks(3);
    assert!(house.looks[&3] >= leader);
    house.agrees();
}

#[test]
fn who_waits_hears_of_a_lost_leadership_and_the_next_one_goes_on() {
    let mut house = House::new(&[A, B, C]);
    house.silent.insert(A);
    house.of(A).propose(cancel(1), Some(1));
    house.ticks(60);
    assert!(!house.of(A).leads(), "a leader that hears nobody steps down");
    assert_eq!(house.replies[&1], Reply::Dropped, "it is not known what became of it");
    let next = if house.of(B).leads() { B } else { C };
    house.of(next).propose(cancel(1), Some(2));
    house.flow();
    assert!(matches!(house.replies[&2], Reply::Refused(_)));
    house.silent.clear();
    house.ticks(10);
    house.agrees();
}

#[test]
fn what_is_asked_while_a_leadership_is_handed_over_in_vain_is_not_lost() {
    let mut house = House::new(&[A, B, C]);
    house.silent.insert(B);
    house.of(A).transfer(B);
    house.of(A).propose(cancel(1), None);
    house.of(A).propose(cancel(2), Some(2));
    house.flow();
    assert!(house.of(A).leads() && house.replies.is_empty(), "nobody else leads yet");
    house.ticks(30);
    assert!(house.of(A).leads(), "B never answered");
    assert!(matches!(house.replies[&2], Reply::Refused(_)), "{:?}", house.replies);
}

#[test]
fn what_the_log_has_no_room_for_waits_and_is_not_lost() {
    let mut house = House::new(&[A, B, C]);
    house.silent.extend([B, C]);
    for ticket in 0..100 {
        house.of(A).propose(chunk(ticket), Some(ticket));
        house.flow();
    }
    assert!(house.of(A).has_proposals(), "the log takes 4 MiB that nobody else has");
    assert!(house.replies.is_empty());
    house.silent.clear();
    house.ticks(5);
    assert!((0..100).all(|ticket| house.replies.get(&ticket) == Some(&Reply::Done)));
    house.agrees();
}

#[test]
fn a_newcomer_begins_with_a_snapshot_that_knows_it() {
    let mut house = House::new(&[A]);
    house.of(A).propose(cancel(1), Some(1));
    house.flow();
    house.of(A).change(Change::AddLearner(B)).unwrap();
    house.flow();
    house.members.insert(B, member(B, Recovered::joining()));
    house.ticks(10);
    assert_eq!((house.installs, house.of(B).membership().learners.clone()), (1, vec![B]));
    house.of(A).change(Change::Promote(B)).unwrap();
    house.ticks(3);
    house.of(A).transfer(B);
    house.ticks(3);
    assert!(house.of(B).leads());
    house.of(B).propose(cancel(2), Some(2));
    house.ticks(3);
    assert!(matches!(house.replies[&2], Reply::Refused(_)));
    house.agrees();
}
