//! One step of a section, of whatever type.

use dagmar_common::graph::Task;
use dagmar_common::parameter;

use super::fields::{Field, Fields};
use super::keys::{self, Keys};
use super::{MapSpec, NeedsSpec, StepKind, StepSpec, command, pipeline, policy};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Spanned;
use crate::suggest::did_you_mean;
use crate::yaml::{View, Yaml};

pub(crate) fn read<'t>(
    name: Spanned<&'t str>,
    value: Yaml<'t>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> StepSpec<'t> {
    let View::Map(map) = value.view() else {
        if !matches!(value.view(), View::Broken) {
            let (step, found) = (shown(name.value), value.kind());
            let message = format!("step `{step}` wants a mapping, found {found}");
            let finding = Finding::error(Code::WrongType, name.span, message);
            report.add(finding.help("such as `{command: echo hello}`"));
        }
        let kind = StepKind::Broken;
        return StepSpec { name, kind, next: None, on_failure: None, needs: None };
    };
    // The type decides which keys are known, so it is looked up before they are checked.
    let kind = map.iter().find(|(key, _)| key.value == "type");
    let kind = kind.map_or(Some("task"), |(key, value)| read_type(Field { key, value }, report));
    let (keys, owner) = keys_of(kind);
    let fields = Fields::read(map, keys, owner, report);
    let reference = |key: &str, report: &mut Report<'_>| {
        let is_read = kind != Some("success") && kind != Some("fail");
        fields.get(key).filter(|_| is_read).and_then(|field| field.text(report))
    };
    StepSpec {
        name,
        next: reference("next", report),
        on_failure: reference("on_failure", report),
        needs: match kind {
            Some("success" | "fail") => None,
            _ => fields.get("needs").map(|field| read_needs(field, report)),
        },
        kind: match kind {
            Some("task") => read_task(name, &fields, is_magnus, report),
            Some("map") => read_map(name, &fields, is_magnus, report),
            Some("stub") => StepKind::Stub,
            Some("success") => StepKind::Success,
            Some("fail") => StepKind::Fail,
            _ => StepKind::Broken,
        },
    }
}

/// None where the type was refused.
fn read_type(field: Field<'_>, report: &mut Report<'_>) -> Option<&'static str> {
    let kind = field.text(report)?;
    // Magnus called a stub `as-is` once.
    let name = if kind.value == "as-is" { "stub" } else { kind.value };
    if let Some(known) = keys::TYPES.iter().find(|known| **known == name) {
        return Some(known);
    }
    if keys::TYPES_LATER.contains(&name) {
        let message = format!("`type: {name}` is not built yet in this version");
        report.add(Finding::error(Code::NotBuilt, kind.span, message));
        return None;
    }
    let message = format!("unknown type `{}`", shown(name));
    let known = keys::TYPES.iter().chain(keys::TYPES_LATER).copied();
    let help = did_you_mean(name, known);
    let help = help.unwrap_or_else(|| format!("types: {}", keys::TYPES.join(", ")));
    report.add(Finding::error(Code::UnknownType, kind.span, message).help(help));
    None
}

/// With the word for what they belong to.
fn keys_of(kind: Option<&str>) -> (Keys, &'static str) {
    match kind {
        Some("task") => (keys::TASK, "a task"),
        Some("map") => (keys::MAP, "a map"),
        Some("stub") => (keys::STUB, "a stub"),
        Some("success" | "fail") => (keys::TERMINAL, "a terminal"),
        _ => (keys::UNBUILT, "a step"),
    }
}

fn read_needs<'t>(field: Field<'t>, report: &mut Report<'_>) -> NeedsSpec<'t> {
    let mut needs = NeedsSpec { key: field.key.span, names: Vec::new() };
    if let View::Scalar(scalar) = field.value.view() {
        let message = format!("`needs` wants a list, found {}", scalar.kind());
        let finding = Finding::error(Code::WrongType, field.place(), message);
        let help = match scalar.is_null() {
            true => "a step that needs nothing says `needs: []`".to_owned(),
            false => format!("write `needs: [{}]`", shown(scalar.text)),
        };
        report.add(finding.help(help));
        return needs;
    }
    let Some(list) = field.list(report) else { return needs };
    for item in list.iter() {
        let name = Field { key: field.key, value: item };
        match item.view() {
            View::Scalar(scalar) if !scalar.is_null() => {
                needs.names.push(Spanned { value: scalar.text, span: scalar.span });
            }
            _ => {
                name.refuse::<()>("names of steps", report);
            }
        }
    }
    needs
}

fn read_task<'t>(
    name: Spanned<&'t str>,
    fields: &Fields<'t>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> StepKind<'t> {
    let policy = policy::read(fields, report);
    let Some(function) = command::read(name, fields, is_magnus, report) else {
        return StepKind::Broken;
    };
    StepKind::Task(Task {
        function,
        max_attempts: policy.max_attempts,
        backoff: policy.backoff,
        time_limit: policy.time_limit,
        resources: policy.resources,
        care: policy.care,
    })
}

fn read_map<'t>(
    name: Spanned<&'t str>,
    fields: &Fields<'t>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> StepKind<'t> {
    let mut required = |key: &str| {
        let field = fields.get(key);
        if field.is_none() {
            let message = format!("the map `{}` has no `{key}`", shown(name.value));
            fields.lack(key, Finding::error(Code::MissingKey, name.span, message), report);
        }
        field
    };
    let on = required("iterate_on");
    let item = required("iterate_as");
    let branch = required("branch");
    let index = fields.get("index_as");
    let mut parameter =
        |field: Option<Field<'t>>| field.and_then(|field| read_parameter_name(field, report));
    let (iterate_on, iterate_as, index_as) = (parameter(on), parameter(item), parameter(index));
    let max_parallel = fields.get("max_parallel");
    let max_parallel = max_parallel.and_then(|field| field.whole(1, u64::from(u32::MAX), report));
    let body = branch.and_then(|branch| {
        let map = branch.map(report)?;
        let body = Fields::read(map, keys::SECTION, "a branch", report);
        pipeline::read_section(branch.key.span, &body, is_magnus, report)
    });
    // Without a name for its items a map is refused; its branch is looked into all the same.
    let iterate_as = iterate_as.map(|name| name.value.to_owned()).unwrap_or_default();
    match (iterate_on, body) {
        (Some(iterate_on), Some(body)) => StepKind::Map(Box::new(MapSpec {
            iterate_on,
            iterate_as,
            index_as: index_as.map(|index| index.value.to_owned()),
            max_parallel: max_parallel.map(|most| most as u32),
            body,
        })),
        _ => StepKind::Broken,
    }
}

fn read_parameter_name<'t>(field: Field<'t>, report: &mut Report<'_>) -> Option<Spanned<&'t str>> {
    let name = field.text(report)?;
    if parameter::is_name(name.value) {
        return Some(name);
    }
    let message = format!("`{}` is no name for a parameter", shown(name.value));
    let finding = Finding::error(Code::Declaration, name.span, message);
    report.add(finding.help(parameter::NAME_RULE));
    None
}
