//! The rules of chains: who heads one, who belongs to which, what nothing reaches.

use dagmar_common::graph::EdgeKind;
use dagmar_common::ids::NodeNo;

use super::cycle;
use super::links::{self, Link, Links};
use super::names::Names;
use super::node_at;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Spanned;
use crate::spec::{SectionSpec, StepSpec};

/// How the steps of a section hang together.
pub(super) struct Plan {
    /// One for each declared step.
    pub heads: Vec<bool>,
    pub edges: Vec<(NodeNo, EdgeKind, NodeNo)>,
}

pub(super) fn plan<'t>(
    spec: &SectionSpec<'t>,
    names: &mut Names<'t>,
    report: &mut Report<'_>,
) -> Plan {
    let links = links::resolve(spec, names, report);
    let start = spec.start_at.map(|start| (start, find_start(spec, start, names, report)));
    let steps = &spec.steps;
    let mut reached: Vec<Option<Link>> = vec![None; names.count()];
    for link in links.all().iter().filter(|link| link.kind != EdgeKind::Needs) {
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
    let edges = links.all().iter().map(|link| (link.from, link.kind, link.to)).collect();
    Plan { heads, edges }
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
    for link in links.all().iter().filter(|link| link.kind != EdgeKind::Needs) {
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
