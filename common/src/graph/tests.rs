//! The graph's bytes under test: round trips, paths, every rule of verify, and damage.

use super::*;
use crate::ids::{Digest, NodeNo};
use crate::time::Span;
use crate::value::Value;

/// A small generator of its own: seeds of found faults stay valid for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

fn script(text: &str) -> Task {
    Task {
        function: Function::Process(Command::Script { text: text.into(), shell: Shell::Sh }),
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    }
}

/// A graph of one section that `fill` writes.
fn graph_of(fill: impl FnOnce(&mut SectionBuilder)) -> Graph {
    let mut section = SectionBuilder::default();
    fill(&mut section);
    let graph = Graph { sections: vec![section.finish()], ..Graph::default() };
    Graph { tasks: vec![script("true")], ..graph }.finish()
}

/// `m` maps over `list` with `work` inside.
fn mapped() -> Graph {
    let mut root = SectionBuilder::default();
    root.node("first", NodeKind::Stub, true);
    let map = root.node("m", NodeKind::Composite(CompositeNo(0)), true);
    root.edge(NodeNo(0), EdgeKind::Needs, map);
    let mut body = SectionBuilder::default();
    body.node("work", NodeKind::Task(TaskNo(0)), true);
    Graph {
        name: "mapped".into(),
        parameters: vec![Parameter {
            name: "list".into(),
            kind: ParameterKind::List,
            default: Some(Value::from_loose("[1,2]")),
            description: String::new(),
        }],
        tasks: vec![script("echo é")],
        composites: vec![Composite {
            mode: CompositeMode::Map {
                body: SectionNo(1),
                iterate_on: "list".into(),
                iterate_as: "x".into(),
                index_as: Some("i".into()),
                max_parallel: Some(2),
            },
        }],
        sections: vec![root.finish(), body.finish()],
        time_limit: Some(Span::from_secs(60)),
        ..Graph::default()
    }
    .finish()
}

/// Chains, needs, handlers, terminals and nested maps, always such that it verifies.
fn random_graph(random: &mut Random) -> Graph {
    let mut graph = Graph { name: "any".into(), ..Graph::default() };
    for task in 0..=random.below(3) {
        let mut task = script(&format!("echo {task}"));
        task.max_attempts = 1 + random.below(3);
        task.time_limit = random.one_in(2).then(|| Span::from_secs(u64::from(task.max_attempts)));
        task.backoff = random.one_in(2).then_some(Backoff { first: Span(1), most: Span(300) });
        graph.tasks.push(task);
    }
    graph.tasks.push(Task {
        function: Function::Process(Command::Words(vec!["/bin/echo".into(), String::new()])),
        ..script("")
    });
    graph.sections.push(Section::default());
    fill_section(random, &mut graph, SectionNo(0), 0);
    graph.finish()
}

fn fill_section(random: &mut Random, graph: &mut Graph, at: SectionNo, depth: u32) {
    let mut section = SectionBuilder::default();
    let mut chains: Vec<NodeNo> = Vec::new();
    let count = 1 + random.below(12);
    for place in 0..count {
        let kind = match random.below(5) {
            0 => NodeKind::Stub,
            1 if depth < 3 => {
                let body = SectionNo(graph.sections.len() as u32);
                graph.sections.push(Section::default());
                let composite = CompositeNo(graph.composites.len() as u32);
                let mode = CompositeMode::Map {
                    body,
                    iterate_on: "list".into(),
                    iterate_as: "x".into(),
                    index_as: None,
                    max_parallel: None,
                };
                graph.composites.push(Composite { mode });
                fill_section(random, graph, body, depth + 1);
                NodeKind::Composite(composite)
            }
            _ => NodeKind::Task(TaskNo(random.below(graph.tasks.len() as u32))),
        };
        let follows = (!chains.is_empty() && random.one_in(2))
            .then(|| random.below(chains.len() as u32) as usize);
        let node = section.node(&format!("s{place} ü"), kind, follows.is_none());
        if let Some(chain) = follows {
            let way = if random.one_in(4) { EdgeKind::OnFailure } else { EdgeKind::Next };
            section.edge(chains[chain], way, node);
            chains[chain] = node;
        } else {
            for earlier in 0..place {
                if random.one_in(3) {
                    section.edge(NodeNo(earlier), EdgeKind::Needs, node);
                }
            }
            chains.push(node);
        }
    }
    let fail = section.node("fail", NodeKind::Fail, false);
    for chain in chains {
        if random.one_in(2) {
            section.edge(chain, EdgeKind::Next, fail);
        }
    }
    graph.sections[at.0 as usize] = section.finish();
}

#[test]
fn random_graphs_come_back_as_they_were() {
    let mut random = Random(1);
    for _ in 0..500 {
        let graph = random_graph(&mut random);
        let bytes = encode(&graph);
        assert_eq!(decode(&bytes).as_ref(), Ok(&graph));
        assert_eq!(encode(&graph.clone()), bytes);
    }
}

#[test]
fn damage_is_refused_or_is_another_graph_that_verifies() {
    let mut random = Random(2);
    let (mut refused, mut other) = (0, 0);
    for _ in 0..40 {
        let bytes = encode(&random_graph(&mut random));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << random.below(8);
            match decode(&damaged) {
                Ok(graph) => {
                    other += 1;
                    assert_eq!(graph.verify(), Ok(()));
                    assert_eq!(encode(&graph), damaged);
                    let _ = graph.step_count();
                }
                Err(_) => refused += 1,
            }
        }
        for length in 0..bytes.len() {
            if let Ok(graph) = decode(&bytes[..length]) {
                assert_eq!(encode(&graph), bytes[..length]);
            }
        }
    }
    assert!(refused > 1_000 && other > 100, "{refused} refused, {other} decoded");
}

/// In pieces of random length, checked in random turns.
fn assemble(random: &mut Random, bytes: &[u8]) -> Result<(Graph, Digest), DecodeError> {
    let mut assembly = Assembly::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((1 + random.below(9) as usize).min(rest.len()));
        assembly.push(piece)?;
        rest = more;
    }
    while assembly.work(1 + u64::from(random.below(7)))? == 0 {}
    assembly.finish()
}

#[test]
fn pieces_of_any_length_make_the_same_graph_or_the_same_fault() {
    let mut random = Random(3);
    let mut refused = 0;
    for _ in 0..300 {
        let graph = random_graph(&mut random);
        let mut bytes = encode(&graph);
        let digest = Graph::hash(&bytes);
        assert_eq!(assemble(&mut random, &bytes), Ok((graph, digest)));
        let place = random.below(bytes.len() as u32) as usize;
        bytes[place] ^= 1 << random.below(8);
        let whole = decode(&bytes);
        refused += u32::from(whole.is_err());
        assert_eq!(assemble(&mut random, &bytes).map(|(graph, _)| graph), whole);
    }
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn bytes_and_hash_do_not_change_between_versions() {
    let bytes = encode(&mapped());
    assert_eq!(
        Graph::hash(&bytes).to_string(),
        "9a5ae36aa2dc749d25f7582e3e08e9f0d86fd2ee249f6616ba997c87d5fd64f7",
        "a stored graph keeps its hash; the bytes are now {bytes:02x?}"
    );
    assert_eq!(Graph::hash(b""), Digest::of(b""));
}

#[test]
fn bytes_that_another_writer_would_write_are_refused() {
    let bytes = encode(&mapped());
    // An unknown field, and the version written twice.
    for tail in [&[0x78, 1][..], &[0x08, 1][..]] {
        assert_eq!(decode(&[&bytes, tail].concat()), Err(DecodeError::NotCanonical));
    }
    assert_eq!(decode(&[0x08, 2]), Err(DecodeError::Newer { found: 2 }));
    assert!(matches!(decode(b"dag:\n"), Err(DecodeError::Malformed(_))));
}

#[test]
fn paths_name_items_by_index() {
    let graph = mapped();
    assert_eq!(graph.path(SectionNo(0), NodeNo(1), &[]), "m");
    assert_eq!(graph.path(SectionNo(1), NodeNo(0), &[0]), "m.0.work");
    assert_eq!(graph.path(SectionNo(1), NodeNo(0), &[]), "m.*.work");
    let decoded = decode(&encode(&graph)).expect("decodes");
    assert_eq!(decoded.path(SectionNo(1), NodeNo(0), &[7]), "m.7.work");
}

#[track_caller]
fn refused(node: u32, broken: NodeFault, fill: impl FnOnce(&mut SectionBuilder)) {
    let (section, node) = (SectionNo(0), NodeNo(node));
    let graph = graph_of(fill);
    let expected = VerifyError::Node { section, node, broken };
    assert_eq!(graph.verify(), Err(expected.clone()));
    assert_eq!(decode(&encode(&graph)), Err(DecodeError::Invalid(expected)));
}

fn stubs(section: &mut SectionBuilder, names_and_heads: &[(&str, bool)]) {
    for (name, is_head) in names_and_heads {
        section.node(name, NodeKind::Stub, *is_head);
    }
}

#[test]
fn every_rule_of_a_section_is_held() {
    use EdgeKind::{Needs, Next, OnFailure};
    use NodeNo as N;
    refused(0, NodeFault::Name, |s| stubs(s, &[("a.b", true)]));
    refused(0, NodeFault::Name, |s| stubs(s, &[("", true)]));
    refused(0, NodeFault::Name, |s| stubs(s, &[("a\u{202e}b", true)]));
    refused(1, NodeFault::DuplicateName, |s| stubs(s, &[("a", true), ("a", true)]));
    refused(0, NodeFault::Reference, |s| {
        s.node("a", NodeKind::Task(TaskNo(1)), true);
    });
    refused(0, NodeFault::Cycle, |s| {
        stubs(s, &[("a", true), ("b", true)]);
        s.edge(N(0), Needs, N(1));
        s.edge(N(1), Needs, N(0));
    });
    refused(0, NodeFault::TwoWays, |s| {
        stubs(s, &[("a", true), ("b", false), ("c", false)]);
        s.edge(N(0), Next, N(1));
        s.edge(N(0), Next, N(2));
    });
    refused(0, NodeFault::EdgeOrder, |s| {
        stubs(s, &[("a", true), ("b", true)]);
        s.edge(N(0), Needs, N(1));
        s.edge(N(0), Needs, N(1));
    });
    refused(1, NodeFault::NeedsWithoutHead, |s| {
        stubs(s, &[("a", true), ("b", false)]);
        s.edge(N(0), Needs, N(1));
    });
    refused(1, NodeFault::ReachedHead, |s| {
        stubs(s, &[("a", true), ("b", true)]);
        s.edge(N(0), OnFailure, N(1));
    });
    refused(2, NodeFault::TwoChains, |s| {
        stubs(s, &[("a", true), ("b", true), ("c", false)]);
        s.edge(N(0), Next, N(2));
        s.edge(N(1), Next, N(2));
    });
    refused(0, NodeFault::Terminal, |s| {
        s.node("done", NodeKind::Success, false);
        s.node("a", NodeKind::Stub, true);
        s.edge(N(0), Next, N(1));
    });
    refused(1, NodeFault::Terminal, |s| {
        s.node("a", NodeKind::Stub, true);
        s.node("done", NodeKind::Success, false);
        s.edge(N(0), Needs, N(1));
    });
    refused(0, NodeFault::Terminal, |s| {
        s.node("done", NodeKind::Success, true);
    });
    let two = graph_of(|s| {
        s.node("good", NodeKind::Success, false);
        s.node("fine", NodeKind::Success, false);
    });
    assert_eq!(two.verify(), Err(VerifyError::Terminals(SectionNo(0))));
    assert_eq!(graph_of(|_| {}).verify(), Err(VerifyError::Empty(SectionNo(0))));
    assert_eq!(Graph::default().verify(), Err(VerifyError::NoRoot));
}

#[test]
fn dead_steps_and_shared_terminals_are_fine() {
    use EdgeKind::{Needs, Next, OnFailure};
    use NodeNo as N;
    let graph = graph_of(|s| {
        stubs(s, &[("a", true), ("b", true), ("c", false), ("dead", false)]);
        s.node("success", NodeKind::Success, false);
        s.edge(N(0), Needs, N(1));
        s.edge(N(0), Next, N(2));
        s.edge(N(0), OnFailure, N(2));
        s.edge(N(3), Next, N(2));
        s.edge(N(1), Next, N(4));
        s.edge(N(2), Next, N(4));
    });
    assert_eq!(graph.verify(), Ok(()));
}

#[test]
fn every_rule_of_the_tables_is_held() {
    type Break = fn(&mut Graph);
    let breaks: &[(Break, &str)] = &[
        (|g| g.tasks[0].max_attempts = 0, "task 0: its number of attempts is out of range"),
        (|g| g.tasks[0].resources.cpu_millis = 0, "task 0: it asks for no cpu"),
        (|g| g.tasks[0].time_limit = Some(Span(0)), "task 0: its time limit is zero"),
        (|g| g.tasks[0] = script(" \n"), "task 0: its script is empty"),
        (|g| g.tasks[0] = script(&"x".repeat(1 << 17)), "task 0: its script is too long"),
        (|g| g.tasks[0] = script("a\0b"), "task 0: its script holds NUL"),
        (|g| g.time_limit = Some(Span(0)), "the time limit is zero"),
        (|g| g.parameters.push(g.parameters[0].clone()), "parameter 1: it has the name of another"),
        (|g| g.parameters[0].name = "a=b".into(), "parameter 0: its name is not allowed"),
        (
            |g| g.composites.push(g.composites[0].clone()),
            "composite 1 is used by no node, or by several",
        ),
        (
            |g| g.sections.push(g.sections[1].clone()),
            "section 2 is used by no node, or by several, or by one that stands after it",
        ),
        (|g| g.sections.truncate(1), "composite 0: its body is not there"),
    ];
    for (damage, expected) in breaks {
        let mut graph = mapped();
        damage(&mut graph);
        assert_eq!(graph.verify().map_err(|error| error.to_string()), Err((*expected).to_owned()));
    }
}
