//! How often, how long and with what a task runs: `retry`, `timeout`, `resources`, `exclusive`.

use dagmar_common::graph::{Backoff, Care, Resources};
use dagmar_common::limits::{ATTEMPTS_MAX, BACKOFF_MOST_DEFAULT, TASK_CPUS_MAX};
use dagmar_common::record::words::of_cpus;
use dagmar_common::time::Span;

use super::fields::{Field, Fields, found};
use super::keys;
use crate::diagnostic::{Code, Finding, Report};
use crate::yaml::View;

/// What a task says about its attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub max_attempts: u32,
    pub backoff: Option<Backoff>,
    pub time_limit: Option<Span>,
    pub resources: Resources,
    pub care: Care,
}

pub(crate) fn read(step: &Fields<'_>, report: &mut Report<'_>) -> Policy {
    let mut policy = Policy {
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Care::default(),
    };
    let retry = step.get("retry");
    let inside = retry.and_then(|retry| read_retry(retry, &mut policy, report));
    if let Some(attempts) = step.get("max_attempts") {
        if let Some(inside) = inside {
            let message = "`max_attempts` stands in the step and in its `retry`";
            let finding = Finding::error(Code::TwoKeys, attempts.key.span, message);
            report.add(finding.note(inside.key.span, "and here").help("keep one of them"));
        } else if let Some(number) = read_attempts(attempts, report) {
            policy.max_attempts = number;
        }
    }
    if let Some(limit) = step.either("timeout", "max_time", report) {
        policy.time_limit = limit.duration(report);
    }
    if let Some(resources) = step.get("resources") {
        read_resources(resources, &mut policy.resources, report);
    }
    let exclusive = step.get("exclusive").and_then(|field| field.boolean(report));
    let idempotent = step.get("idempotent").and_then(|field| field.boolean(report));
    policy.care = Care { exclusive: exclusive == Some(true), once: idempotent == Some(false) };
    policy
}

/// The field `max_attempts` in it, if there is one.
fn read_retry<'t>(
    retry: Field<'t>,
    policy: &mut Policy,
    report: &mut Report<'_>,
) -> Option<Field<'t>> {
    if let View::Scalar(scalar) = retry.value.view()
        && scalar.whole().is_some()
    {
        let message = "`retry` wants a mapping, found an integer";
        let help = format!("write `retry: {{max_attempts: {}}}`", scalar.text);
        report.add(Finding::error(Code::WrongType, scalar.span, message).help(help));
        return None;
    }
    let fields = Fields::read(retry.map(report)?, keys::RETRY, "`retry`", report);
    policy.backoff = fields.get("backoff").and_then(|backoff| read_backoff(backoff, report));
    let attempts = fields.get("max_attempts");
    if let Some(number) = attempts.and_then(|attempts| read_attempts(attempts, report)) {
        policy.max_attempts = number;
    }
    attempts
}

fn read_attempts(field: Field<'_>, report: &mut Report<'_>) -> Option<u32> {
    field.whole(1, u64::from(ATTEMPTS_MAX), report).map(|number| number as u32)
}

/// `5s`, doubling up to a default, or `{first: 5s, most: 1m}`.
fn read_backoff(field: Field<'_>, report: &mut Report<'_>) -> Option<Backoff> {
    let View::Map(map) = field.value.view() else {
        let first = field.duration(report)?;
        return Some(Backoff { first, most: BACKOFF_MOST_DEFAULT.max(first) });
    };
    let fields = Fields::read(map, keys::BACKOFF, "`backoff`", report);
    let Some(first) = fields.get("first") else {
        let message = "`backoff` has no `first`, the wait before the second attempt";
        fields.lack("first", Finding::error(Code::MissingKey, field.key.span, message), report);
        return None;
    };
    let first = first.duration(report);
    let Some(field) = fields.get("most") else {
        return first.map(|first| Backoff { first, most: BACKOFF_MOST_DEFAULT.max(first) });
    };
    let (most, first) = (field.duration(report)?, first?);
    if most < first {
        let message = "`most` is shorter than `first`";
        report.add(Finding::error(Code::Duration, field.value.span(), message));
        return None;
    }
    Some(Backoff { first, most })
}

fn read_resources(field: Field<'_>, resources: &mut Resources, report: &mut Report<'_>) {
    let Some(map) = field.map(report) else { return };
    let fields = Fields::read(map, keys::RESOURCES, "`resources`", report);
    let Some(cpus) = fields.get("cpus") else { return };
    let millis = match cpus.value.view() {
        View::Broken => return,
        View::Scalar(scalar) => parse_cpus(scalar.text),
        View::List(_) | View::Map(_) => None,
    };
    match millis {
        Some(millis) if (1..=TASK_CPUS_MAX * 1_000).contains(&millis) => {
            resources.cpu_millis = millis;
            if let Some(room) = report.cpu_millis.filter(|room| *room < millis) {
                let (asked, room) = (of_cpus(millis.into()), of_cpus(room.into()));
                let message = format!("this asks for {asked}, and there are {room} here");
                let finding = Finding::warning(Code::NeverFits, cpus.place(), message);
                let help = format!("no worker can run it, so it waits; ask for {room} or fewer");
                report.add(finding.help(help));
            }
        }
        _ => {
            let most = TASK_CPUS_MAX;
            let found = found(cpus.value);
            let message = format!("`cpus` wants a number from 0.001 to {most}, found {found}");
            let finding = Finding::error(Code::Number, cpus.place(), message);
            report.add(finding.help("write `2`, or `0.5` for half of one"));
        }
    }
}

/// Thousandths; at most three places.
fn parse_cpus(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    format!("{whole}{part:0<3}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_in_thousandths() {
        let check = |text, millis| assert_eq!(parse_cpus(text), millis, "{text}");
        check("1", Some(1_000));
        check("0.5", Some(500));
        check("2.125", Some(2_125));
        check("0", Some(0));
        check("1e6", None);
        check("-1", None);
        check("0.0001", None);
        check("9999999999", None);
    }
}
