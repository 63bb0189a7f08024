//! What a worker is told twice, too late, in the wrong order, or of its own kill.

use dagmar_common::graph::Care;
use dagmar_common::ids::{Fence, Session, StreamNo};
use dagmar_common::lease::{
    Ending, ExitReason, FromWorker, HelloAnswer, Numbered, Returned, Start, ToWorker,
};
use dagmar_common::limits::EXCLUSIVE_FOR;
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_worker_core::{Agent, Input, Output};

use super::desk::Desk;
use crate::executor::{outcome, wall};
use crate::working::Worker;

const STREAM: StreamNo = StreamNo(1);

/// An agent whose hello was answered, and all that it wanted since.
struct Site {
    agent: Agent,
    now: BootTime,
    received: u64,
    done: Vec<Output>,
}

impl Site {
    fn new() -> Self {
        let agent = Agent::new(Worker::new(0, 4_000).identity());
        let mut site = Site { agent, now: BootTime(1_000_000), received: 0, done: Vec::new() };
        site.turn(Input::Connected { stream: STREAM, born_ready: None });
        let answer = HelloAnswer { session: Session(1), verdicts: Vec::new() };
        site.is_told(ToWorker::HelloAnswer(answer));
        site
    }

    fn turn(&mut self, input: Input) {
        let now = Now { boot: self.now, wall: wall(self.now) };
        self.agent.turn(now, &mut vec![input], &mut self.done);
    }

    fn is_told(&mut self, message: ToWorker) {
        self.received += 1;
        let message = Numbered { number: self.received, message };
        self.turn(Input::Received { stream: STREAM, message });
    }

    fn is_started(&mut self, fence: u64) {
        let fence = Fence(fence);
        self.is_told(ToWorker::Start(vec![Start { fence, ..start(Care::default()) }]));
    }

    /// Fences that a process was asked for.
    fn ran(&self) -> Vec<u64> {
        let ran = self.done.iter().filter_map(|output| match output {
            Output::Run(start) => Some(start.fence.0),
            _ => None,
        });
        ran.collect()
    }

    fn said(&self) -> impl Iterator<Item = &FromWorker> {
        self.done.iter().filter_map(|output| match output {
            Output::Send { message, .. } => Some(&message.message),
            _ => None,
        })
    }
}

/// Of one trial, whatever the fence.
pub fn start(care: Care) -> Start {
    let mut desk = Desk::new();
    desk.greets(Worker::new(0, 1_000).id, 1, Vec::new());
    let granted = desk.submits(care);
    let (worker, fence) = granted[0];
    desk.state.start_message(worker, fence).expect("it is leased")
}

#[test]
pub fn the_same_fence_again_is_started_once() {
    let mut site = Site::new();
    site.is_started(3);
    site.is_started(3);
    site.turn(Input::ProcessEnded(outcome(Fence(3), Ending::Succeeded, site.now)));
    assert_eq!(site.ran(), [3]);
}

#[test]
pub fn an_older_fence_is_not_started() {
    let mut site = Site::new();
    site.is_started(5);
    site.turn(Input::ProcessEnded(outcome(Fence(5), Ending::Succeeded, site.now)));
    site.is_started(3);
    assert_eq!(site.ran(), [5], "what was leased before is over");
}

#[test]
pub fn a_newer_fence_waits_for_the_process_of_the_older() {
    let mut site = Site::new();
    site.is_started(3);
    site.is_started(5);
    assert_eq!(site.ran(), [3], "a process of this trial lives here");
    site.turn(Input::ProcessEnded(outcome(Fence(3), Ending::Succeeded, site.now)));
    assert_eq!(site.ran(), [3, 5]);
}

#[test]
pub fn its_own_kill_is_no_outcome() {
    let mut site = Site::new();
    site.is_started(3);
    site.turn(Input::ProcessStarted { fence: Fence(3), at: wall(site.now) });
    site.is_told(ToWorker::Kill(vec![Fence(3)]));
    let killed = Ending::Failed(ExitReason::Signal(15));
    site.turn(Input::ProcessEnded(outcome(Fence(3), killed, site.now)));
    let outcomes = site.said().filter(|said| matches!(said, FromWorker::Outcomes(_)));
    assert_eq!(outcomes.count(), 0, "our own kill is told as an outcome");
    let returned = site.said().filter_map(|said| match said {
        FromWorker::Returned(returned) => Some(returned[..].to_vec()),
        _ => None,
    });
    let one = Returned { fence: Fence(3), started: true };
    assert_eq!(returned.flatten().collect::<Vec<_>>(), [one], "it ran, until we killed it");
}

#[test]
pub fn a_deadline_counts_from_when_the_heartbeat_was_sent() {
    let mut site = Site::new();
    let sent = site.now;
    site.now = site.now + Span::from_secs(4);
    site.is_told(ToWorker::HeartbeatAcknowledged { number: 1 });
    let deadlines = site.done.iter().filter_map(|output| match output {
        Output::Deadline(at) => Some(*at),
        _ => None,
    });
    assert_eq!(deadlines.collect::<Vec<_>>(), [sent + EXCLUSIVE_FOR]);
}

#[test]
pub fn nothing_exclusive_begins_before_an_acknowledgement() {
    let mut site = Site::new();
    let exclusive = start(Care { exclusive: true, once: false });
    let fence = exclusive.fence.0;
    site.is_told(ToWorker::Start(vec![exclusive]));
    assert!(site.ran().is_empty(), "nobody would stop it");
    site.is_told(ToWorker::HeartbeatAcknowledged { number: 1 });
    assert_eq!(site.ran(), [fence]);
}
