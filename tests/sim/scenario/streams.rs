//! Streams whose messages are lost, miscounted, early, or of a worker that lives twice.

use dagmar_common::graph::Care;
use dagmar_common::ids::{Fence, Incarnation, ReplicaId, Session, StreamNo, WorkerId};
use dagmar_common::lease::{Ending, FromWorker, Heartbeat, Held, HeldAs, Hello, Numbered};
use dagmar_common::lease::{Returned, ToWorker};
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::leader::Closing;
use dagmar_coordinator_core::stored;
use dagmar_member::{FromStream, Member, MemberConfig, Output, SnapshotRule};
use dagmar_replica::{Recovered, ReplicaConfig};

use super::desk::{LOST_AFTER, submission};
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
    now: BootTime,
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
        let member = Member::new(config, recovered, State::new(), at(NOW));
        let mut member = member.expect("a new log holds together");
        member.campaign();
        let (told, closed, committed) = (Vec::new(), Vec::new(), Vec::new());
        let mut office = Office { member, told, closed, committed, now: NOW };
        office.settles();
        office
    }

    fn hears(&mut self, stream: StreamNo, number: u64, message: FromWorker) {
        let message = Numbered { number, message };
        self.member.from_stream(stream, FromStream::Message(message));
    }

    fn greets(&mut self, stream: StreamNo, incarnation: u64) {
        self.greets_with(stream, incarnation, &[]);
    }

    fn greets_with(&mut self, stream: StreamNo, incarnation: u64, held: &[(Fence, HeldAs)]) {
        self.member.from_stream(stream, FromStream::Opened);
        let hello = Hello {
            worker: WORKER,
            incarnation: Incarnation { number: incarnation, nonce: incarnation },
            name: "worker".into(),
            cpu_millis: 1_000,
            labels: Vec::new(),
            held: held.iter().map(|(fence, state)| Held { fence: *fence, state: *state }).collect(),
        };
        self.hears(stream, 0, FromWorker::Hello(hello));
    }

    /// Until there is nothing to do; its disk is as fast as it is.
    fn settles(&mut self) {
        let now = at(self.now);
        while let Some(output) = self.member.next_output(now) {
            match output {
                Output::Persist(persist) => self.member.persisted(now, persist.token),
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

    /// A tenth of a second after the other.
    fn passes(&mut self, span: Span) {
        let until = self.now + span;
        while self.now < until {
            self.now = self.now + Span::from_millis(100);
            self.settles();
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

fn at(boot: BootTime) -> Now {
    Now { boot, wall: wall(boot) }
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

#[test]
pub fn what_a_lost_worker_returns_before_it_is_ready_it_does_not_get_back() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    office.member.propose(Command::Submit(submission(1, 2, Care::default(), 500)), None);
    office.settles();
    office.member.from_stream(STREAM, FromStream::Closed);
    office.passes(Span(LOST_AFTER.0 + 20_000_000));
    let (first, second) = (Fence(1), Fence(2));
    office.greets_with(OTHER, 1, &[(first, HeldAs::Running), (second, HeldAs::Finished)]);
    office.settles();
    let returned = vec![Returned { fence: first, started: true }];
    office.hears(OTHER, 1, FromWorker::Returned(returned));
    office.hears(OTHER, 2, FromWorker::Outcomes(vec![outcome(second, Ending::Succeeded, NOW)]));
    office.settles();
    let is_lost = |command: &Command| matches!(command, Command::WorkerLost { .. });
    assert!(office.committed.iter().any(is_lost), "it was away for long");
    let lease = office.member.state().lease(first);
    assert_eq!(lease, None, "leased to somebody who gave it back");
}
