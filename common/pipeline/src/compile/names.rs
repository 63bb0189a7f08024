//! Which node a name means: declared steps, and terminals that nobody had to declare.

use std::collections::HashMap;

use dagmar_common::graph::NodeKind;
use dagmar_common::ids::NodeNo;

use super::node_at;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Spanned;
use crate::spec::{StepKind, StepSpec};
use crate::suggest::did_you_mean;

/// Few enough to be listed in a message.
const LISTED_MAX: usize = 8;

pub(super) struct Names<'t> {
    nodes: HashMap<&'t str, NodeNo>,
    /// In order of declaration, for suggestions.
    names: Vec<&'t str>,
    success: Terminal<'t>,
    fail: Terminal<'t>,
    implied: Vec<(&'static str, NodeKind)>,
}

/// How a section ends one way.
#[derive(Clone, Copy)]
enum Terminal<'t> {
    Declared(&'t str),
    Implied(NodeNo),
    Unused,
}

impl<'t> Names<'t> {
    /// Checks the terminals on the way.
    pub fn of(steps: &[StepSpec<'t>], report: &mut Report<'_>) -> Self {
        let mut names = Names {
            nodes: HashMap::with_capacity(steps.len()),
            names: steps.iter().map(|step| step.name.value).collect(),
            success: Terminal::Unused,
            fail: Terminal::Unused,
            implied: Vec::new(),
        };
        let mut declared: [Option<Spanned<&str>>; 2] = [None; 2];
        for (place, step) in steps.iter().enumerate() {
            names.nodes.insert(step.name.value, node_at(place));
            check_reserved(step, report);
            let way = match step.kind {
                StepKind::Success => 0,
                StepKind::Fail => 1,
                _ => continue,
            };
            let word = ["success", "fail"][way];
            if let Some(first) = declared[way] {
                let message = format!("a second step of `type: {word}` in one section");
                let finding = Finding::error(Code::Terminal, step.name.span, message);
                report.add(finding.note(first.span, "the first").help("lead both to one of them"));
                continue;
            }
            declared[way] = Some(step.name);
            let terminal = if way == 0 { &mut names.success } else { &mut names.fail };
            *terminal = Terminal::Declared(step.name.value);
        }
        names
    }

    /// The node that a reference means; terminals spring up where they are first named.
    pub fn find(&mut self, name: &str) -> Option<NodeNo> {
        if let Some(node) = self.nodes.get(name) {
            return Some(*node);
        }
        let next = node_at(self.names.len() + self.implied.len());
        let (terminal, word, kind) = match name {
            "success" => (&mut self.success, "success", NodeKind::Success),
            "fail" => (&mut self.fail, "fail", NodeKind::Fail),
            _ => return None,
        };
        match *terminal {
            Terminal::Declared(_) => None,
            Terminal::Implied(node) => Some(node),
            Terminal::Unused => {
                *terminal = Terminal::Implied(next);
                self.implied.push((word, kind));
                Some(next)
            }
        }
    }

    /// Says that `reference` is not there; `what` refers to it.
    pub fn report_unknown(&self, what: &str, reference: Spanned<&str>, report: &mut Report<'_>) {
        let name = reference.value;
        if report.is_full() {
            report.add(Finding::error(Code::UnknownStep, reference.span, ""));
            return;
        }
        let message = format!("{what} `{}`, which does not exist", shown(name));
        let declared = match (name, self.success, self.fail) {
            ("success", Terminal::Declared(name), _) => Some(name),
            ("fail", _, Terminal::Declared(name)) => Some(name),
            _ => None,
        };
        let help = if let Some(declared) = declared {
            Some(format!("the `{name}` of this section is named `{}`", shown(declared)))
        } else if name.starts_with("x-") {
            Some("keys that begin with `x-` are notes, not steps".to_owned())
        } else if let Some(meant) = did_you_mean(name, self.names.iter().copied()) {
            Some(meant)
        } else if self.names.len() <= LISTED_MAX {
            let names: Vec<_> = self.names.iter().map(|name| shown(name)).collect();
            Some(format!("steps here: {}", names.join(", ")))
        } else {
            None
        };
        report.add(Finding::error(Code::UnknownStep, reference.span, message).help_if(help));
    }

    /// Terminals that were named without being declared; they stand last.
    pub fn implied(self) -> Vec<(&'static str, NodeKind)> {
        self.implied
    }

    /// Nodes so far, implied ones included.
    pub fn count(&self) -> usize {
        self.names.len() + self.implied.len()
    }
}

/// The two names belong to the two types.
fn check_reserved(step: &StepSpec<'_>, report: &mut Report<'_>) {
    let name = step.name.value;
    let is_kept = match (name, &step.kind) {
        (_, StepKind::Broken) => true,
        ("success", kind) => matches!(kind, StepKind::Success),
        ("fail", kind) => matches!(kind, StepKind::Fail),
        _ => true,
    };
    if !is_kept {
        let message = format!("a step named `{name}` must be of `type: {name}`");
        let finding = Finding::error(Code::Terminal, step.name.span, message);
        report.add(finding.help("give it another name"));
    }
}
