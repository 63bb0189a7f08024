//! The file as a whole: where its keys stand, and its sections.

use dagmar_common::graph::{NameFault, check_step_name};
use dagmar_common::limits::STEP_NAME_BYTES_MAX;

use super::fields::{Field, Fields};
use super::{PipelineSpec, SectionSpec, forms, keys, parameter, step};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Span, Spanned};
use crate::suggest::nearest;
use crate::yaml::{Map, View, Yaml};

/// None where there is nothing to compile.
pub(crate) fn read<'t>(root: Yaml<'t>, report: &mut Report<'_>) -> Option<PipelineSpec<'t>> {
    let top = match root.view() {
        View::Map(map) if !map.is_empty() => map,
        View::Broken => return None,
        View::Scalar(scalar) if !scalar.is_null() => return refuse_top(root, report),
        View::List(_) => return refuse_top(root, report),
        View::Map(_) | View::Scalar(_) => {
            report_empty(report);
            return None;
        }
    };
    let Some((key, value)) = top.iter().find(|(key, _)| key.value == "dag") else {
        let fields = Fields::read(top, keys::PIPELINE, "a pipeline", report);
        let start = Span { start: top.span.start, end: top.span.start };
        return read_pipeline(start, &fields, fields.get("parameters"), false, report);
    };
    warn_beside_dag(top, report);
    let map = Field { key, value }.map(report)?;
    let fields = Fields::read(map, keys::PIPELINE, "`dag`", report);
    let outside = top.iter().find(|(key, _)| key.value == "parameters");
    let outside = outside.map(|(key, value)| Field { key, value });
    let parameters = match (fields.get("parameters"), outside) {
        (Some(inside), Some(outside)) => {
            let message = "`parameters` stands in `dag` and beside it";
            let finding = Finding::error(Code::TwoKeys, outside.key.span, message);
            report.add(finding.note(inside.key.span, "and here").help("keep one of them"));
            Some(inside)
        }
        (inside, outside) => inside.or(outside),
    };
    read_pipeline(key.span, &fields, parameters, true, report)
}

pub(crate) fn report_empty(report: &mut Report<'_>) {
    let message = "this file is empty: it has no `steps`";
    let finding = Finding::error(Code::Empty, Span::default(), message);
    report.add(finding.help("such as `steps: {hello: {command: echo hello}}`"));
}

fn refuse_top<T>(root: Yaml<'_>, report: &mut Report<'_>) -> Option<T> {
    let message = format!("a pipeline is a mapping with `steps`, found {}", root.kind());
    report.add(Finding::error(Code::WrongType, root.span(), message));
    None
}

fn read_pipeline<'t>(
    place: Span,
    fields: &Fields<'t>,
    parameters: Option<Field<'t>>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> Option<PipelineSpec<'t>> {
    let mut text = |key: &str| {
        let text = fields.get(key).and_then(|field| field.text(report));
        text.map_or_else(String::new, |text| text.value.to_owned())
    };
    let (name, description) = (text("name"), text("description"));
    let limit = fields.either("time_limit", "max_time", report);
    let time_limit = limit.and_then(|field| field.duration(report));
    let parameters = parameters.map(|field| parameter::read(field, report)).unwrap_or_default();
    let root = read_section(place, fields, is_magnus, report)?;
    Some(PipelineSpec { name, description, parameters, time_limit, root })
}

/// `place` is where to point when `steps` is missing.
pub(crate) fn read_section<'t>(
    place: Span,
    fields: &Fields<'t>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> Option<SectionSpec<'t>> {
    let start_at = fields.get("start_at").and_then(|field| field.text(report));
    let Some(field) = fields.get("steps") else {
        let finding = Finding::error(Code::MissingKey, place, "there are no `steps` here");
        fields.lack("steps", finding, report);
        return None;
    };
    let map = match field.value.view() {
        View::Map(map) if !map.is_empty() => map,
        View::List(_) => {
            let message = "`steps` wants a mapping from names to steps, found a list";
            let finding = Finding::error(Code::WrongType, field.key.span, message);
            report.add(finding.help("write `NAME: {command: …}` for each, without the dashes"));
            return None;
        }
        View::Map(_) => {
            report.add(Finding::error(Code::Empty, field.key.span, "`steps` is empty"));
            return None;
        }
        View::Scalar(scalar) if scalar.is_null() => {
            report.add(Finding::error(Code::Empty, field.key.span, "`steps` is empty"));
            return None;
        }
        View::Scalar(_) | View::Broken => return field.refuse("a mapping", report),
    };
    let mut steps = Vec::with_capacity(map.len());
    for (name, value) in map.iter() {
        if name.value.starts_with("x-") {
            warn_of_note(name, value, report);
            continue;
        }
        check_name(name, report);
        steps.push(step::read(name, value, is_magnus, report));
    }
    forms::check(steps.iter().map(|step| step.name), report);
    Some(SectionSpec { span: field.key.span, start_at, steps })
}

/// `x-` marks notes of the writer, as everywhere; one that looks like a step may be meant as one.
fn warn_of_note(name: Spanned<&str>, value: Yaml<'_>, report: &mut Report<'_>) {
    if matches!(value.view(), View::Map(_)) && !value.has_anchor() {
        let message = format!("`{}` is a note, not a step", shown(name.value));
        let finding = Finding::warning(Code::Note, name.span, message);
        report.add(finding.help("keys that begin with `x-` are free; steps have other names"));
    }
}

fn check_name(name: Spanned<&str>, report: &mut Report<'_>) {
    let Err(fault) = check_step_name(name.value) else { return };
    let text = shown(name.value);
    let (message, help) = match fault {
        NameFault::Empty => ("a step has no name".to_owned(), None),
        NameFault::TooLong => {
            let bytes = name.value.len();
            let message = format!("this name is {bytes} bytes long; limit {STEP_NAME_BYTES_MAX}");
            (message, None)
        }
        NameFault::Separator(symbol) => (
            format!("`{symbol}` is not allowed in the name `{text}`"),
            Some(format!("such as `{}`", text.replace(['.', '%', ':', '[', ']'], "_"))),
        ),
        NameFault::Control(symbol) => {
            let number = symbol as u32;
            (format!("the control character U+{number:04X} is not allowed in a name"), None)
        }
        NameFault::Bidirectional(symbol) => {
            let number = symbol as u32;
            (format!("the bidirectional control U+{number:04X} is not allowed in a name"), None)
        }
    };
    report.add(Finding::error(Code::StepName, name.span, message).help_if(help));
}

/// Other keys beside `dag` are free, for they hold anchors; what looks like ours is pointed out.
fn warn_beside_dag(top: Map<'_>, report: &mut Report<'_>) {
    for (key, value) in top.iter() {
        let name = key.value;
        if ["dag", "parameters"].contains(&name) || name.starts_with("x-") || value.has_anchor() {
            continue;
        }
        let known = keys::PIPELINE.known.iter().copied().chain(["dag"]);
        let help = match nearest(name, known) {
            Some(meant) if meant == name => "move it into `dag`".to_owned(),
            Some(meant) => format!("did you mean `{meant}`?"),
            None => continue,
        };
        let message = format!("`{}` beside `dag` is not read", shown(name));
        report.add(Finding::warning(Code::BesideDag, key.span, message).help(help));
    }
}
