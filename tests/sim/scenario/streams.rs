//! Streams whose messages are lost, miscounted, early, or of a worker that lives twice.

use dagmar_common::ids::{Fence, Incarnation, StreamNo, WorkerId};
use dagmar_common::lease::{Ending, FromWorker, Heartbeat, Hello, Numbered, ToWorker};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::leader::{Closing, Input, Leader, Output};

use crate::executor::outcome;
use crate::leading::Coordinator;
use crate::model::Model;

const STREAM: StreamNo = StreamNo(1);
const OTHER: StreamNo = StreamNo(2);
const THIRD: StreamNo = StreamNo(3);
const NOW: BootTime = BootTime(1_000_000);

/// A leader, and all that it says and commits.
struct Office {
    coordinator: Coordinator<Model>,
    said: Vec<Output>,
    committed: Vec<Command>,
}

impl Office {
    fn new() -> Self {
        let mut coordinator = Coordinator::new(Model::new([]));
        coordinator.elect(NOW, |term| Leader::new(term, Some(Span::from_secs(60))));
        let mut office = Office { coordinator, said: Vec::new(), committed: Vec::new() };
        office.settles();
        office
    }

    fn hears(&mut self, stream: StreamNo, number: u64, message: FromWorker) {
        self.coordinator.hears(Input::Received { stream, message: Numbered { number, message } });
    }

    fn greets(&mut self, stream: StreamNo, incarnation: u64) {
        self.coordinator.hears(Input::StreamOpened { stream });
        let hello = Hello {
            worker: WorkerId(7),
            incarnation: Incarnation { number: incarnation, nonce: incarnation },
            name: "worker".into(),
            cpu_millis: 1_000,
            labels: Vec::new(),
            held: Vec::new(),
        };
        self.hears(stream, 0, FromWorker::Hello(hello));
    }

    /// Until there is nothing to do.
    fn settles(&mut self) {
        for _ in 0..8 {
            self.coordinator.turn(NOW, &mut self.said);
            self.coordinator.confirm(false);
            self.coordinator.write(NOW);
            let committed = &mut self.committed;
            self.coordinator.commit(&mut self.said, |entry, _| {
                committed.extend(entry.batch.commands.iter().cloned());
            });
        }
    }

    fn closed(&self) -> Vec<Closing> {
        let closings = self.said.iter().filter_map(|said| match said {
            Output::CloseStream { why, .. } => Some(*why),
            _ => None,
        });
        closings.collect()
    }

    fn told_stale(&self) -> Vec<StreamNo> {
        let told = self.said.iter().filter_map(|said| match said {
            Output::Send { stream, message } => {
                matches!(message.message, ToWorker::Stale).then_some(*stream)
            }
            _ => None,
        });
        told.collect()
    }
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
    assert_eq!(office.closed(), [Closing::Disagrees], "something began that is not known here");
}

#[test]
pub fn a_message_that_is_missing_ends_its_stream() {
    let mut office = Office::new();
    office.greets(STREAM, 1);
    office.settles();
    office.hears(STREAM, 2, FromWorker::Begun(Vec::new()));
    office.settles();
    assert_eq!(office.closed(), [Closing::OutOfOrder], "a message is missing");
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
