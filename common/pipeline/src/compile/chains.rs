//! The rules of chains: who heads one, who belongs to which, what nothing reaches.

use dagmar_common::graph::EdgeKind;
use dagmar_common::ids::NodeNo;

use super::cycle;
use super::names::Names;
use super::node_at;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Span, Spanned};
use crate::spec::{SectionSpec, StepSpec};

/// How the steps of a section hang together.
pub(super) struct Plan {
    /// One for each declared step.
    pub heads: Vec<bool>,
    pub edges: Vec<(NodeNo, EdgeKind, NodeNo)>,
}

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

    pub fn nodes(&self) -> usize {
        self.ends.len()
    }
}

pub(super) fn plan<'t>(
    spec: &SectionSpec<'t>,
    names: &mut Names<'t>,
    report: &mut Report<'_>,
) -> Plan {
    let links = resolve(spec, names, report);
    let start = spec.start_at.map(|start| (start, find_start(spec, start, names, report)));
    let steps = &spec.steps;
    let mut reached: Vec<Option<Link>> = vec![None; names.count()];
    for link in links.links.iter().filter(|link| link.kind != EdgeKind::Needs) {
        reached[link.to.0 as usize].get_or_insert(*link);
    }
    let heads: Vec<bool> = steps
        .iter()
        .enumerate()
        .map(|(place, step)| {
            let begins = match start {
                Some((_, start)) => start == Some(node_at(place)),
                None => reached[place].is_none(),
            };
            !step.kind.is_terminal() && (begins || step.needs.is_some())
        })
        .collect();
    let order = cycle::order(&links);
    cycle::report(steps, &links, &order, report);
    let start = start.and_then(|(_, start)| start);
    // On a cycle it is reached, of course; that was said.
    let free_start = start.filter(|start| order.contains(start));
    report_reached_heads(steps, free_start, &links, report);
    let chains = chains(steps, &heads, &links, &order, report);
    if spec.start_at.is_none() || start.is_some() {
        report_unreached(steps, &chains, &links, &order, report);
    }
    let edges = links.links.iter().map(|link| (link.from, link.kind, link.to)).collect();
    Plan { heads, edges }
}

/// Every reference as a link; those that lead nowhere are reported and left out.
fn resolve<'t>(spec: &SectionSpec<'t>, names: &mut Names<'t>, report: &mut Report<'_>) -> Links {
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

fn find_start(
    spec: &SectionSpec<'_>,
    start: Spanned<&str>,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<NodeNo> {
    let steps = &spec.steps;
    let declared = steps.iter().position(|step| step.name.value == start.value);
    let Some(place) = declared else {
        names.report_unknown("`start_at` names", start, report);
        return None;
    };
    if steps[place].kind.is_terminal() {
        let message = format!("`start_at` names the terminal `{}`", shown(start.value));
        let finding = Finding::error(Code::StartAt, start.span, message);
        report.add(finding.help("nothing would run; name the first step"));
        return None;
    }
    if let Some(needs) = &steps[place].needs {
        let message = format!("`{}` is `start_at` and cannot have `needs`", shown(start.value));
        let finding = Finding::error(Code::StartAt, needs.key, message);
        report.add(finding.note(start.span, "it starts the section"));
    }
    Some(node_at(place))
}

/// A head is reached by nobody: `start_at` begins by itself, a step with `needs` by them.
fn report_reached_heads(
    steps: &[StepSpec<'_>],
    start: Option<NodeNo>,
    links: &Links,
    report: &mut Report<'_>,
) {
    for link in links.links.iter().filter(|link| link.kind != EdgeKind::Needs) {
        let Some(step) = steps.get(link.to.0 as usize) else { continue };
        let (name, way) = (shown(step.name.value), word(link.kind));
        let from = shown(steps[link.from.0 as usize].name.value);
        if let Some(needs) = &step.needs {
            let message =
                format!("`{name}` has `needs` and is reached by `{way}` of `{from}`, too");
            let finding = Finding::error(Code::NeedsAndNext, link.span, message);
            let help = format!("leave out `{way}`, and let `{name}` need `{from}`");
            report.add(finding.note(needs.key, "its needs").help(help));
        } else if start == Some(link.to) && link.from != link.to {
            let message = format!("`{name}` is `start_at` and cannot be reached by `{way}`");
            report.add(Finding::error(Code::StartAt, link.span, message));
        }
    }
}

/// Where a step stands: the head of its chain, or why it never runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    Of(NodeNo),
    /// Nothing reaches it, or only what nothing reaches.
    Dead,
    /// On a cycle or behind one, which was reported.
    Unknown,
}

fn chains(
    steps: &[StepSpec<'_>],
    heads: &[bool],
    links: &Links,
    order: &[NodeNo],
    report: &mut Report<'_>,
) -> Vec<Chain> {
    let mut chains = vec![Chain::Unknown; links.nodes()];
    for node in order {
        chains[node.0 as usize] = Chain::Dead;
    }
    let mut through: Vec<Option<Link>> = vec![None; links.nodes()];
    for node in order {
        let place = node.0 as usize;
        if heads.get(place) == Some(&true) {
            chains[place] = Chain::Of(*node);
        }
        let chain = chains[place];
        for link in links.of(*node).iter().filter(|link| link.kind != EdgeKind::Needs) {
            let target = link.to.0 as usize;
            let Some(step) = steps.get(target).filter(|step| !step.kind.is_terminal()) else {
                continue;
            };
            if heads[target] || chain == Chain::Dead || chains[target] == chain {
                continue;
            }
            match (chains[target], through[target]) {
                (Chain::Dead, _) => {
                    chains[target] = chain;
                    through[target] = Some(*link);
                }
                (Chain::Of(_), Some(first)) => report_two_chains(steps, step, first, *link, report),
                _ => {}
            }
        }
    }
    chains
}

fn report_two_chains(
    steps: &[StepSpec<'_>],
    step: &StepSpec<'_>,
    one: Link,
    other: Link,
    report: &mut Report<'_>,
) {
    let (first, second) = if one.from < other.from { (one, other) } else { (other, one) };
    let name_of = |link: Link| shown(steps[link.from.0 as usize].name.value);
    let (a, b, step) = (name_of(first), name_of(second), shown(step.name.value));
    let message = format!("`{step}` is reached from `{a}` and `{b}`, which can both run");
    let finding = Finding::error(Code::TwoChains, second.span, message);
    let help = format!("use `needs: [{a}, {b}]` in `{step}` instead");
    report.add(finding.note(first.span, "and from here").help(help));
}

/// What never runs, and why: a warning each.
fn report_unreached(
    steps: &[StepSpec<'_>],
    chains: &[Chain],
    links: &Links,
    order: &[NodeNo],
    report: &mut Report<'_>,
) {
    // The first step, if any, whose never running keeps this one from running.
    let mut blocked_by: Vec<Option<NodeNo>> = vec![None; links.nodes()];
    let mut never = vec![false; links.nodes()];
    for node in order {
        let place = node.0 as usize;
        let Some(step) = steps.get(place).filter(|step| !step.kind.is_terminal()) else { continue };
        let head_never = match chains[place] {
            Chain::Of(head) if head != *node => never[head.0 as usize],
            _ => false,
        };
        let needs_never = step.needs.is_some() && blocked_by[place].is_some();
        never[place] = chains[place] == Chain::Dead || needs_never || head_never;
        if !never[place] {
            continue;
        }
        let why = match blocked_by[place] {
            Some(other) => {
                let other = shown(steps[other.0 as usize].name.value);
                match step.needs {
                    Some(_) => format!("it needs `{other}`, which never runs"),
                    None => format!("only `{other}` leads to it, which never runs"),
                }
            }
            None => "nothing reaches it from `start_at`".to_owned(),
        };
        let message = format!("`{}` never runs: {why}", shown(step.name.value));
        report.add(Finding::warning(Code::Unreached, step.name.span, message));
        for link in links.of(*node) {
            blocked_by[link.to.0 as usize].get_or_insert(*node);
        }
    }
}

fn word(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Next => "next",
        EdgeKind::OnFailure => "on_failure",
        EdgeKind::Needs => "needs",
    }
}
