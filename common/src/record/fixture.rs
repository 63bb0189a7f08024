//! One run with everything that a run can hold, for the tests of this room.

use std::sync::Arc;

use super::segment::{Manifest, SegmentName};
use super::{
    AttemptRecord, AttemptStatus, CodeIdentity, Counts, Entry, FrameRecord, NodeRecord, NodeStatus,
    RunRecord, RunStatus,
};
use crate::ids::{Digest, Fence, LogIndex, RunId};
use crate::lease::{ExitReason, LogPlace};
use crate::time::{Span, WallTime};
use crate::value::Value;

const NOON: i64 = 1_763_640_131_869_129;

fn values(pairs: &[(&str, &str)]) -> Vec<(Arc<str>, Value)> {
    pairs.iter().map(|(name, value)| (Arc::from(*name), Value::from_loose(value))).collect()
}

pub fn record() -> RunRecord {
    RunRecord {
        run_id: RunId::new("greedy-yonath-1608"),
        tag: "weekly".to_owned(),
        generation: 0,
        graph: Digest::of(b"a graph"),
        status: RunStatus::Failed,
        reason: String::new(),
        submitted: WallTime(NOON),
        ended: Some(WallTime(NOON + 1_200_000)),
        parameters_at_start: values(&[("items", "[1,2]"), ("n", "4")]),
        parameters_at_end: values(&[("items", "[1,2]"), ("n", "5")]),
        context: Value::from_loose(
            r#"{"executor":{"service_name":"local","service_type":"executor"},
                "pipeline_file":"hello.yaml","parameters_file":"","variables":{},
                "host":"here"}"#,
        ),
        counts: Counts { succeeded: 2, failed: 2, skipped: 1, ..Counts::default() },
        first_index: LogIndex(2),
        last_index: LogIndex(9),
    }
}

pub fn code() -> CodeIdentity {
    CodeIdentity {
        since: WallTime(NOON),
        identifier: "ff60e7fa379c38adaa03755977057cd10acc4baa".to_owned(),
        kind: "git".to_owned(),
        dependable: false,
        url: "https://example.org/house.git".to_owned(),
        message: "changes found in square.py".to_owned(),
    }
}

pub fn manifest() -> Manifest {
    let digest = Digest::of(b"a segment");
    Manifest {
        record: record(),
        pipeline: "hello".to_owned(),
        code: vec![code()],
        segments: vec![SegmentName { digest, bytes: 77, entries: 5 }],
        logs: vec!["0".to_owned()],
        program: "0.1.0".to_owned(),
    }
}

pub fn plain_node(path: &str) -> NodeRecord {
    NodeRecord {
        path: path.into(),
        status: NodeStatus::Succeeded,
        reason: "".into(),
        attempts: Vec::new(),
        ended: Some(LogIndex(3)),
        outputs: Vec::new(),
        frames: 0,
    }
}

pub fn attempt(number: u32, reason: Option<ExitReason>) -> AttemptRecord {
    let failed = reason.is_some();
    AttemptRecord {
        number,
        status: if failed { AttemptStatus::Failed } else { AttemptStatus::Succeeded },
        reason,
        began: WallTime(NOON + 1_000),
        took: Span(9_299),
        worker: "here".into(),
        log: Some(LogPlace { fence: Fence(7), segment: 0, offset: 10, length: 33, dropped: 0 }),
        last_lines: if failed { "no\u{1b}[2J good".into() } else { "".into() },
        parameters: values(&[("x", "1")]),
        granted: LogIndex(4),
        recorded: LogIndex(5),
    }
}

/// Of a step, a map over two items of which one failed, and a step that had no input.
pub fn story() -> Vec<Entry> {
    let frame = |path: &str, label: &str, status| {
        Entry::Frame(FrameRecord { path: path.into(), label: label.into(), status })
    };
    let failed = NodeStatus::Failed;
    vec![
        Entry::Node(NodeRecord {
            attempts: vec![attempt(1, Some(ExitReason::Code(1))), attempt(2, None)],
            outputs: values(&[("n", "5")]),
            ..plain_node("extract")
        }),
        Entry::Node(NodeRecord { status: failed, frames: 2, ..plain_node("m") }),
        frame("m.0", "1", NodeStatus::Succeeded),
        Entry::Node(plain_node("m.0.w")),
        frame("m.1", "2", failed),
        Entry::Node(NodeRecord {
            status: failed,
            attempts: vec![attempt(1, Some(ExitReason::Signal(9)))],
            ..plain_node("m.1.w")
        }),
        Entry::Node(NodeRecord {
            status: NodeStatus::Skipped,
            reason: "upstream failed: m".into(),
            ..plain_node("report")
        }),
    ]
}
