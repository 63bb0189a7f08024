//! Runs as data: records, stories and submissions on the wire.

use dagmar_common::ids::{LogIndex, RunId};
use dagmar_common::record::{
    Alike, AttemptRecord, Entry, FrameRecord, NodeRecord, RunRecord, RunSummary, Submission,
};

use super::Malformed;
use super::basics::{
    attempt_status, attempt_status_back, digest, duration, exit, exit_back, id_bytes, json, needed,
    node_status, node_status_back, request_id, run_status, run_status_back, span, timestamp,
    values, values_back, wall_time,
};
use crate::v1;

pub fn submit_request(submission: Submission) -> v1::SubmitRequest {
    v1::SubmitRequest {
        request_id: id_bytes(submission.request),
        run_id: submission.run.as_str().to_owned(),
        run_id_generated: submission.generated,
        tag: submission.tag,
        graph: submission.graph,
        parameters: values(&submission.parameters),
        context_json: submission.context.spelled().to_owned(),
    }
}

/// Checks the form; whether the graph is one is for whoever decodes it.
pub fn submission(message: v1::SubmitRequest) -> Result<Submission, Malformed> {
    let mut parameters = values_back(message.parameters)?;
    parameters.sort_by(|(a, _), (b, _)| a.cmp(b));
    if parameters.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Malformed("parameters (a name stands twice)"));
    }
    Ok(Submission {
        request: request_id(&message.request_id)?,
        run: RunId::new(&message.run_id),
        generated: message.run_id_generated,
        tag: message.tag,
        graph: message.graph,
        parameters,
        context: json(&message.context_json)?,
    })
}

impl From<&RunSummary> for v1::RunSummary {
    fn from(summary: &RunSummary) -> Self {
        v1::RunSummary {
            run_id: summary.run_id.as_str().to_owned(),
            tag: summary.tag.clone(),
            pipeline: summary.pipeline.clone(),
            generation: summary.generation,
            graph_digest: summary.graph.0.to_vec(),
            status: run_status(summary.status),
            reason: summary.reason.clone(),
            submit_time: Some(timestamp(summary.submitted)),
            end_time: summary.ended.map(timestamp),
            counts: Some(summary.counts.into()),
        }
    }
}

impl TryFrom<v1::RunSummary> for RunSummary {
    type Error = Malformed;

    fn try_from(message: v1::RunSummary) -> Result<Self, Malformed> {
        Ok(RunSummary {
            run_id: RunId::new(&message.run_id),
            tag: message.tag,
            pipeline: message.pipeline,
            generation: message.generation,
            graph: digest(&message.graph_digest)?,
            status: run_status_back(message.status)?,
            reason: message.reason,
            submitted: wall_time(&needed(message.submit_time, "submit_time")?),
            ended: message.end_time.as_ref().map(wall_time),
            counts: needed(message.counts, "counts")?.into(),
        })
    }
}

impl From<&RunRecord> for v1::RunRecord {
    fn from(record: &RunRecord) -> Self {
        v1::RunRecord {
            summary: Some((&RunSummary::of(record, "")).into()),
            parameters_at_start: values(&record.parameters_at_start),
            parameters_at_end: values(&record.parameters_at_end),
            context_json: record.context.spelled().to_owned(),
            first_index: record.first_index.0,
            last_index: record.last_index.0,
        }
    }
}

impl TryFrom<v1::RunRecord> for RunRecord {
    type Error = Malformed;

    fn try_from(message: v1::RunRecord) -> Result<Self, Malformed> {
        let summary = RunSummary::try_from(needed(message.summary, "summary")?)?;
        Ok(RunRecord {
            run_id: summary.run_id,
            tag: summary.tag,
            generation: summary.generation,
            graph: summary.graph,
            status: summary.status,
            reason: summary.reason,
            submitted: summary.submitted,
            ended: summary.ended,
            parameters_at_start: values_back(message.parameters_at_start)?,
            parameters_at_end: values_back(message.parameters_at_end)?,
            context: json(&message.context_json)?,
            counts: summary.counts,
            first_index: LogIndex(message.first_index),
            last_index: LogIndex(message.last_index),
        })
    }
}

impl From<&Entry> for v1::StoryEntry {
    fn from(entry: &Entry) -> Self {
        use v1::story_entry::Entry as Wire;
        let entry = match entry {
            Entry::Node(node) => Wire::Node(node.into()),
            Entry::Frame(frame) => Wire::Frame(v1::FrameRecord {
                path: frame.path.to_string(),
                label: frame.label.to_string(),
                status: node_status(frame.status),
            }),
            Entry::Alike(alike) => Wire::Alike(v1::Alike {
                composite: alike.composite.to_string(),
                first: alike.first,
                count: alike.count,
                labels: alike.labels.iter().map(ToString::to_string).collect(),
                status: node_status(alike.status),
                nodes: alike.nodes.iter().map(Into::into).collect(),
            }),
        };
        v1::StoryEntry { entry: Some(entry) }
    }
}

impl TryFrom<v1::StoryEntry> for Entry {
    type Error = Malformed;

    fn try_from(message: v1::StoryEntry) -> Result<Self, Malformed> {
        use v1::story_entry::Entry as Wire;
        Ok(match needed(message.entry, "entry")? {
            Wire::Node(node) => Entry::Node(node.try_into()?),
            Wire::Frame(frame) => Entry::Frame(FrameRecord {
                path: frame.path.into(),
                label: frame.label.into(),
                status: node_status_back(frame.status)?,
            }),
            Wire::Alike(alike) => Entry::Alike(alike_back(alike)?),
        })
    }
}

fn alike_back(message: v1::Alike) -> Result<Alike, Malformed> {
    let alike = Alike {
        composite: message.composite.into(),
        first: message.first,
        count: message.count,
        labels: message.labels.into_iter().map(Into::into).collect(),
        status: node_status_back(message.status)?,
        nodes: message.nodes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
    };
    if alike.is_sound() { Ok(alike) } else { Err(Malformed("count of equal items")) }
}

impl From<&NodeRecord> for v1::NodeRecord {
    fn from(node: &NodeRecord) -> Self {
        v1::NodeRecord {
            path: node.path.to_string(),
            status: node_status(node.status),
            reason: node.reason.to_string(),
            attempts: node.attempts.iter().map(Into::into).collect(),
            end_index: node.ended.map(|index| index.0),
            outputs: values(&node.outputs),
            frames: node.frames,
        }
    }
}

impl TryFrom<v1::NodeRecord> for NodeRecord {
    type Error = Malformed;

    fn try_from(message: v1::NodeRecord) -> Result<Self, Malformed> {
        let attempts = message.attempts.into_iter().map(TryInto::try_into);
        Ok(NodeRecord {
            path: message.path.into(),
            status: node_status_back(message.status)?,
            reason: message.reason.into(),
            attempts: attempts.collect::<Result<_, _>>()?,
            ended: message.end_index.map(LogIndex),
            outputs: values_back(message.outputs)?,
            frames: message.frames,
        })
    }
}

impl From<&AttemptRecord> for v1::AttemptRecord {
    fn from(attempt: &AttemptRecord) -> Self {
        v1::AttemptRecord {
            number: attempt.number,
            status: attempt_status(attempt.status),
            exit_reason: attempt.reason.map(exit),
            start_time: Some(timestamp(attempt.began)),
            duration: Some(duration(attempt.took)),
            worker: attempt.worker.to_string(),
            log: attempt.log.map(Into::into),
            last_lines: attempt.last_lines.to_string(),
            parameters: values(&attempt.parameters),
            grant_index: attempt.granted.0,
            record_index: attempt.recorded.0,
        }
    }
}

impl TryFrom<v1::AttemptRecord> for AttemptRecord {
    type Error = Malformed;

    fn try_from(message: v1::AttemptRecord) -> Result<Self, Malformed> {
        Ok(AttemptRecord {
            number: message.number,
            status: attempt_status_back(message.status)?,
            reason: message.exit_reason.map(exit_back).transpose()?,
            began: wall_time(&needed(message.start_time, "start_time")?),
            took: span(&needed(message.duration, "duration")?),
            worker: message.worker.into(),
            log: message.log.map(Into::into),
            last_lines: message.last_lines.into(),
            parameters: values_back(message.parameters)?,
            granted: LogIndex(message.grant_index),
            recorded: LogIndex(message.record_index),
        })
    }
}

#[cfg(test)]
mod tests;
