//! Version 1 of manifests and entries as bincode: frozen forms, and the way to and from them.

use std::sync::Arc;

use bincode::config::Configuration;
use bincode::{Decode, Encode};

use super::{Manifest, SegmentName, Unreadable};
use crate::ids::{Digest, Fence, LogIndex, RunId};
use crate::lease::{ExitReason, LogPlace};
use crate::record::{
    Alike, AttemptRecord, AttemptStatus, CodeIdentity, Counts, Entry, FrameRecord, NodeRecord,
    NodeStatus, RunRecord, RunStatus,
};
use crate::time::{Span, WallTime};
use crate::value::Value;

const CONFIG: Configuration = bincode::config::standard();
/// A length is believed as far as what is read can hold: of few bytes little is set aside.
const FEW_BYTES: usize = 64 << 10;
const FEW_DECODED_BYTES_MAX: usize = 256 * FEW_BYTES;
/// No archive of ours holds more in one manifest or entry.
const DECODED_BYTES_MAX: usize = 1 << 30;

#[derive(Encode, Decode)]
struct ManifestV1 {
    record: RunV1,
    pipeline: String,
    code: Vec<CodeV1>,
    segments: Vec<([u8; 32], u64, u32)>,
    logs: Vec<String>,
    program: String,
}

#[derive(Encode, Decode)]
struct RunV1 {
    run_id: String,
    tag: String,
    generation: u32,
    graph: [u8; 32],
    status: u8,
    reason: String,
    submitted: i64,
    ended: Option<i64>,
    parameters_at_start: Vec<(String, String)>,
    parameters_at_end: Vec<(String, String)>,
    context: String,
    counts: [u64; 6],
    first_index: u64,
    last_index: u64,
}

#[derive(Encode, Decode)]
struct CodeV1 {
    since: i64,
    identifier: String,
    kind: String,
    dependable: bool,
    url: String,
    message: String,
}

#[derive(Encode, Decode)]
enum EntryV1 {
    Node(NodeV1),
    Frame(FrameV1),
    Alike(AlikeV1),
}

#[derive(Encode, Decode)]
struct FrameV1 {
    path: String,
    label: String,
    status: u8,
}

#[derive(Encode, Decode)]
struct AlikeV1 {
    composite: String,
    first: u32,
    count: u32,
    labels: Vec<String>,
    status: u8,
    nodes: Vec<NodeV1>,
}

#[derive(Encode, Decode)]
struct NodeV1 {
    path: String,
    status: u8,
    reason: String,
    attempts: Vec<AttemptV1>,
    ended: Option<u64>,
    outputs: Vec<(String, String)>,
    frames: u32,
}

#[derive(Encode, Decode)]
struct AttemptV1 {
    number: u32,
    status: u8,
    reason: Option<ExitV1>,
    began: i64,
    took: u64,
    worker: String,
    /// Fence, segment, offset, length, dropped.
    log: Option<(u64, u32, u64, u64, u64)>,
    last_lines: String,
    parameters: Vec<(String, String)>,
    granted: u64,
    recorded: u64,
}

#[derive(Encode, Decode)]
enum ExitV1 {
    Code(u8),
    Signal(u8),
    TimeLimit,
    NotStarted(i32),
    BadOutput,
}

pub(super) fn encode_manifest(manifest: &Manifest, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    encode(
        &ManifestV1 {
            record: RunV1::of(&manifest.record),
            pipeline: manifest.pipeline.clone(),
            code: manifest.code.iter().map(CodeV1::of).collect(),
            segments: manifest.segments.iter().map(|s| (s.digest.0, s.bytes, s.entries)).collect(),
            logs: manifest.logs.clone(),
            program: manifest.program.clone(),
        },
        out,
    )
}

pub(super) fn decode_manifest(bytes: &[u8]) -> Result<Manifest, Unreadable> {
    let (form, taken) = decode::<ManifestV1>(bytes)?;
    if taken != bytes.len() {
        return Err(Unreadable::Form("bytes behind the manifest".to_owned()));
    }
    let segment = |(digest, bytes, entries)| SegmentName { digest: Digest(digest), bytes, entries };
    Ok(Manifest {
        record: form.record.back()?,
        pipeline: form.pipeline,
        code: form.code.into_iter().map(CodeV1::back).collect(),
        segments: form.segments.into_iter().map(segment).collect(),
        logs: form.logs,
        program: form.program,
    })
}

pub(super) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let form = match entry {
        Entry::Node(node) => EntryV1::Node(NodeV1::of(node)),
        Entry::Frame(frame) => EntryV1::Frame(FrameV1 {
            path: frame.path.to_string(),
            label: frame.label.to_string(),
            status: node_status(frame.status),
        }),
        Entry::Alike(alike) => EntryV1::Alike(AlikeV1 {
            composite: alike.composite.to_string(),
            first: alike.first,
            count: alike.count,
            labels: alike.labels.iter().map(ToString::to_string).collect(),
            status: node_status(alike.status),
            nodes: alike.nodes.iter().map(NodeV1::of).collect(),
        }),
    };
    encode(&form, out)
}

/// The first entry in `bytes` and how many of them it took.
pub(super) fn decode_entry(bytes: &[u8]) -> Result<(Entry, usize), Unreadable> {
    let (form, taken) = decode::<EntryV1>(bytes)?;
    let entry = match form {
        EntryV1::Node(node) => Entry::Node(node.back()?),
        EntryV1::Frame(frame) => Entry::Frame(FrameRecord {
            path: frame.path.into(),
            label: frame.label.into(),
            status: node_status_back(frame.status)?,
        }),
        EntryV1::Alike(alike) => Entry::Alike(alike.back()?),
    };
    Ok((entry, taken))
}

fn encode(form: &impl Encode, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let written = bincode::encode_into_std_write(form, out, CONFIG);
    written.map(|_| ()).map_err(|error| Unreadable::Form(error.to_string()))
}

fn decode<D: Decode<()>>(bytes: &[u8]) -> Result<(D, usize), Unreadable> {
    let decoded = match bytes.len() {
        0..=FEW_BYTES => {
            bincode::decode_from_slice(bytes, CONFIG.with_limit::<FEW_DECODED_BYTES_MAX>())
        }
        _ => bincode::decode_from_slice(bytes, CONFIG.with_limit::<DECODED_BYTES_MAX>()),
    };
    decoded.map_err(|error| Unreadable::Form(error.to_string()))
}

impl RunV1 {
    fn of(run: &RunRecord) -> Self {
        let counts = &run.counts;
        RunV1 {
            run_id: run.run_id.as_str().to_owned(),
            tag: run.tag.clone(),
            generation: run.generation,
            graph: run.graph.0,
            status: match run.status {
                RunStatus::Running => 0,
                RunStatus::Succeeded => 1,
                RunStatus::Failed => 2,
                RunStatus::Cancelled => 3,
            },
            reason: run.reason.clone(),
            submitted: run.submitted.0,
            ended: run.ended.map(|at| at.0),
            parameters_at_start: values(&run.parameters_at_start),
            parameters_at_end: values(&run.parameters_at_end),
            context: run.context.spelled().to_owned(),
            counts: [
                counts.waiting,
                counts.active,
                counts.succeeded,
                counts.failed,
                counts.skipped,
                counts.cancelled,
            ],
            first_index: run.first_index.0,
            last_index: run.last_index.0,
        }
    }

    fn back(self) -> Result<RunRecord, Unreadable> {
        let [waiting, active, succeeded, failed, skipped, cancelled] = self.counts;
        Ok(RunRecord {
            run_id: RunId::new(&self.run_id),
            tag: self.tag,
            generation: self.generation,
            graph: Digest(self.graph),
            status: match self.status {
                0 => RunStatus::Running,
                1 => RunStatus::Succeeded,
                2 => RunStatus::Failed,
                3 => RunStatus::Cancelled,
                other => return Err(unknown("status of a run", other)),
            },
            reason: self.reason,
            submitted: WallTime(self.submitted),
            ended: self.ended.map(WallTime),
            parameters_at_start: values_back(self.parameters_at_start),
            parameters_at_end: values_back(self.parameters_at_end),
            context: Value::from_spelled(self.context),
            counts: Counts { waiting, active, succeeded, failed, skipped, cancelled },
            first_index: LogIndex(self.first_index),
            last_index: LogIndex(self.last_index),
        })
    }
}

impl CodeV1 {
    fn of(code: &CodeIdentity) -> Self {
        CodeV1 {
            since: code.since.0,
            identifier: code.identifier.clone(),
            kind: code.kind.clone(),
            dependable: code.dependable,
            url: code.url.clone(),
            message: code.message.clone(),
        }
    }

    fn back(self) -> CodeIdentity {
        let CodeV1 { since, identifier, kind, dependable, url, message } = self;
        CodeIdentity { since: WallTime(since), identifier, kind, dependable, url, message }
    }
}

impl AlikeV1 {
    fn back(self) -> Result<Alike, Unreadable> {
        let alike = Alike {
            composite: self.composite.into(),
            first: self.first,
            count: self.count,
            labels: self.labels.into_iter().map(Arc::from).collect(),
            status: node_status_back(self.status)?,
            nodes: self.nodes.into_iter().map(NodeV1::back).collect::<Result<_, _>>()?,
        };
        let why = || Unreadable::Form(format!("{} equal items at once", alike.count));
        if alike.is_sound() { Ok(alike) } else { Err(why()) }
    }
}

impl NodeV1 {
    fn of(node: &NodeRecord) -> Self {
        NodeV1 {
            path: node.path.to_string(),
            status: node_status(node.status),
            reason: node.reason.to_string(),
            attempts: node.attempts.iter().map(AttemptV1::of).collect(),
            ended: node.ended.map(|index| index.0),
            outputs: values(&node.outputs),
            frames: node.frames,
        }
    }

    fn back(self) -> Result<NodeRecord, Unreadable> {
        Ok(NodeRecord {
            path: self.path.into(),
            status: node_status_back(self.status)?,
            reason: self.reason.into(),
            attempts: self.attempts.into_iter().map(AttemptV1::back).collect::<Result<_, _>>()?,
            ended: self.ended.map(LogIndex),
            outputs: values_back(self.outputs),
            frames: self.frames,
        })
    }
}

impl AttemptV1 {
    fn of(attempt: &AttemptRecord) -> Self {
        AttemptV1 {
            number: attempt.number,
            status: match attempt.status {
                AttemptStatus::Running => 0,
                AttemptStatus::Succeeded => 1,
                AttemptStatus::Failed => 2,
                AttemptStatus::Cancelled => 3,
                AttemptStatus::Lost => 4,
                AttemptStatus::Unknown => 5,
            },
            reason: attempt.reason.map(|reason| match reason {
                ExitReason::Code(code) => ExitV1::Code(code),
                ExitReason::Signal(signal) => ExitV1::Signal(signal),
                ExitReason::TimeLimit => ExitV1::TimeLimit,
                ExitReason::NotStarted(errno) => ExitV1::NotStarted(errno),
                ExitReason::BadOutput => ExitV1::BadOutput,
            }),
            began: attempt.began.0,
            took: attempt.took.0,
            worker: attempt.worker.to_string(),
            log: attempt
                .log
                .map(|log| (log.fence.0, log.segment, log.offset, log.length, log.dropped)),
            last_lines: attempt.last_lines.to_string(),
            parameters: values(&attempt.parameters),
            granted: attempt.granted.0,
            recorded: attempt.recorded.0,
        }
    }

    fn back(self) -> Result<AttemptRecord, Unreadable> {
        Ok(AttemptRecord {
            number: self.number,
            status: match self.status {
                0 => AttemptStatus::Running,
                1 => AttemptStatus::Succeeded,
                2 => AttemptStatus::Failed,
                3 => AttemptStatus::Cancelled,
                4 => AttemptStatus::Lost,
                5 => AttemptStatus::Unknown,
                other => return Err(unknown("status of an attempt", other)),
            },
            reason: self.reason.map(|reason| match reason {
                ExitV1::Code(code) => ExitReason::Code(code),
                ExitV1::Signal(signal) => ExitReason::Signal(signal),
                ExitV1::TimeLimit => ExitReason::TimeLimit,
                ExitV1::NotStarted(errno) => ExitReason::NotStarted(errno),
                ExitV1::BadOutput => ExitReason::BadOutput,
            }),
            began: WallTime(self.began),
            took: Span(self.took),
            worker: self.worker.into(),
            log: self.log.map(|(fence, segment, offset, length, dropped)| LogPlace {
                fence: Fence(fence),
                segment,
                offset,
                length,
                dropped,
            }),
            last_lines: self.last_lines.into(),
            parameters: values_back(self.parameters),
            granted: LogIndex(self.granted),
            recorded: LogIndex(self.recorded),
        })
    }
}

fn node_status(status: NodeStatus) -> u8 {
    match status {
        NodeStatus::Waiting => 0,
        NodeStatus::Ready => 1,
        NodeStatus::Leased => 2,
        NodeStatus::Succeeded => 3,
        NodeStatus::Failed => 4,
        NodeStatus::Skipped => 5,
        NodeStatus::Cancelled => 6,
    }
}

fn node_status_back(number: u8) -> Result<NodeStatus, Unreadable> {
    Ok(match number {
        0 => NodeStatus::Waiting,
        1 => NodeStatus::Ready,
        2 => NodeStatus::Leased,
        3 => NodeStatus::Succeeded,
        4 => NodeStatus::Failed,
        5 => NodeStatus::Skipped,
        6 => NodeStatus::Cancelled,
        other => return Err(unknown("status of a node", other)),
    })
}

fn values(pairs: &[(Arc<str>, Value)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.spelled().to_owned())).collect()
}

fn values_back(pairs: Vec<(String, String)>) -> Vec<(Arc<str>, Value)> {
    pairs.into_iter().map(|(name, value)| (name.into(), Value::from_spelled(value))).collect()
}

fn unknown(what: &str, number: u8) -> Unreadable {
    Unreadable::Form(format!("{what} {number} is not known"))
}
