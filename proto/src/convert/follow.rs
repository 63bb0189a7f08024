//! What somebody who follows a run is told, on the wire.

use dagmar_common::record::follow::{
    AttemptEnd, Change, LogEnd, LogPiece, Progress, Reason, StepChange, StepProgress, Stream,
};

use super::Malformed;
use super::basics::{
    attempt_status, attempt_status_back, duration, exit, exit_back, needed, node_status,
    node_status_back, run_status, run_status_back, span, timestamp, wall_time,
};
use crate::v1;

impl From<&Change> for v1::WatchRunResponse {
    fn from(change: &Change) -> Self {
        use v1::watch_run_response::Change as Wire;
        let change = match change {
            Change::Started { at } => Wire::Started(v1::RunStarted { time: Some(timestamp(*at)) }),
            Change::Step(step) => Wire::Step(step.into()),
            Change::Missed { count } => Wire::Missed(v1::ChangesMissed { count: *count }),
            Change::Ended { at, status, reason } => Wire::Ended(v1::RunEnded {
                time: Some(timestamp(*at)),
                status: run_status(*status),
                reason: reason.to_string(),
            }),
        };
        v1::WatchRunResponse { change: Some(change) }
    }
}

impl TryFrom<v1::WatchRunResponse> for Change {
    type Error = Malformed;

    fn try_from(message: v1::WatchRunResponse) -> Result<Self, Malformed> {
        use v1::watch_run_response::Change as Wire;
        Ok(match needed(message.change, "change")? {
            Wire::Started(started) => {
                Change::Started { at: wall_time(&needed(started.time, "time")?) }
            }
            Wire::Step(step) => Change::Step(step.try_into()?),
            Wire::Missed(missed) => Change::Missed { count: missed.count },
            Wire::Ended(ended) => Change::Ended {
                at: wall_time(&needed(ended.time, "time")?),
                status: run_status_back(ended.status)?,
                reason: ended.reason.into(),
            },
        })
    }
}

impl From<&StepChange> for v1::StepChange {
    fn from(step: &StepChange) -> Self {
        v1::StepChange {
            time: Some(timestamp(step.at)),
            path: step.path.to_string(),
            status: node_status(step.status),
            attempt: step.attempt,
            ended: step.ended.as_ref().map(|ended| v1::AttemptEnd {
                number: ended.number,
                status: attempt_status(ended.status),
                exit_reason: ended.reason.map(exit),
                duration: Some(duration(ended.took)),
                last_line: ended.last_line.to_string(),
            }),
            reason: step.reason.to_string(),
        }
    }
}

impl TryFrom<v1::StepChange> for StepChange {
    type Error = Malformed;

    fn try_from(message: v1::StepChange) -> Result<Self, Malformed> {
        let ended = |ended: v1::AttemptEnd| {
            Ok(AttemptEnd {
                number: ended.number,
                status: attempt_status_back(ended.status)?,
                reason: ended.exit_reason.map(exit_back).transpose()?,
                took: span(&needed(ended.duration, "duration")?),
                last_line: ended.last_line.into(),
            })
        };
        Ok(StepChange {
            at: wall_time(&needed(message.time, "time")?),
            path: message.path.into(),
            status: node_status_back(message.status)?,
            attempt: message.attempt,
            ended: message.ended.map(ended).transpose()?,
            reason: message.reason.into(),
        })
    }
}

impl From<&Progress> for v1::GetProgressResponse {
    fn from(progress: &Progress) -> Self {
        let step = |step: &StepProgress| v1::StepProgress {
            name: step.name.to_string(),
            status: node_status(step.status),
            attempt: step.attempt,
            start_time: step.began.map(timestamp),
            duration: step.took.map(duration),
            frames: step.frames,
            frames_ended: step.frames_ended,
            counts: Some(step.counts.into()),
            reason: step.reason.to_string(),
        };
        v1::GetProgressResponse {
            summary: Some((&progress.summary).into()),
            steps: progress.steps.iter().map(step).collect(),
            left_out: progress.left_out,
        }
    }
}

impl TryFrom<v1::GetProgressResponse> for Progress {
    type Error = Malformed;

    fn try_from(message: v1::GetProgressResponse) -> Result<Self, Malformed> {
        let step = |step: v1::StepProgress| {
            Ok(StepProgress {
                name: step.name.into(),
                status: node_status_back(step.status)?,
                attempt: step.attempt,
                began: step.start_time.as_ref().map(wall_time),
                took: step.duration.as_ref().map(span),
                frames: step.frames,
                frames_ended: step.frames_ended,
                counts: needed(step.counts, "counts")?.into(),
                reason: step.reason.into(),
            })
        };
        Ok(Progress {
            summary: needed(message.summary, "summary")?.try_into()?,
            steps: message.steps.into_iter().map(step).collect::<Result<_, _>>()?,
            left_out: message.left_out,
        })
    }
}

impl From<LogPiece> for v1::ReadLogsResponse {
    fn from(piece: LogPiece) -> Self {
        v1::ReadLogsResponse {
            path: piece.path.to_string(),
            attempt: piece.attempt,
            is_stderr: piece.stream == Stream::Stderr,
            data: piece.bytes,
            end: piece.end.map(|LogEnd { dropped, is_cut }| v1::LogEnd { dropped, is_cut }),
        }
    }
}

impl From<v1::ReadLogsResponse> for LogPiece {
    fn from(message: v1::ReadLogsResponse) -> Self {
        LogPiece {
            path: message.path.into(),
            attempt: message.attempt,
            stream: if message.is_stderr { Stream::Stderr } else { Stream::Stdout },
            bytes: message.data,
            end: message.end.map(|v1::LogEnd { dropped, is_cut }| LogEnd { dropped, is_cut }),
        }
    }
}

impl From<Reason> for v1::WhyReason {
    fn from(reason: Reason) -> Self {
        let Reason { path, sentence, details } = reason;
        v1::WhyReason { path: path.to_string(), sentence, details }
    }
}

impl From<v1::WhyReason> for Reason {
    fn from(message: v1::WhyReason) -> Self {
        let v1::WhyReason { path, sentence, details } = message;
        Reason { path: path.into(), sentence, details }
    }
}
