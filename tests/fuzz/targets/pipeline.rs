//! Pipelines: any text is a graph that runs and comes back, or faults that are said with a place.

use dagmar_common::graph;

const EXAMPLES: [&str; 6] = [
    include_str!("../../../examples/diamond.yaml"),
    include_str!("../../../examples/hello.yaml"),
    include_str!("../../../examples/magnus.yaml"),
    include_str!("../../../examples/map.yaml"),
    include_str!("../../../examples/on-failure.yaml"),
    include_str!("../../../examples/retry.yaml"),
];
/// What YAML has besides, and texts that grow when they are read.
const CORNERS: [&str; 4] = [
    "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nsteps: *c\n",
    "steps:\n  one: &one\n    command: ['it''s', \"\\x41\\n\"]\n  two: {<<: *one, needs: one}\n",
    "parameters: {n: 0x1f, f: -.inf, t: 2001-12-14t21:59:43.10-05:00, s: !!str 1}\nsteps: {a: ~}\n",
    "? steps\n: {a: {command: |+2\n      echo\n\n    , retry: {max_attempts: 3}}}\n--- # another\n",
];

pub fn seeds() -> Vec<Vec<u8>> {
    EXAMPLES.iter().chain(&CORNERS).map(|text| text.as_bytes().to_vec()).collect()
}

/// The examples, compiled.
pub fn graphs() -> Vec<graph::Graph> {
    EXAMPLES.iter().filter_map(|text| dagmar_pipeline::compile("example", text).graph).collect()
}

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let compiled = dagmar_pipeline::compile("fuzzed.yaml", text);
    let found = &compiled.diagnostics;
    assert!(found.iter().count() <= dagmar_pipeline::DIAGNOSTICS_MAX + 1, "too many faults");
    let Some(graph) = compiled.graph else {
        return assert!(found.has_errors(), "no graph, and nobody says why");
    };
    assert!(!found.has_errors(), "a graph, and faults");
    assert_eq!(graph.verify(), Ok(()));
    assert_eq!(graph::decode(&graph::encode(&graph)), Ok(graph));
}
