//! Cycles: the order of steps where there is none, and each cycle by name where there is one.

use dagmar_common::ids::NodeNo;

use super::links::Links;
use super::node_at;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::spec::StepSpec;

/// A longer cycle is named by its ends.
const NAMED_MAX: usize = 10;

/// Every node that is on no cycle and behind none, predecessors first.
pub(super) fn order(links: &Links) -> Vec<NodeNo> {
    let mut waiting = vec![0_u32; links.nodes()];
    for place in 0..links.nodes() {
        for link in links.of(node_at(place)) {
            waiting[link.to.0 as usize] += 1;
        }
    }
    let mut order: Vec<NodeNo> =
        (0..links.nodes()).filter(|place| waiting[*place] == 0).map(node_at).collect();
    let mut done = 0;
    while let Some(node) = order.get(done).copied() {
        done += 1;
        for link in links.of(node) {
            let left = &mut waiting[link.to.0 as usize];
            *left -= 1;
            if *left == 0 {
                order.push(link.to);
            }
        }
    }
    order
}

/// One cycle after another, none of them sharing a step with an earlier one.
pub(super) fn report(
    steps: &[StepSpec<'_>],
    links: &Links,
    order: &[NodeNo],
    report: &mut Report<'_>,
) {
    let mut state = vec![State::New; links.nodes()];
    for node in order {
        state[node.0 as usize] = State::Done;
    }
    for place in 0..links.nodes() {
        if state[place] == State::New {
            search(node_at(place), links, &mut state, &mut |cycle| {
                report.add(finding(steps, links, cycle));
            });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the way that is being walked.
    Open,
    Done,
    /// Named already.
    OnCycle,
}

/// Depth first without recursion: a cycle may be as long as the section.
fn search(start: NodeNo, links: &Links, state: &mut [State], found: &mut dyn FnMut(&[NodeNo])) {
    let mut way = vec![start];
    let mut next_link = vec![0_usize];
    state[start.0 as usize] = State::Open;
    while let (Some(node), Some(place)) = (way.last().copied(), next_link.last_mut()) {
        let Some(link) = links.of(node).get(*place) else {
            if state[node.0 as usize] == State::Open {
                state[node.0 as usize] = State::Done;
            }
            way.pop();
            next_link.pop();
            continue;
        };
        *place += 1;
        match state[link.to.0 as usize] {
            State::New => {
                state[link.to.0 as usize] = State::Open;
                way.push(link.to);
                next_link.push(0);
            }
            State::Open => {
                let from = way.iter().rposition(|node| *node == link.to).unwrap_or_default();
                let cycle = &way[from..];
                if cycle.iter().all(|node| state[node.0 as usize] == State::Open) {
                    found(cycle);
                    for node in cycle {
                        state[node.0 as usize] = State::OnCycle;
                    }
                }
            }
            State::Done | State::OnCycle => {}
        }
    }
}

/// `a → b → a`, in the order in which they would run, from the one that is declared first.
fn finding(steps: &[StepSpec<'_>], links: &Links, cycle: &[NodeNo]) -> Finding {
    let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node);
    let mut cycle = cycle.to_vec();
    cycle.rotate_left(first.map_or(0, |(place, _)| place));
    let name = |node: &NodeNo| shown(steps[node.0 as usize].name.value);
    let mut names: Vec<String> = cycle.iter().map(name).collect();
    if names.len() > NAMED_MAX {
        let left_out = names.len() - NAMED_MAX + 1;
        let last = names.len() - 1;
        names.splice(NAMED_MAX - 1..last, [format!("… {left_out} more …")]);
    }
    names.push(name(&cycle[0]));
    let message = format!("cycle: {}", names.join(" → "));
    let closing = cycle.last().and_then(|last| {
        links.of(*last).iter().find(|link| link.to == cycle[0]).map(|link| link.span)
    });
    let start = steps[cycle[0].0 as usize].name.span;
    Finding::error(Code::Cycle, start, message)
        .note(closing.unwrap_or(start), "this closes it")
        .help("leave out one of these references")
}
