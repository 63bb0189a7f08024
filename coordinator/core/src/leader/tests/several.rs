//! Several workers, several lives of one, and workers that are gone for good.

use super::*;

#[test]
fn the_same_number_with_another_nonce_is_stale() {
    let mut desk = Desk::ready();
    let hello = Hello {
        worker: WORKER,
        incarnation: Incarnation { number: 1, nonce: 2 },
        name: "w".into(),
        cpu_millis: 2_000,
        ..Hello::default()
    };
    let message = Numbered { number: 0, message: FromWorker::Hello(hello) };
    let stream = StreamNo(2);
    desk.turn(vec![Input::StreamOpened { stream }, Input::Received { stream, message }]);
    desk.confirm();
    desk.check("2: answer, 2: stale");
    desk.submit(2);
    desk.check("1: start [1, 2]");
}

#[test]
fn a_worker_that_offers_something_else_is_introduced_again() {
    let mut desk = Desk::ready();
    let hello = Hello {
        worker: WORKER,
        incarnation: Incarnation { number: 1, nonce: 1 },
        name: "w".into(),
        cpu_millis: 5_000,
        ..Hello::default()
    };
    let message = Numbered { number: 0, message: FromWorker::Hello(hello) };
    let stream = StreamNo(2);
    desk.turn(vec![Input::StreamOpened { stream }, Input::Received { stream, message }]);
    desk.confirm();
    desk.check("closes 1 Superseded, proposes Hello 1");
    desk.apply();
    desk.apply();
    desk.submit(9);
    desk.check("proposes Ready, 2: answer, 2: start [1, 2, 3, 4, 5]");
}

#[test]
fn an_older_stream_cannot_make_its_worker_ready_behind_a_newer_hello() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.greets(2, 1, &[(1, HeldAs::Finished)]);
    desk.confirm();
    desk.greets(3, 2, &[(2, HeldAs::Running)]);
    desk.confirm();
    desk.did.clear();
    // Its last outcome is recorded while the hello of the newer one waits to be applied.
    let hello = desk.proposed.pop().expect("the hello");
    desk.says(2, outcomes(&[1]));
    let outcomes = desk.proposed.pop().expect("the outcome");
    desk.apply_all(vec![outcomes]);
    desk.apply_all(vec![hello]);
    desk.check("proposes Outcomes 1, proposes Ready, 2: recorded [1], 2: stale");
    desk.apply();
    assert_eq!(Facts::worker(&desk.state, WORKER).and_then(|one| one.ready), None, "void");
    desk.check("proposes Ready, 3: answer 2=Keep");
}

#[test]
fn several_workers_are_told_apart() {
    let mut desk = Desk::ready();
    let other = WorkerId(8);
    desk.greets_as(other, 2, 1, &[]);
    desk.confirm();
    desk.apply();
    desk.apply();
    desk.submit(4);
    desk.check("proposes Hello 1, proposes Ready, 2: answer, 1: start [1, 2], 2: start [3, 4]");
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.passes(2);
    desk.check("proposes Suspended");
    desk.apply();
    // The other one goes on: it is heard, acknowledged and answered.
    desk.beats(2, &[]);
    desk.says(2, outcomes(&[3]));
    desk.confirm();
    desk.apply();
    desk.check("proposes Outcomes 1, 2: acknowledged 1, 2: recorded [3]");
}

#[test]
fn a_removed_worker_is_stale_and_not_acknowledged_from_its_proposal_on() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.passes(5);
    desk.did.clear();
    let remove = Command::RemoveWorker { worker: WORKER };
    desk.leader.is_proposed(&remove);
    desk.beats(1, &[]);
    desk.confirm();
    desk.check("");
    desk.apply_all(vec![remove]);
    desk.check("1: stale");
    desk.greets(2, 1, &[(1, HeldAs::Running), (2, HeldAs::Finished)]);
    desk.confirm();
    desk.check("closes 1 Superseded, 2: answer 1=Keep 2=Report, 2: stale");
    desk.says(2, outcomes(&[2]));
    desk.apply();
    desk.check("proposes Outcomes 1, 2: recorded [2]");
}

#[test]
fn a_start_that_could_not_be_sent_is_told_to_whoever_gives_the_worker_up() {
    let mut desk = Desk::ready();
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.submit(2);
    desk.passes(2);
    desk.apply();
    desk.check("proposes Suspended");
    desk.passes(306);
    desk.check("proposes Lost [] [Fence(1), Fence(2)]");
}

#[test]
fn what_has_begun_is_known_until_its_end_is_in_the_log() {
    let mut desk = Desk::ready();
    desk.submit(2);
    let begun = Begun { fence: Fence(1), at: WallTime(5) };
    desk.says(1, FromWorker::Begun(vec![begun]));
    let known = |desk: &Desk| {
        let begun = desk.leader.begun();
        begun.fences().map(|fence| (fence.0, begun.at(fence))).collect::<Vec<_>>()
    };
    assert_eq!(known(&desk), [(1, Some(WallTime(5)))]);
    desk.says(1, outcomes(&[1, 2]));
    assert_eq!(known(&desk), [(1, Some(WallTime(5)))], "its end is on the way to the log");
    desk.apply();
    assert_eq!(known(&desk), []);
}

#[test]
fn a_start_that_a_hello_had_said_again_is_no_longer_unsent() {
    let mut desk = Desk::ready();
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.submit(2);
    desk.greets(2, 1, &[]);
    desk.confirm();
    desk.apply();
    desk.check("proposes Ready, 2: answer, 2: start [1, 2]");
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(2) }]);
    desk.passes(2);
    desk.apply();
    desk.passes(306);
    desk.check("proposes Suspended, proposes Lost [] []");
}

#[test]
fn a_stale_stream_that_ends_takes_nothing_from_what_is_known_of_its_worker() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.greets(2, 2, &[(1, HeldAs::Running)]);
    desk.confirm();
    desk.apply();
    desk.apply();
    desk.did.clear();
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(2) }]);
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.check("");
    desk.passes(2);
    desk.apply();
    desk.passes(306);
    desk.check("proposes Suspended, proposes Lost [Fence(1)] []");
}

/// Its only stream breaks, and nobody comes back for longer than its leases last.
fn is_given_up(desk: &mut Desk, stream: StreamNo) {
    desk.turn(vec![Input::StreamClosed { stream }]);
    desk.passes(2);
    desk.apply();
    desk.passes(306);
    desk.apply();
    desk.did.clear();
}

/// The worker was lost under both of its leases, and greets again over stream 2.
fn lost_and_back(held: &[(u64, HeldAs)]) -> Desk {
    let mut desk = Desk::ready();
    desk.submit(2);
    is_given_up(&mut desk, StreamNo(1));
    desk.greets(2, 1, held);
    desk.confirm();
    desk
}

#[test]
fn what_a_lost_worker_runs_it_has_again_with_its_readiness() {
    let mut desk = lost_and_back(&[(1, HeldAs::Running), (2, HeldAs::Queued)]);
    desk.check("proposes Ready [Fence(1), Fence(2)], 2: answer 1=Keep 2=Keep");
    desk.apply();
    desk.check("");
    desk.passes(1);
    desk.beats(2, &[1]);
    desk.confirm();
    desk.check("2: acknowledged 1");
}

#[test]
fn what_it_returns_before_its_readiness_it_does_not_have_again() {
    let mut desk = lost_and_back(&[(1, HeldAs::Running), (2, HeldAs::Finished)]);
    desk.check("2: answer 1=Keep 2=Report");
    let returned = vec![Returned { fence: Fence(1), started: true }];
    desk.says(2, FromWorker::Returned(returned));
    desk.says(2, outcomes(&[2]));
    desk.check("proposes Returned 1, proposes Outcomes 1");
    desk.apply();
    desk.check("proposes Ready, 2: recorded [1, 2]");
    desk.apply();
    desk.check("2: start [3]");
}

#[test]
fn what_somebody_else_got_before_its_readiness_it_is_told_to_kill() {
    let mut desk = lost_and_back(&[(1, HeldAs::Running), (2, HeldAs::Running)]);
    let ready = std::mem::take(&mut desk.proposed);
    let incarnation = Incarnation { number: 1, nonce: 1 };
    desk.apply_all(vec![Command::Hello(WorkerHello {
        worker: WorkerId(8),
        incarnation,
        name: "other".into(),
        cpu_millis: 1_000,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(SessionNo(1)),
        lost_after: None,
    })]);
    desk.apply_all(ready);
    let said = std::mem::take(&mut desk.did);
    assert!(said.contains(&"2: answer 1=Keep 2=Keep".to_owned()), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("2: kill [1]"));
}

#[test]
fn an_older_incarnation_has_nothing_again() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.greets(2, 2, &[]);
    desk.confirm();
    desk.apply();
    desk.apply();
    is_given_up(&mut desk, StreamNo(2));
    desk.greets(3, 1, &[(3, HeldAs::Running)]);
    desk.confirm();
    desk.check("3: answer 3=Keep, 3: stale");
    desk.passes(5);
    desk.check("");
}
