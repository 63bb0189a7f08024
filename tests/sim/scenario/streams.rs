//! Streams whose messages are lost, miscounted, early, or of a worker that lives twice.

use dagmar_common::ids::{Fence, Incarnation, ReplicaId, Session, StreamNo, WorkerId};
use dagmar_common::lease::{Ending, FromWorker, Heartbeat, Hello, Numbered, ToWorker};
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::leader::Closing;
use dagmar_coordinator_core::stored;
use dagmar_member::{FromStream, Member, MemberConfig, Output, SnapshotRule};
use dagmar_replica::{Recovered, ReplicaConfig};

use crate::executor::{outcome, wall};

const STREAM: StreamNo = StreamNo(1);
const OTHER: StreamNo = StreamNo(2);
const THIRD: StreamNo = StreamNo(3);
const WORKER: WorkerId = WorkerId(7);
const NOW: BootTime = BootTime(1_000_000);

/// A replica that is alone and leads, and all that it says and commits.
struct Office {
    member: Member<(), ()>,
    told: Vec<(StreamNo, ToWorker)>,
    closed: Vec<Closing>,
    committed: Vec<Command>,
}

impl Office {
    fn new() -> Self {
        let id = ReplicaId(1);
        let config = MemberConfig {
            replica: ReplicaConfig { id, seed: 1, boot_nonce: 1 },
            lost_after: Some(Span::from_secs(60)),
            within: None,
            snapshots: SnapshotRule::default(),
        };
        let recovered = Recovered::bootstrap(&[id]);
        let member = Member::new(config, recovered, State::new(), now());
        let mut member = member.expect("a new log holds together");
        member.campaign();
        let (told, closed, committed) = (Vec::new(), Vec::new(), Vec::new());
        let mut office = Office { member, told, closed, committed };
        office.settles();
        office
    }

    fn hears(&mut self, stream: StreamNo, number: u64, message: FromWorker) {
        let message = Numbered { number, message };
        self.member.from_stream(stream, FromStream::Message(message));
    }

    fn greets(&mut self, stream: StreamNo, incarnation: u64) {
        self.member.from_stream(stream, FromStream::Opened);
        let hello = Hello {
            worker: WORKER,
            incarnation: Incarnation { number: incarnation, nonce: incarnation },
            name: "worker".into(),
            cpu_millis: 1_000,
            labels: Vec::new(),
            held: Vec::new(),
        };
        self.hears(stream, 0, FromWorker::Hello(hello));
    }

    /// Until there is nothing to do; its disk is as fast as it is.
    fn settles(&mut self) {
        while let Some(output) = self.member.next_output(now()) {
            match output {
                Output::Persist(persist) => self.member.persisted(now(), persist.token),
                Output::Applied(entry) => {
                    let batch = entry.bytes.map(|bytes| stored::decode_batch(&bytes));
                    let commands = batch.map(|batch| batch.expect("it was applied").commands);
                    self.committed.extend(commands.into_iter().flatten());
                }
                Output::ToWorker { stream, message } => self.told.push((stream, message.message)),
                Output::CloseWorker { why, .. } => self.closed.push(why),
                _ => {}
            }
        }
    }

    fn told_stale(&self) -> Vec<StreamNo> {
        let stale = self.told.iter().filter(|(_, message)| matches!(message, ToWorker::Stale));
        stale.map(|(stream, _)| *stream).collect()
    }

    /// Of the last answer to a hello.
    fn session(&self) -> Session {
        let mut answers = self.told.iter().filter_map(|(_, message)| match message {
            ToWorker::HelloAnswer(answer) => Some(answer.session),
            _ => None,
        });
        answers.next_back().expect("a hello is answered")
    }
}

fn now() -> Now {
    Now { boot: NOW, wall: wall(NOW) }
}

#[test]
pub fn what_comes_behind_a_hello_is_read_after_its_answer() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    let early = outcome(Fence(9), Ending::Succeeded, NOW);
    office.hears(STREAM, 1, FromWorker::Outcomes(vec![early]));
    office.settles();
    let proposed = office.committed.iter();
    let outcomes = proposed.filter(|command| matches!(command, Command::Outcomes { .. }));
    assert_eq!(outcomes.count(), 1, "what came behind the hello is lost");
}

#[test]
pub fn ends_that_count_otherwise_part() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    let beat = Heartbeat { received: 0, sent: 0, begun_sum: 1 };
    office.hears(STREAM, 1, FromWorker::Heartbeat(beat));
    office.settles();
    assert_eq!(office.closed, [Closing::Disagrees], "something began that is not known here");
}

#[test]
pub fn a_message_that_is_missing_ends_its_stream() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    office.hears(STREAM, 2, FromWorker::Begun(Vec::new()));
    office.settles();
    assert_eq!(office.closed, [Closing::OutOfOrder], "a message is missing");
}

#[test]
pub fn an_older_incarnation_is_told() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    office.greets(OTHER, 2);
    office.settles();
    assert_eq!(office.told_stale(), [STREAM], "it was there already");
    office.greets(THIRD, 1);
    office.settles();
    assert_eq!(office.told_stale(), [STREAM, THIRD], "it comes back");
}

#[test]
pub fn one_that_is_not_ready_has_to_greet_again() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    let session = office.session();
    let beat = |sent| FromWorker::Heartbeat(Heartbeat { received: 1, sent, begun_sum: 0 });
    office.hears(STREAM, 1, beat(0));
    office.settles();
    assert_eq!(office.closed, [], "it is ready");
    office.member.propose(Command::WorkerSuspended { worker: WORKER, session }, None);
    office.settles();
    office.hears(STREAM, 2, beat(1));
    office.settles();
    assert_eq!(office.closed, [Closing::NotReady], "nothing else would make it ready");
}
