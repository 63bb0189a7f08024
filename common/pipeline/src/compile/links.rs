//! The links of a section: every `next`, `on_failure` and `needs`, found by name.

use dagmar_common::graph::EdgeKind;
use dagmar_common::ids::NodeNo;

use super::names::Names;
use super::node_at;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Span, Spanned};
use crate::spec::{SectionSpec, StepSpec};

/// Edges in rows by their source, each with the reference that made it.
pub(super) struct Links {
    ends: Vec<usize>,
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
pub(super) struct Link {
    pub from: NodeNo,
    pub kind: EdgeKind,
    pub to: NodeNo,
    pub span: Span,
}

impl Links {
    pub fn of(&self, node: NodeNo) -> &[Link] {
        let place = node.0 as usize;
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.links[start..self.ends[place]]
    }

    pub fn all(&self) -> &[Link] {
        &self.links
    }

    pub fn nodes(&self) -> usize {
        self.ends.len()
    }
}

/// Every reference as a link; those that lead nowhere are reported and left out.
pub(super) fn resolve<'t>(
    spec: &SectionSpec<'t>,
    names: &mut Names<'t>,
    report: &mut Report<'_>,
) -> Links {
    let mut links = Vec::new();
    for (place, step) in spec.steps.iter().enumerate() {
        let from = node_at(place);
        for (kind, key, reference) in [
            (EdgeKind::Next, "next", step.next),
            (EdgeKind::OnFailure, "on_failure", step.on_failure),
        ] {
            let Some(reference) = reference else { continue };
            match names.find(reference.value) {
                Some(to) => links.push(Link { from, kind, to, span: reference.span }),
                None => {
                    let what = format!("`{key}` of `{}` names", shown(step.name.value));
                    names.report_unknown(&what, reference, report);
                }
            }
        }
        resolve_needs(spec, step, node_at(place), names, &mut links, report);
    }
    // Only now are all implied terminals known. Stable: links of a node keep their order.
    links.sort_by_key(|link| link.from);
    let mut ends = Vec::with_capacity(names.count());
    let mut end = 0;
    for node in 0..names.count() {
        while links.get(end).is_some_and(|link| link.from == node_at(node)) {
            end += 1;
        }
        ends.push(end);
    }
    Links { ends, links }
}

fn resolve_needs<'t>(
    spec: &SectionSpec<'t>,
    step: &StepSpec<'t>,
    node: NodeNo,
    names: &mut Names<'t>,
    links: &mut Vec<Link>,
    report: &mut Report<'_>,
) {
    let Some(needs) = &step.needs else { return };
    // Of this step only, so a fan-in of 200,000 stays linear.
    let mut seen = std::collections::HashMap::with_capacity(needs.names.len());
    for need in &needs.names {
        let (name, span) = (shown(step.name.value), need.span);
        let is_terminal_word = matches!(need.value, "success" | "fail");
        let from = if is_terminal_word { None } else { names.find(need.value) };
        if let Some(first) = seen.insert(need.value, span) {
            let message = format!("step `{name}` needs `{}` twice", shown(need.value));
            report.add(Finding::error(Code::Needs, span, message).note(first, "first here"));
            continue;
        }
        match from {
            Some(from) if from == node => {
                let message = format!("step `{name}` needs itself");
                report.add(Finding::error(Code::Needs, span, message));
            }
            Some(from)
                if spec.steps.get(from.0 as usize).is_none_or(|step| step.kind.is_terminal()) =>
            {
                report_needed_terminal(&name, *need, report);
            }
            Some(from) => links.push(Link { from, kind: EdgeKind::Needs, to: node, span }),
            None if is_terminal_word => report_needed_terminal(&name, *need, report),
            None => names.report_unknown(&format!("step `{name}` needs"), *need, report),
        }
    }
}

fn report_needed_terminal(step: &str, need: Spanned<&str>, report: &mut Report<'_>) {
    let message = format!("step `{step}` needs the terminal `{}`", shown(need.value));
    let finding = Finding::error(Code::Needs, need.span, message);
    report.add(finding.help("a terminal ends the section; name the step before it"));
}
