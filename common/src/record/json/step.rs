//! One step of a run log: its head up to its branches, and what stands behind them.

use std::io::{self, Write};
use std::sync::Arc;

use super::names::{Names, step_type};
use super::{JsonWriter, Page, time};
use crate::limits::REPEATED_VALUE_BYTES_MAX;
use crate::record::{AttemptRecord, AttemptStatus, CodeIdentity, NodeRecord, words};
use crate::time::WallTime;
use crate::value::Value;

/// Everything up to and with the begin of `branches`, which is left open.
pub(super) fn head<W: Write>(
    json: &mut JsonWriter<W>,
    node: &NodeRecord,
    names: &Names<'_>,
    page: Page<'_>,
) -> io::Result<()> {
    let name = node.path.rsplit('.').next().unwrap_or_default();
    json.object_field(&node.path)?;
    json.text_field("name", name)?;
    json.text_field("internal_name", &node.path)?;
    json.text_field("status", words::of_node(node.status))?;
    let kind = names.kind(&node.path).map_or("", |kind| step_type(page.graph, kind));
    json.text_field("step_type", kind)?;
    json.text_field("message", &node.reason)?;
    json.field("mock", false)?;
    json.array_field("code_identities")?;
    let code = node.attempts.first().and_then(|first| code_at(page.code, first.began));
    if let Some(code) = code {
        identity(json, code)?;
    }
    json.end_array()?;
    json.array_field("attempts")?;
    for attempt in &node.attempts {
        write_attempt(json, attempt, page)?;
    }
    json.end_array()?;
    json.object_field("user_defined_metrics")?;
    json.end_object()?;
    json.object_field("branches")
}

/// What stands behind `branches`, and the end of the step.
pub(super) fn tail<W: Write>(json: &mut JsonWriter<W>, node: &NodeRecord) -> io::Result<()> {
    json.array_field("data_catalog")?;
    json.end_array()?;
    values(json, "outputs", &node.outputs)?;
    match node.ended {
        Some(index) => json.field("ended_index", index)?,
        None => json.field("ended_index", "null")?,
    }
    json.end_object()
}

pub(super) fn values<W: Write>(
    json: &mut JsonWriter<W>,
    name: &str,
    values: &[(Arc<str>, Value)],
) -> io::Result<()> {
    json.object_field(name)?;
    for (name, value) in values {
        json.field(name, value.spelled())?;
    }
    json.end_object()
}

/// The identity that was taken last before `began`; the first one for what began earlier, since
/// identities are read beside the run and may come a moment after its first step.
fn code_at(code: &[CodeIdentity], began: WallTime) -> Option<&CodeIdentity> {
    code.iter().rfind(|code| code.since <= began).or(code.first())
}

fn identity<W: Write>(json: &mut JsonWriter<W>, code: &CodeIdentity) -> io::Result<()> {
    json.begin_object()?;
    json.text_field("code_identifier", &code.identifier)?;
    json.text_field("code_identifier_type", &code.kind)?;
    json.field("code_identifier_dependable", code.dependable)?;
    json.text_field("code_identifier_url", &code.url)?;
    json.text_field("code_identifier_message", &code.message)?;
    json.end_object()
}

fn write_attempt<W: Write>(
    json: &mut JsonWriter<W>,
    attempt: &AttemptRecord,
    page: Page<'_>,
) -> io::Result<()> {
    // Of a start that nobody lived to tell there is no time.
    let is_told = attempt.began != WallTime(0);
    let has_ended = attempt.status != AttemptStatus::Running;
    json.begin_object()?;
    json.field("attempt_number", attempt.number)?;
    time(json, "start_time", is_told.then_some(attempt.began))?;
    let end = (is_told && has_ended).then(|| attempt.began.plus(attempt.took));
    time(json, "end_time", end)?;
    json.text_field("duration", &words::of_span(attempt.took))?;
    json.text_field("status", words::of_attempt(attempt.status))?;
    json.text_field("message", &words::of_cause(attempt))?;
    seen(json, attempt, page)?;
    json.text_field("worker", &attempt.worker)?;
    json.text_field("last_lines", &attempt.last_lines)?;
    json.key("log")?;
    // Where nobody knows yet, or any more, there is no place.
    match attempt.log.filter(|place| !place.is_cut()) {
        None => json.raw("null")?,
        Some(log) => {
            json.begin_object()?;
            json.field("segment", log.segment)?;
            json.field("offset", log.offset)?;
            json.field("length", log.length)?;
            json.field("dropped", log.dropped)?;
            json.end_object()?;
        }
    }
    json.field("granted_index", attempt.granted)?;
    match has_ended {
        true => json.field("recorded_index", attempt.recorded)?,
        false => json.field("recorded_index", "null")?,
    }
    json.end_object()
}

/// The parameters at this attempt: the initial ones overlaid by what it saw beyond them.
///
/// A long initial value stands at the top of the page only; here its name is left out aloud, for
/// a list of a million items would otherwise be repeated a million times.
fn seen<W: Write>(
    json: &mut JsonWriter<W>,
    attempt: &AttemptRecord,
    page: Page<'_>,
) -> io::Result<()> {
    let (mut own, mut left_out) = (attempt.parameters.iter().peekable(), Vec::new());
    json.object_field("parameters")?;
    for (name, value) in &page.record.parameters_at_start {
        while let Some((own_name, own_value)) = own.next_if(|(own_name, _)| own_name < name) {
            json.field(own_name, own_value.spelled())?;
        }
        if let Some((_, own_value)) = own.next_if(|(own_name, _)| own_name == name) {
            json.field(name, own_value.spelled())?;
        } else if value.spelled().len() <= REPEATED_VALUE_BYTES_MAX {
            json.field(name, value.spelled())?;
        } else {
            left_out.push(name);
        }
    }
    for (name, value) in own {
        json.field(name, value.spelled())?;
    }
    json.end_object()?;
    if !left_out.is_empty() {
        json.array_field("parameters_as_at_start")?;
        for name in left_out {
            json.text(name)?;
        }
        json.end_array()?;
    }
    Ok(())
}
