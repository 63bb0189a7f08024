//! Times, statuses, values and ids: the small things that every message is made of.

use std::sync::Arc;

use dagmar_common::ids::{Digest, Fence, RequestId};
use dagmar_common::lease::{ExitReason, LogPlace};
use dagmar_common::record::{AttemptStatus, Counts, NodeStatus, RunStatus};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::value::Value;

use super::Malformed;
use crate::v1;

pub(super) fn timestamp(at: WallTime) -> prost_types::Timestamp {
    let (seconds, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    prost_types::Timestamp { seconds, nanos: micros as i32 * 1_000 }
}

pub(super) fn wall_time(stamp: &prost_types::Timestamp) -> WallTime {
    let micros = stamp.seconds.saturating_mul(1_000_000);
    WallTime(micros.saturating_add(i64::from(stamp.nanos) / 1_000))
}

pub(super) fn duration(span: Span) -> prost_types::Duration {
    let seconds = i64::try_from(span.0 / 1_000_000).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: (span.0 % 1_000_000) as i32 * 1_000 }
}

pub(super) fn span(duration: &prost_types::Duration) -> Span {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    let micros = u64::try_from(duration.nanos / 1_000).unwrap_or(0);
    Span(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// What a message must have, though proto3 lets it be absent.
pub(super) fn needed<T>(part: Option<T>, name: &'static str) -> Result<T, Malformed> {
    part.ok_or(Malformed(name))
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes.try_into().map(Digest).map_err(|_| Malformed("digest"))
}

/// 16 bytes; nothing else is a request id.
pub fn request_id(bytes: &[u8]) -> Result<RequestId, Malformed> {
    let bytes = bytes.try_into().map_err(|_| Malformed("request_id"))?;
    Ok(RequestId(u128::from_be_bytes(bytes)))
}

pub fn id_bytes(id: RequestId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

pub(super) fn values(pairs: &[(Arc<str>, Value)]) -> Vec<v1::NamedValue> {
    let named = |(name, value): &(Arc<str>, Value)| v1::NamedValue {
        name: name.to_string(),
        json: value.spelled().to_owned(),
    };
    pairs.iter().map(named).collect()
}

/// Spelled anew: a client may write JSON in any way, the house in one.
pub(super) fn values_back(pairs: Vec<v1::NamedValue>) -> Result<Vec<(Arc<str>, Value)>, Malformed> {
    pairs.into_iter().map(|pair| Ok((pair.name.into(), json(&pair.json)?))).collect()
}

pub(super) fn json(text: &str) -> Result<Value, Malformed> {
    match serde_json::from_str(text) {
        Ok(json) => Ok(Value::from_json(&json)),
        Err(_) => Err(Malformed("json")),
    }
}

impl From<Counts> for v1::Counts {
    fn from(counts: Counts) -> Self {
        let Counts { waiting, active, succeeded, failed, skipped, cancelled } = counts;
        v1::Counts { waiting, active, succeeded, failed, skipped, cancelled }
    }
}

impl From<v1::Counts> for Counts {
    fn from(counts: v1::Counts) -> Self {
        let v1::Counts { waiting, active, succeeded, failed, skipped, cancelled } = counts;
        Counts { waiting, active, succeeded, failed, skipped, cancelled }
    }
}

/// Declares both ways between a status of the house and its enum on the wire.
macro_rules! statuses {
    ($ours:ident, $wire:ident, $to:ident, $back:ident, $($name:ident),+) => {
        pub(super) fn $to(status: $ours) -> i32 {
            match status {
                $($ours::$name => v1::$wire::$name as i32,)+
            }
        }

        pub(super) fn $back(number: i32) -> Result<$ours, Malformed> {
            match v1::$wire::try_from(number) {
                $(Ok(v1::$wire::$name) => Ok($ours::$name),)+
                _ => Err(Malformed("status")),
            }
        }
    };
}

statuses!(RunStatus, RunStatus, run_status, run_status_back, Running, Succeeded, Failed, Cancelled);
statuses!(
    NodeStatus,
    NodeStatus,
    node_status,
    node_status_back,
    Waiting,
    Ready,
    Leased,
    Succeeded,
    Failed,
    Skipped,
    Cancelled
);
statuses!(
    AttemptStatus,
    AttemptStatus,
    attempt_status,
    attempt_status_back,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Lost,
    Unknown
);

pub(super) fn exit(reason: ExitReason) -> v1::ExitReason {
    use v1::exit_reason::Reason;
    let reason = match reason {
        ExitReason::Code(code) => Reason::Code(code.into()),
        ExitReason::Signal(signal) => Reason::Signal(signal.into()),
        ExitReason::TimeLimit => Reason::TimeLimit(true),
        ExitReason::NotStarted(errno) => Reason::NotStarted(errno),
        ExitReason::BadOutput => Reason::BadOutput(true),
    };
    v1::ExitReason { reason: Some(reason) }
}

pub(super) fn exit_back(message: v1::ExitReason) -> Result<ExitReason, Malformed> {
    use v1::exit_reason::Reason;
    let byte = |number| u8::try_from(number).map_err(|_| Malformed("exit_reason"));
    Ok(match needed(message.reason, "exit_reason")? {
        Reason::Code(code) => ExitReason::Code(byte(code)?),
        Reason::Signal(signal) => ExitReason::Signal(byte(signal)?),
        Reason::TimeLimit(_) => ExitReason::TimeLimit,
        Reason::NotStarted(errno) => ExitReason::NotStarted(errno),
        Reason::BadOutput(_) => ExitReason::BadOutput,
    })
}

impl From<LogPlace> for v1::LogPlace {
    fn from(place: LogPlace) -> Self {
        let LogPlace { fence, segment, offset, length, dropped } = place;
        v1::LogPlace { segment, offset, length, dropped, fence: fence.0 }
    }
}

impl From<v1::LogPlace> for LogPlace {
    fn from(place: v1::LogPlace) -> Self {
        let v1::LogPlace { segment, offset, length, dropped, fence } = place;
        LogPlace { fence: Fence(fence), segment, offset, length, dropped }
    }
}
