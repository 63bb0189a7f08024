//! Declared parameters: a plain value, or a mapping of type, default and description.

use dagmar_common::graph::ParameterKind;
use dagmar_common::parameter;
use dagmar_common::value::Value;
use serde_json::Value as Json;

use super::fields::{Field, Fields};
use super::{forms, keys};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Spanned;
use crate::suggest::{did_you_mean, nearest};
use crate::yaml::{Map, View, Yaml, to_json};

#[derive(Debug)]
pub(crate) struct ParameterSpec<'t> {
    pub name: Spanned<&'t str>,
    pub kind: ParameterKind,
    pub default: Option<Value>,
    pub description: String,
}

/// The words for kinds; the first of each is ours, the others are taken too.
const KINDS: &[(&str, ParameterKind)] = &[
    ("any", ParameterKind::Any),
    ("boolean", ParameterKind::Boolean),
    ("bool", ParameterKind::Boolean),
    ("integer", ParameterKind::Integer),
    ("int", ParameterKind::Integer),
    ("number", ParameterKind::Number),
    ("float", ParameterKind::Number),
    ("text", ParameterKind::Text),
    ("string", ParameterKind::Text),
    ("str", ParameterKind::Text),
    ("list", ParameterKind::List),
    ("array", ParameterKind::List),
    ("object", ParameterKind::Object),
    ("dict", ParameterKind::Object),
];

/// `an integer`
pub(crate) fn kind_word(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Any => "anything",
        ParameterKind::Boolean => "a boolean",
        ParameterKind::Integer => "an integer",
        ParameterKind::Number => "a number",
        ParameterKind::Text => "text",
        ParameterKind::List => "a list",
        ParameterKind::Object => "an object",
    }
}

pub(crate) fn value_fits(kind: ParameterKind, json: &Json) -> bool {
    match kind {
        ParameterKind::Any => true,
        ParameterKind::Boolean => json.is_boolean(),
        ParameterKind::Integer => is_integer(json),
        ParameterKind::Number => json.is_number(),
        ParameterKind::Text => json.is_string(),
        ParameterKind::List => json.is_array(),
        ParameterKind::Object => json.is_object(),
    }
}

/// Of any length, hence by its digits.
fn is_integer(json: &Json) -> bool {
    json.as_number().is_some_and(|number| !number.to_string().contains(['.', 'e', 'E']))
}

pub(crate) fn read<'t>(field: Field<'t>, report: &mut Report<'_>) -> Vec<ParameterSpec<'t>> {
    let Some(map) = field.map(report) else { return Vec::new() };
    let mut parameters = Vec::with_capacity(map.len());
    for (name, value) in map.iter() {
        if !parameter::is_name(name.value) {
            let message = format!("`{}` is no name for a parameter", shown(name.value));
            let finding = Finding::error(Code::Declaration, name.span, message);
            report.add(finding.help(parameter::NAME_RULE));
            continue;
        }
        if parameter::is_hidden(name.value) {
            let message = format!("tasks do not see `{}` under its plain name", name.value);
            let help = format!("they see `DAGMAR_PRM_{}`, and all in the file", name.value);
            let finding = Finding::warning(Code::HiddenParameter, name.span, message);
            report.add(finding.help(format!("{help} `$DAGMAR_PARAMETERS`")));
        }
        parameters.extend(match value.view() {
            View::Map(map) if is_declaration(map) || is_misspelled(map) => {
                read_declaration(name, map, report)
            }
            _ => to_json(value, report).map(|json| ParameterSpec {
                name,
                kind: kind_of(&json),
                default: Some(Value::from_json(&json)),
                description: String::new(),
            }),
        });
    }
    forms::check(parameters.iter().map(|parameter| parameter.name), report);
    parameters
}

/// A plain value says its type: `-p version=1.10` stays text where the default is text.
fn kind_of(json: &Json) -> ParameterKind {
    match json {
        Json::Null => ParameterKind::Any,
        Json::Bool(_) => ParameterKind::Boolean,
        Json::Number(_) if is_integer(json) => ParameterKind::Integer,
        Json::Number(_) => ParameterKind::Number,
        Json::String(_) => ParameterKind::Text,
        Json::Array(_) => ParameterKind::List,
        Json::Object(_) => ParameterKind::Object,
    }
}

/// A mapping may also be a value; it is one unless it speaks the words of a declaration.
fn is_declaration(map: Map<'_>) -> bool {
    let mut is_empty = true;
    let mut has_only_ours = true;
    for (key, value) in map.iter() {
        is_empty = false;
        has_only_ours &= keys::PARAMETER.known.contains(&key.value);
        if key.value == "default" || key.value == "type" && is_kind(value) {
            return true;
        }
    }
    has_only_ours && !is_empty
}

/// Almost the words of a declaration: more likely one than a value that happens to look like it.
fn is_misspelled(map: Map<'_>) -> bool {
    map.iter().any(|(key, value)| match nearest(key.value, keys::PARAMETER.known.iter().copied()) {
        Some("type") => is_kind(value),
        Some("default") => true,
        _ => false,
    })
}

fn is_kind(value: Yaml<'_>) -> bool {
    match value.view() {
        View::Scalar(scalar) => KINDS.iter().any(|(word, _)| *word == scalar.text),
        _ => false,
    }
}

fn read_declaration<'t>(
    name: Spanned<&'t str>,
    map: Map<'t>,
    report: &mut Report<'_>,
) -> Option<ParameterSpec<'t>> {
    let fields = Fields::read(map, keys::PARAMETER, "a parameter", report);
    let default = fields.get("default");
    let json = match default {
        Some(field) => Some(to_json(field.value, report)?),
        None if fields.misspells("default") => return None,
        None => None,
    };
    let kind = match fields.get("type") {
        Some(field) => read_kind(field, report)?,
        None => json.as_ref().map_or(ParameterKind::Any, kind_of),
    };
    if let (Some(field), Some(json)) = (default, &json)
        && !value_fits(kind, json)
    {
        let (wanted, found) = (kind_word(kind), field.value.kind());
        let message = format!("parameter {} wants {wanted}, its default is {found}", name.value);
        report.add(Finding::error(Code::ParameterType, field.place(), message));
        return None;
    }
    let description = fields.get("description").and_then(|field| field.text(report));
    Some(ParameterSpec {
        name,
        kind,
        default: json.map(|json| Value::from_json(&json)),
        description: description.map_or_else(String::new, |text| text.value.to_owned()),
    })
}

fn read_kind(field: Field<'_>, report: &mut Report<'_>) -> Option<ParameterKind> {
    let word = field.text(report)?;
    if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == word.value) {
        return Some(*kind);
    }
    let message = format!("unknown type `{}` of a parameter", shown(word.value));
    let help = did_you_mean(word.value, KINDS.iter().map(|(known, _)| *known));
    let all = "types: any, boolean, integer, number, text, list, object".to_owned();
    let finding = Finding::error(Code::Declaration, word.span, message);
    report.add(finding.help(help.unwrap_or(all)));
    None
}
