//! Exclusive trials: the deadline that each acknowledgement moves, and what begins under it.

use dagmar_common::graph::Care;

use super::*;

fn exclusive(fence: u64, path: &str) -> Start {
    let mut start = process(fence, path, 1_000);
    let care = Care { exclusive: true, once: false };
    start.task = Arc::new(Task { care, ..(*start.task).clone() });
    start
}

/// Over a stream whose hello was answered at second 0, and whose first beat left then.
fn connected() -> Desk {
    let mut desk = Desk::new();
    desk.connect(None);
    desk.answered(&[]);
    desk.check("hello, beat");
    desk
}

#[test]
fn an_exclusive_trial_begins_only_while_its_deadline_lies_ahead() {
    let mut desk = connected();
    desk.told(ToWorker::Start(vec![exclusive(1, "a"), process(2, "b", 2_000)]));
    desk.check("runs 2");
    desk.ends(2, Ending::Succeeded);
    desk.passes(1);
    desk.check("outcomes 2:Succeeded");
    // From when it was sent, not from when its answer came.
    desk.seconds = 4;
    desk.told(ToWorker::HeartbeatAcknowledged { number: 1 });
    desk.check("until 22.7, runs 1");
    desk.ends(1, Ending::Succeeded);
    desk.seconds = 22;
    desk.hears(Input::Disconnected { stream: StreamNo(1) });
    desk.connect(None);
    desk.answered(&[(1, Verdict::Report)]);
    desk.told(ToWorker::Start(vec![exclusive(3, "c")]));
    desk.check(
        "outcomes 1:Succeeded, hello 1=Finished 2=Finished, outcomes 1:Succeeded 2:Succeeded, beat",
    );
    desk.told(ToWorker::Recorded(vec![Fence(1), Fence(2)]));
    desk.check("forgets [1, 2]");
    desk.told(ToWorker::HeartbeatAcknowledged { number: 2 });
    desk.check("until 44.7, runs 3");
}

#[test]
fn what_was_never_sent_or_was_acknowledged_before_moves_no_deadline() {
    let mut desk = connected();
    desk.told(ToWorker::HeartbeatAcknowledged { number: 7 });
    desk.check("");
    desk.passes(5);
    desk.told(ToWorker::HeartbeatAcknowledged { number: 2 });
    desk.check("beat, until 27.7");
    let mut desk = connected();
    desk.passes(5);
    desk.told(ToWorker::HeartbeatAcknowledged { number: 2 });
    desk.told(ToWorker::HeartbeatAcknowledged { number: 1 });
    desk.check("beat, until 27.7");
}

#[test]
fn in_the_process_of_its_only_coordinator_there_is_no_deadline() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![exclusive(1, "a")]));
    desk.check("runs 1");
    desk.passes(5);
    desk.told(ToWorker::HeartbeatAcknowledged { number: 1 });
    desk.check("beat");
}
