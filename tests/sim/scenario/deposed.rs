//! A leader that was deposed between forming a batch and its entry: the batch never happened.

use dagmar_common::ids::{LogIndex, Term};
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Command, Position};
use dagmar_coordinator_core::effect::{Applied, Reply};

use crate::working::Worker;

#[test]
pub fn its_batch_is_dropped() {
    let (mut state, mut applied) = (State::new(), Applied::default());
    let hello = Worker::new(0, 1_000).introduction(Span::from_secs(60));
    let batch = Batch {
        term: Term(1),
        at: LogTime(500),
        wall: WallTime(0),
        commands: vec![Command::LeaderUp, Command::Hello(hello)],
    };
    let position = Position { index: LogIndex(2), term: Term(2) };
    state.apply(position, batch, &mut applied);
    assert_eq!(applied.replies, [Reply::Dropped, Reply::Dropped], "a deposed leader is answered");
    assert_eq!(state.workers().count(), 0, "a deposed leader's word counts");
    assert_eq!(state.log_time(), LogTime(0), "a deposed leader's clock counts");
}
