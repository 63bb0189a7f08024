//! Whole files under test: what they say when they are wrong, what graph they are when not.

mod examples;
mod faults;
mod graphs;
mod keys;
mod random;
mod rendering;

use dagmar_common::graph::{EdgeKind, Graph, NodeKind, Section};

use crate::compile;

/// Each finding in one line: place, code, message, and the help in parentheses.
fn said(text: &str) -> Vec<String> {
    let compiled = compile("p.yaml", text);
    assert_eq!(compiled.graph.is_none(), compiled.diagnostics.has_errors());
    let line = |diagnostic: &crate::Diagnostic| {
        let place = diagnostic.place.as_ref().map_or((0, 0), |at| (at.line, at.column));
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{} {} {}{help}", place.0, place.1, diagnostic.code, diagnostic.message)
    };
    compiled.diagnostics.iter().map(line).collect()
}

/// The file says exactly this.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(said(text), expected, "{text}");
}

/// The graph of a file that says nothing at all, which verifies and keeps through its bytes.
#[track_caller]
fn graph(text: &str) -> Graph {
    assert_eq!(said(text), [""; 0], "{text}");
    let Some(graph) = compile("p.yaml", text).graph else { panic!("no graph of {text}") };
    assert_eq!(graph.verify(), Ok(()), "{text}");
    let bytes = dagmar_common::graph::encode(&graph);
    assert_eq!(dagmar_common::graph::decode(&bytes).as_ref(), Ok(&graph), "{text}");
    graph
}

/// A section in one line: names in order, heads with `*`, and their edges.
fn drawn(section: &Section) -> String {
    let node = |node| {
        let kind = match section.kind(node) {
            NodeKind::Task(_) => "",
            NodeKind::Composite(_) => "[]",
            NodeKind::Stub => "~",
            NodeKind::Success => "+",
            NodeKind::Fail => "-",
        };
        let edges: String = section
            .edges(node)
            .iter()
            .map(|(kind, target)| {
                let sign = match kind {
                    EdgeKind::Next => "→",
                    EdgeKind::OnFailure => "⇢",
                    EdgeKind::Needs => "⟶",
                };
                format!("{sign}{}", section.name(target))
            })
            .collect();
        let head = if section.is_head(node) { "*" } else { "" };
        format!("{head}{}{kind}{edges}", section.name(node))
    };
    section.nodes().map(node).collect::<Vec<_>>().join(" ")
}
