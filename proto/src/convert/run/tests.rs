//! What goes over the wire comes back equal; what no program of ours sends is refused.

use dagmar_common::ids::{Digest, Fence, RequestId};
use dagmar_common::lease::{ExitReason, LogPlace};
use dagmar_common::record::follow::{AttemptEnd, Change, StepChange};
use dagmar_common::record::{AttemptStatus, Counts, NodeStatus, RunStatus};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::value::Value;

use super::*;

fn record() -> RunRecord {
    RunRecord {
        run_id: RunId::new("greedy-yonath-1608"),
        tag: "weekly".into(),
        generation: 2,
        graph: Digest::of(b"graph"),
        status: RunStatus::Cancelled,
        reason: "cancelled by anna".into(),
        submitted: WallTime(1_702_656_531_869_129),
        ended: Some(WallTime(-1)),
        parameters_at_start: vec![("n".into(), Value::from_loose("4"))],
        parameters_at_end: vec![("n".into(), Value::from_loose("[1,2]"))],
        context: Value::from_loose(r#"{"a": {"b": null}}"#),
        counts: Counts { succeeded: 1 << 40, cancelled: 3, ..Counts::default() },
        first_index: LogIndex(1),
        last_index: LogIndex(u64::MAX),
    }
}

fn node(reason: ExitReason) -> NodeRecord {
    let attempt = AttemptRecord {
        number: 1,
        status: AttemptStatus::Failed,
        reason: Some(reason),
        began: WallTime(5),
        took: Span(9_299),
        worker: "here".into(),
        log: Some(LogPlace { fence: Fence(9), segment: 1, offset: 2, length: 3, dropped: 4 }),
        last_lines: "no".into(),
        parameters: vec![("x".into(), Value::text("1"))],
        granted: LogIndex(4),
        recorded: LogIndex(5),
    };
    NodeRecord {
        path: "m.1.w".into(),
        status: NodeStatus::Failed,
        reason: "".into(),
        attempts: vec![attempt],
        ended: Some(LogIndex(0)),
        outputs: vec![("y".into(), Value::from_loose("true"))],
        frames: 0,
    }
}

#[test]
fn records_and_stories_come_back() {
    let message = v1::RunRecord::from(&record());
    assert_eq!(RunRecord::try_from(message), Ok(record()));
    let reasons = [
        ExitReason::Code(255),
        ExitReason::Signal(9),
        ExitReason::TimeLimit,
        ExitReason::NotStarted(-2),
        ExitReason::BadOutput,
    ];
    for reason in reasons {
        let entries = [
            Entry::Node(node(reason)),
            Entry::Frame(FrameRecord {
                path: "m.1".into(),
                label: "b".into(),
                status: NodeStatus::Ready,
            }),
            Entry::Alike(Alike {
                composite: "m".into(),
                first: 2,
                count: 2,
                labels: vec!["c".into(), "d".into()],
                status: NodeStatus::Skipped,
                nodes: vec![node(reason)],
            }),
        ];
        for entry in entries {
            assert_eq!(Entry::try_from(v1::StoryEntry::from(&entry)), Ok(entry));
        }
    }
}

#[test]
fn changes_come_back() {
    let step = StepChange {
        at: WallTime(7),
        path: "a".into(),
        status: NodeStatus::Ready,
        attempt: 2,
        ended: Some(AttemptEnd {
            number: 1,
            status: AttemptStatus::Failed,
            reason: Some(ExitReason::Code(1)),
            took: Span(4),
            last_line: "no".into(),
        }),
        reason: "".into(),
    };
    let changes = [
        Change::Started { at: WallTime(3) },
        Change::Step(step),
        Change::Missed { count: 9 },
        Change::Ended { at: WallTime(9), status: RunStatus::Failed, reason: "time limit".into() },
    ];
    for change in changes {
        assert_eq!(Change::try_from(v1::WatchRunResponse::from(&change)), Ok(change));
    }
}

#[test]
fn a_submission_comes_back_sorted_and_a_bad_one_is_refused() {
    let submission_of = |names: &[&str]| Submission {
        request: RequestId(7 << 100),
        run: RunId::new("r"),
        generated: true,
        tag: "t".into(),
        graph: bytes::Bytes::from_static(b"graph"),
        parameters: names.iter().map(|name| ((*name).into(), Value::text("v"))).collect(),
        context: Value::from_loose("{}"),
    };
    let back = submission(submit_request(submission_of(&["b", "a"])));
    assert_eq!(back, Ok(submission_of(&["a", "b"])));
    assert!(submission(submit_request(submission_of(&["a", "a"]))).is_err());
    let mut message = submit_request(submission_of(&["a"]));
    message.request_id.pop();
    assert_eq!(submission(message), Err(Malformed("request_id")));
    let mut message = submit_request(submission_of(&["a"]));
    message.parameters[0].json = "{".into();
    assert_eq!(submission(message), Err(Malformed("json")));
}
