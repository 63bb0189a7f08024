//! Reading one mapping: its keys against the table of what may stand there.

use super::keys::{self, Keys};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Span, Spanned};
use crate::suggest::{did_you_mean, nearest};
use crate::yaml::{List, Map, View, Yaml};

/// A mapping whose keys were checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'t> {
    map: Map<'t>,
    keys: Keys,
}

/// One key with its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'t> {
    pub key: Spanned<&'t str>,
    pub value: Yaml<'t>,
}

impl<'t> Fields<'t> {
    /// Reports every key that may not stand in `owner`.
    pub fn read(map: Map<'t>, keys: Keys, owner: &str, report: &mut Report<'_>) -> Self {
        for (key, _) in map.iter() {
            if !key.value.starts_with("x-") && !keys.known.contains(&key.value) {
                refuse_key(key, keys, owner, report);
            }
        }
        Fields { map, keys }
    }

    /// A key that was refused means this one, as its help says.
    pub fn misspells(&self, name: &str) -> bool {
        let meant = |key: &str| nearest(key, self.keys.known.iter().copied());
        self.map
            .iter()
            .any(|(key, _)| !self.keys.known.contains(&key.value) && meant(key.value) == Some(name))
    }

    /// `name` is missing. If it is misspelt, that is told already.
    pub fn lack(&self, name: &str, finding: Finding, report: &mut Report<'_>) {
        if !self.misspells(name) {
            report.add(finding);
        }
    }

    pub fn get(&self, name: &str) -> Option<Field<'t>> {
        let (key, value) = self.map.iter().find(|(key, _)| key.value == name)?;
        Some(Field { key, value })
    }

    /// One of two keys that say the same.
    pub fn either(&self, one: &str, other: &str, report: &mut Report<'_>) -> Option<Field<'t>> {
        match (self.get(one), self.get(other)) {
            (Some(first), Some(second)) => {
                let (first, second) = match first.key.span < second.key.span {
                    true => (first, second),
                    false => (second, first),
                };
                let message = format!("`{one}` and `{other}` say the same thing");
                let finding = Finding::error(Code::TwoKeys, second.key.span, message);
                report.add(finding.note(first.key.span, "and here").help("keep one of them"));
                Some(first)
            }
            (first, second) => first.or(second),
        }
    }
}

impl<'t> Field<'t> {
    /// Any scalar as it is written; nothing at all is a fault.
    pub fn text(self, report: &mut Report<'_>) -> Option<Spanned<&'t str>> {
        let key = self.key.value;
        match self.value.view() {
            View::Scalar(scalar) if !scalar.is_null() => {
                Some(Spanned { value: scalar.text, span: scalar.span })
            }
            View::Broken => None,
            View::Scalar(_) => {
                report.add(Finding::error(
                    Code::WrongType,
                    self.key.span,
                    format!("`{key}` has no value"),
                ));
                None
            }
            View::List(_) | View::Map(_) => self.refuse("text", report),
        }
    }

    pub fn list(self, report: &mut Report<'_>) -> Option<List<'t>> {
        match self.value.view() {
            View::List(list) => Some(list),
            _ => self.refuse("a list", report),
        }
    }

    pub fn map(self, report: &mut Report<'_>) -> Option<Map<'t>> {
        match self.value.view() {
            View::Map(map) => Some(map),
            _ => self.refuse("a mapping", report),
        }
    }

    pub fn boolean(self, report: &mut Report<'_>) -> Option<bool> {
        match self.value.view() {
            View::Scalar(scalar) => match scalar.boolean() {
                Some(flag) => Some(flag),
                None => self.refuse("true or false", report),
            },
            _ => self.refuse("true or false", report),
        }
    }

    /// A whole number within bounds, both included.
    pub fn whole(self, least: u64, most: u64, report: &mut Report<'_>) -> Option<u64> {
        let number = match self.value.view() {
            View::Broken => return None,
            View::Scalar(scalar) => scalar.whole(),
            View::List(_) | View::Map(_) => None,
        };
        if let Some(number) = number.filter(|number| (least..=most).contains(number)) {
            return Some(number);
        }
        let message = format!(
            "`{}` wants a whole number from {least} to {most}, found {}",
            self.key.value,
            found(self.value)
        );
        report.add(Finding::error(Code::Number, self.value.span(), message));
        None
    }

    /// Says what belongs here instead; silent about what was reported before.
    pub fn refuse<T>(self, wanted: &str, report: &mut Report<'_>) -> Option<T> {
        if !matches!(self.value.view(), View::Broken) {
            let found = self.value.kind();
            let message = format!("`{}` wants {wanted}, found {found}", self.key.value);
            report.add(Finding::error(Code::WrongType, self.place(), message));
        }
        None
    }

    /// The value where there is one to see, else the key.
    pub fn place(self) -> Span {
        let span = self.value.span();
        if span.start == span.end { self.key.span } else { span }
    }
}

/// A scalar as written, anything else by its kind.
pub(crate) fn found(value: Yaml<'_>) -> String {
    match value.view() {
        View::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
        View::Scalar(scalar) if scalar.is_plain => format!("`{}`", shown(scalar.text)),
        View::Scalar(scalar) => format!("\"{}\"", shown(scalar.text)),
        _ => value.kind().to_owned(),
    }
}

fn refuse_key(key: Spanned<&str>, keys: Keys, owner: &str, report: &mut Report<'_>) {
    let name = key.value;
    if keys.later.contains(&name) {
        let message = format!("`{name}` is not built yet in this version");
        report.add(Finding::error(Code::NotBuilt, key.span, message));
        return;
    }
    if keys.is_free {
        return;
    }
    let message = format!("unknown key `{}` in {owner}", shown(name));
    let finding = Finding::error(Code::UnknownKey, key.span, message);
    let known = keys.known.iter().chain(keys.later).copied();
    if report.is_full() {
        report.add(finding);
        return;
    }
    let help = if keys.known == keys::TASK.known && keys::MAP.known.contains(&name) {
        format!("`{name}` belongs to a step of `type: map`")
    } else if keys.known == keys::MAP.known && keys::TASK.known.contains(&name) {
        format!("`{name}` belongs to a task; put it into the steps of the branch")
    } else if let Some(meant) = did_you_mean(name, known) {
        meant
    } else {
        format!("keys here: {}; keys of your own begin with `x-`", keys.known.join(", "))
    };
    report.add(finding.help(help));
}
