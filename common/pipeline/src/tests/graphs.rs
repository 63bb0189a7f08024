//! Graphs that files mean: heads, edges, terminals, sections, tasks.

use dagmar_common::graph::{
    Backoff, Care, Command, CompositeMode, Function, ParameterKind, Resources, Shell,
};
use dagmar_common::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use dagmar_common::time::Span;
use dagmar_common::value::Value;

use super::{drawn, graph, said};

#[track_caller]
fn draws(text: &str, expected: &str) {
    assert_eq!(drawn(graph(text).root()), expected, "{text}");
}

#[test]
fn chains_and_needs() {
    draws("steps:\n  a: {command: x, next: b}\n  b: {command: y}\n", "*a→b b");
    // The diamond.
    draws(
        "steps:\n  a: {type: stub}\n  b: {type: stub, needs: [a]}\n  c: {type: stub, needs: [a]}\n\
         \x20 d: {type: stub, needs: [c, b]}\n",
        "*a~⟶b⟶c *b~⟶d *c~⟶d *d~",
    );
    // A handler joins the line again.
    draws(
        "steps:\n  a: {type: stub, next: b, on_failure: h}\n  b: {type: stub}\n  \
         h: {type: stub, next: b}\n",
        "*a~→b⇢h b~ h~→b",
    );
    draws("steps:\n  a: {type: stub, needs: []}\n  b: {type: stub}\n", "*a~ *b~");
    draws(
        "start_at: b\nsteps:\n  a: {type: stub, needs: []}\n  b: {type: stub, next: c}\n  \
         c: {type: stub}\n",
        "*a~ *b~→c c~",
    );
    // Both ways to one step, and a step named like a number.
    draws("steps:\n  1: {type: stub, next: 2, on_failure: 2}\n  2: {type: stub}\n", "*1~→2⇢2 2~");
}

#[test]
fn terminals_are_declared_or_spring_up_where_named() {
    draws(
        "steps:\n  a: {type: stub, next: success, on_failure: fail}\n",
        "*a~→success⇢fail success+ fail-",
    );
    draws("steps:\n  a: {type: stub, on_failure: fail}\n", "*a~⇢fail fail-");
    draws("steps:\n  a: {type: stub}\n", "*a~");
    draws(
        "start_at: a\nsteps:\n  a: {type: stub, next: done}\n  done: {type: success}\n  \
         fail: {type: fail}\n",
        "*a~→done done+ fail-",
    );
    // Declared and reached from two chains: terminals are everybody's.
    draws(
        "steps:\n  good: {type: success}\n  a: {type: stub, next: good}\n  \
         b: {type: stub, next: good, on_failure: fail}\n",
        "good+ *a~→good *b~→good⇢fail fail-",
    );
    // Not declared in a section without `start_at`, they head nothing.
    draws("steps:\n  fail: {type: fail}\n  a: {type: stub}\n", "fail- *a~");
}

#[test]
fn a_file_of_magnus() {
    let text = "branch: &b\n  start_at: w\n  steps:\n    w:\n      type: stub\n\
        \x20     next: success\n\
        \x20   success: {type: success}\n    fail: {type: fail}\n\
        dag:\n  description: old\n  max_time: 60\n  start_at: get data\n  steps:\n    get data:\n\
        \x20     type: as-is\n      command_config: {render_string: x}\n      next: each\n\
        \x20   each:\n      type: map\n      branch: *b\n      iterate_on: chunks\n\
        \x20     iterate_as: chunk\n      next: success\n      on_failure: fail\n\
        \x20   success: {type: success}\n    fail: {type: fail}\n";
    let graph = graph(text);
    assert_eq!(drawn(graph.root()), "*get data~→each each[]→success⇢fail success+ fail-");
    assert_eq!(drawn(graph.section(SectionNo(1))), "*w~→success success+ fail-");
    assert_eq!(graph.time_limit, Some(Span::from_secs(60)));
    assert_eq!(graph.description, "old");
}

#[test]
fn tasks_keep_all_that_was_said() {
    let text = "steps:\n  a:\n    command: |\n      echo one\n      echo two\n    \
        retry: {max_attempts: 3, backoff: 2s}\n    timeout: 90\n    resources: {cpus: 0.5}\n  \
        b:\n    command: [/bin/echo, 1, true, '']\n    command_type: shell\n    \
        max_attempts: 2\n    max_time: 500ms\n  \
        c: {command: [/bin/echo, 1, true, ''], max_time: 500ms, max_attempts: 2}\n  \
        d: {command: true, retry: {backoff: {first: 1s, most: 1m}}}\n  \
        e: {command: pay, exclusive: true, idempotent: false}\n  \
        f: {command: pay, exclusive: false, idempotent: true}\n  g: {command: pay}\n";
    let graph = graph(text);
    assert_eq!(graph.tasks.len(), 5, "equal tasks are one");
    let task = |number| graph.task(TaskNo(number));
    let script =
        |text: &str| Function::Process(Command::Script { text: text.to_owned(), shell: Shell::Sh });
    assert_eq!(task(0).function, script("echo one\necho two\n"));
    let backoff = Backoff { first: Span::from_secs(2), most: Span::from_secs(300) };
    assert_eq!(task(0).backoff, Some(backoff));
    assert_eq!((task(0).max_attempts, task(0).time_limit), (3, Some(Span::from_secs(90))));
    assert_eq!(task(0).resources, Resources { cpu_millis: 500 });
    let words = ["/bin/echo", "1", "true", ""].map(str::to_owned).to_vec();
    assert_eq!(task(1).function, Function::Process(Command::Words(words)));
    assert_eq!((task(1).max_attempts, task(1).time_limit), (2, Some(Span::from_millis(500))));
    assert_eq!(task(2).function, script("true"));
    let backoff = Backoff { first: Span::from_secs(1), most: Span::from_secs(60) };
    assert_eq!(task(2).backoff, Some(backoff));
    assert_eq!(task(3).care, Care { exclusive: true, once: true });
    assert!(task(4).care.is_none());
}

#[test]
fn maps_nest_and_are_numbered_as_they_are_met() {
    let text = "steps:\n  m:\n    type: map\n    iterate_on: rows\n    iterate_as: row\n    \
        index_as: i\n    max_parallel: 4\n    branch:\n      steps:\n        n:\n          \
        type: map\n          iterate_on: row\n          iterate_as: cell\n          \
        branch: {steps: {work: {command: echo}}}\n  k:\n    type: map\n    iterate_on: rows\n    \
        iterate_as: row\n    branch: {steps: {work: {command: echo}}}\n";
    let graph = graph(text);
    assert_eq!(drawn(graph.root()), "*m[] *k[]");
    assert_eq!(graph.sections.len(), 4);
    assert_eq!(graph.path(SectionNo(2), NodeNo(0), &[3, 5]), "m.3.n.5.work");
    assert_eq!(graph.path(SectionNo(3), NodeNo(0), &[7]), "k.7.work");
    assert_eq!(graph.tasks.len(), 1);
    let CompositeMode::Map { body, iterate_on, iterate_as, index_as, max_parallel } =
        &graph.composite(CompositeNo(0)).mode;
    assert_eq!((*body, iterate_on.as_str(), iterate_as.as_str()), (SectionNo(1), "rows", "row"));
    assert_eq!((index_as.as_deref(), *max_parallel), (Some("i"), Some(4)));
}

#[test]
fn parameters_are_values_or_declarations() {
    let text = "parameters:\n  n: 4\n  name: {type: string, description: who}\n  \
        rate: {type: number, default: 1}\n  list: [a, b]\n  car: {type: sedan, wheels: 4}\n  \
        any:\n  version: 010\nsteps: {a: {type: stub}}\n";
    let graph = graph(text);
    let parameters: Vec<_> = graph
        .parameters
        .iter()
        .map(|parameter| {
            let default = parameter.default.as_ref().map(Value::spelled);
            (parameter.name.as_str(), parameter.kind, default)
        })
        .collect();
    use ParameterKind::{Any, Integer, List, Number, Object, Text};
    let expected = [
        ("n", Integer, Some("4")),
        ("name", Text, None),
        ("rate", Number, Some("1")),
        ("list", List, Some(r#"["a", "b"]"#)),
        ("car", Object, Some(r#"{"type": "sedan", "wheels": 4}"#)),
        ("any", Any, Some("null")),
        ("version", Text, Some(r#""010""#)),
    ];
    assert_eq!(parameters, expected);
    assert_eq!(graph.parameters[1].description, "who");
}

#[test]
fn the_same_pipeline_has_the_same_bytes_however_it_is_laid_out() {
    let one = "steps:\n  a: {command: echo, timeout: 60}\n  b: {type: stub, needs: [a]}\n";
    let other = "# a comment\nsteps:\n  'a':\n    timeout: 1m\n    command: \"echo\"\n  b:\n    \
        needs:\n      - a\n    type: stub\n";
    let bytes = |text| dagmar_common::graph::encode(&graph(text));
    assert_eq!(bytes(one), bytes(other));
}

#[test]
fn a_wide_fan_in_and_a_long_chain_are_nothing_special() {
    let mut text = "steps:\n  all:\n    type: stub\n    needs:\n".to_owned();
    for step in 0..4_000 {
        text.push_str(&format!("      - s{step}\n"));
    }
    for step in 0..4_000 {
        text.push_str(&format!("  s{step}: {{type: stub}}\n"));
    }
    assert_eq!(graph(&text).root().incoming(NodeNo(0)), 4_000);
    let mut chain = "steps:\n".to_owned();
    for step in 0..4_000 {
        chain.push_str(&format!("  s{step}: {{type: stub, next: s{}}}\n", step + 1));
    }
    let open = format!("{chain}  s4000: {{type: stub}}\n");
    assert_eq!(graph(&open).step_count(), 4_001);
    let closed = format!("{chain}  s4000: {{type: stub, next: s0}}\n");
    let found = said(&closed);
    assert!(found[0].starts_with("2:3 E0113 cycle: s0 → s1 → "), "{found:?}");
    assert!(found[0].contains("→ … 3992 more … → s4000 → s0"), "{found:?}");
}
