//! Members that come and go: one step at a time, through the log.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::ReplicaId;
use dagmar_replica::{
    Body, Change, Membership, Recovered, Replica, ReplicaConfig, Role, SnapshotMeta,
};

const A: ReplicaId = ReplicaId(1);
const B: ReplicaId = ReplicaId(2);
const C: ReplicaId = ReplicaId(3);

/// Replicas whose disks are quick and whose network is sure, but for those that are cut off.
#[derive(Default)]
struct House {
    replicas: BTreeMap<ReplicaId, Replica>,
    members: BTreeMap<ReplicaId, Membership>,
    data: BTreeMap<ReplicaId, Vec<Vec<u8>>>,
    /// Taken by the leader after each change; what a newcomer is given.
    snapshots: BTreeMap<u64, (SnapshotMeta, Vec<Vec<u8>>)>,
    cut: BTreeSet<ReplicaId>,
    led: BTreeSet<ReplicaId>,
}

impl House {
    fn add(&mut self, id: ReplicaId, recovered: Recovered) {
        let config = ReplicaConfig { id, seed: id.0, boot_nonce: id.0 };
        self.members.insert(id, recovered.base.membership.clone());
        self.replicas.insert(id, Replica::new(config, recovered).unwrap());
    }

    fn leader(&self) -> Option<ReplicaId> {
        let leads = |id: &&ReplicaId| !self.cut.contains(id) && self.replicas[id].leads();
        self.replicas.keys().find(leads).copied()
    }

    fn lead(&mut self, id: ReplicaId) -> &mut Replica {
        self.replicas.get_mut(&id).unwrap()
    }

    #[track_caller]
    fn tick_until(&mut self, done: impl Fn(&House) -> bool) {
        for _ in 0..300 {
            if done(self) {
                return;
            }
            self.replicas.values_mut().for_each(Replica::tick);
            self.pump();
        }
        let standings = self.replicas.iter().map(|(id, replica)| (id, replica.status()));
        panic!("it does not come to that: {:?}", standings.collect::<Vec<_>>());
    }

    fn pump(&mut self) {
        while self.turn() {}
    }

    /// One turn of everybody; whether there was anything to do.
    fn turn(&mut self) -> bool {
        let ids: Vec<_> = self.replicas.keys().copied().collect();
        let mut busy = false;
        for id in ids {
            let Some(work) = self.lead(id).ready() else { continue };
            busy = true;
            if work.standing.is_some_and(|standing| standing.role == Role::Leader) {
                self.led.insert(id);
            }
            if let Some(persist) = work.persist {
                self.lead(id).persisted(persist.token);
                if let Some(meta) = persist.snapshot {
                    let (_, data) = self.snapshots[&meta.index.0].clone();
                    self.data.insert(id, data);
                    self.members.insert(id, meta.membership);
                    self.lead(id).applied(meta.index);
                }
            }
            for committed in work.committed {
                self.lead(id).applied(committed.index);
                match committed.body {
                    Body::Data(data) => self.data.entry(id).or_default().push(data.to_vec()),
                    Body::Nothing => {}
                    Body::Membership(membership) => {
                        let meta = SnapshotMeta {
                            index: committed.index,
                            term: committed.term,
                            membership: membership.clone(),
                        };
                        self.members.insert(id, membership);
                        let data = self.data.get(&id).cloned().unwrap_or_default();
                        self.snapshots.insert(meta.index.0, (meta.clone(), data));
                        self.lead(id).snapshot_saved(meta);
                    }
                }
            }
            for message in work.send {
                let arrives = !self.cut.contains(&id) && !self.cut.contains(&message.to);
                let there = arrives && self.replicas.contains_key(&message.to);
                if there {
                    let (to, bytes) = (self.lead(message.to), &message.bytes);
                    let received = match &message.snapshot {
                        Some(meta) => to.receive_snapshot(id, bytes, meta),
                        None => to.receive(id, bytes),
                    };
                    received.unwrap();
                }
                if message.snapshot.is_some() {
                    self.lead(id).report_snapshot(message.to, there);
                }
            }
        }
        busy
    }
}

/// A, B and C, the latter two having come one after another as learners.
fn house_of_three() -> House {
    let mut house = House::default();
    house.add(A, Recovered::bootstrap(&[A]));
    house.lead(A).campaign();
    house.pump();
    house.lead(A).propose(b"before".to_vec()).unwrap();
    house.pump();
    for newcomer in [B, C] {
        house.lead(A).change(Change::AddLearner(newcomer)).unwrap();
        house.pump();
        house.add(newcomer, Recovered::joining());
        house.tick_until(|house| house.members[&newcomer].learners == [newcomer]);
        house.lead(A).change(Change::Promote(newcomer)).unwrap();
        house.tick_until(|house| house.members[&newcomer].voters.contains(&newcomer));
    }
    house.tick_until(|house| house.members.values().all(|members| members.voters == [A, B, C]));
    house
}

#[test]
fn a_newcomer_learns_everything_from_a_snapshot_and_may_vote_later() {
    let mut house = house_of_three();
    house.lead(A).propose(b"after".to_vec()).unwrap();
    house.tick_until(|house| house.data.values().all(|data| data.len() == 2));
    assert!(house.data.values().all(|data| data[..] == [b"before".to_vec(), b"after".to_vec()]));
}

#[test]
fn a_leader_hands_over_and_is_removed_by_the_next() {
    let mut house = house_of_three();
    house.lead(A).transfer(B);
    house.tick_until(|house| house.leader() == Some(B));
    house.lead(B).change(Change::Remove(A)).unwrap();
    house.tick_until(|house| house.members[&C].voters == [B, C]);
    house.lead(B).propose(b"without A".to_vec()).unwrap();
    house.tick_until(|house| house.data[&C].ends_with(&[b"without A".to_vec()]));
    assert_eq!(house.leader(), Some(B));
}

#[test]
fn a_leader_that_finds_itself_removed_steps_down() {
    let mut house = house_of_three();
    house.lead(A).change(Change::Remove(B)).unwrap();
    // One turn: the entry is sent, and durable at B and C; then A is gone before it commits.
    house.turn();
    house.cut.insert(A);
    // Just long enough for C to give up on A, and not to stand itself.
    for _ in 0..dagmar_replica::ELECTION_TICKS {
        house.lead(B).tick();
        house.lead(C).tick();
    }
    house.lead(B).campaign();
    house.pump();
    // B won, and committed its own removal.
    assert!(house.led.contains(&B) && !house.replicas[&B].leads());
    assert_eq!(house.members[&B].voters, [A, C]);
    house.cut.clear();
    house.tick_until(|house| house.members[&A].voters == [A, C]);
    house.tick_until(|house| house.leader().is_some_and(|leader| leader != B));
    let leader = house.leader().unwrap();
    house.lead(leader).propose(b"without B".to_vec()).unwrap();
    house.tick_until(|house| {
        [A, C].iter().all(|id| house.data[id].ends_with(&[b"without B".to_vec()]))
    });
}
