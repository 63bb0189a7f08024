//! Three replicas, of which one finds a disk that forgot all that it had acknowledged.

use dagmar_common::ids::ReplicaId;
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_member::{Halt, Member, MemberConfig, Output, SnapshotRule};
use dagmar_replica::{Outgoing, Recovered, ReplicaConfig, TICK};

const VOTERS: [ReplicaId; 3] = [ReplicaId(1), ReplicaId(2), ReplicaId(3)];

/// Their network loses nothing, and their disks are as fast as they are.
struct House {
    members: Vec<Member<(), ()>>,
    now: Now,
    /// Nobody hears of them any more.
    halted: Vec<ReplicaId>,
}

fn member(place: usize, now: Now) -> Member<(), ()> {
    let id = VOTERS[place];
    let config = MemberConfig {
        replica: ReplicaConfig { id, seed: id.0, boot_nonce: now.boot.0 },
        lost_after: None,
        within: None,
        snapshots: SnapshotRule::default(),
    };
    let recovered = Recovered::bootstrap(&VOTERS);
    Member::new(config, recovered, State::new(), now).expect("a new log holds together")
}

impl House {
    fn new() -> Self {
        let now = Now { boot: BootTime(1_000_000), ..Now::default() };
        let members = (0..VOTERS.len()).map(|place| member(place, now)).collect();
        House { members, now, halted: Vec::new() }
    }

    fn passes(&mut self, span: Span) {
        let until = self.now.boot + span;
        while self.now.boot < until {
            self.now.boot = self.now.boot + TICK;
            self.settles();
        }
    }

    /// Until there is nothing to do.
    fn settles(&mut self) {
        loop {
            let sent = (0..VOTERS.len()).flat_map(|place| self.turn(place)).collect::<Vec<_>>();
            if sent.is_empty() {
                return;
            }
            for (from, message) in sent {
                if !self.halted.contains(&message.to) {
                    let to = VOTERS.iter().position(|one| *one == message.to);
                    self.members[to.expect("a voter")].from_peer(from, &message.bytes);
                }
            }
        }
    }

    fn turn(&mut self, place: usize) -> Vec<(ReplicaId, Outgoing)> {
        let mut sent = Vec::new();
        let member = &mut self.members[place];
        while let Some(output) = member.next_output(self.now) {
            match output {
                Output::ToPeer(message) => sent.push((VOTERS[place], message)),
                Output::Persist(persist) => member.persisted(self.now, persist.token),
                Output::Halt(Halt::LostData(_)) => self.halted.push(VOTERS[place]),
                _ => {}
            }
        }
        sent
    }
}

#[test]
pub fn it_takes_no_more_part() {
    let mut house = House::new();
    house.members[0].campaign();
    house.passes(Span::from_secs(1));
    assert!(house.members[0].leads());
    house.members[1] = member(1, house.now);
    house.passes(Span::from_secs(1));
    assert_eq!(house.halted, [VOTERS[1]], "it goes on as if it had promised nothing");
}
