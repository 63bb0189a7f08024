//! The worked examples of the rules, row by row.

use dagmar_common::record::RunStatus;

use super::drawing::{Step, graph, map, stub, task};
use super::world::World;

const GIVEN: &[(&str, &str)] = &[
    ("xs", "[1, 2, 3]"),
    ("none", "[]"),
    ("n", "7"),
    ("odd", r#"["a.b", "x/y", "a.b", {"k": 1}]"#),
];

/// Plays the pipeline; `expected` is every node's end and the run's.
#[track_caller]
fn check(steps: &[Step], failing: &[&str], expected: &str) {
    let mut world = World::new(2);
    let run = world.submit(&graph(steps), GIVEN);
    world.play(failing, &[]);
    let status = match world.ended.get(&run) {
        Some(RunStatus::Succeeded) => "run ✓",
        Some(RunStatus::Failed) => "run ✗",
        other => panic!("the run ended as {other:?}: {}", world.shape(run)),
    };
    assert_eq!(format!("{}, {status}", world.shape(run)), expected);
}

#[test]
fn row_1_a_chain() {
    check(&[task("a").next("b"), task("b").next("success")], &[], "a✓ b✓, run ✓");
}

#[test]
fn row_2_a_failure_without_a_handler() {
    check(&[task("a").next("b"), task("b")], &["a"], "a✗ b–, run ✗");
}

#[test]
fn row_3_to_5_a_handler() {
    let steps = [task("a").next("b").fails("h"), task("b"), task("h").next("success")];
    check(&steps, &["a"], "a✗ b– h✓, run ✓");
    let joins = [task("a").next("b").fails("h"), task("b"), task("h").next("b")];
    check(&joins, &["a"], "a✗ b✓ h✓, run ✓");
    check(&joins, &[], "a✓ b✓ h–, run ✓");
}

#[test]
fn row_6_a_handler_that_leads_to_fail() {
    let steps = [task("a").next("b").fails("h"), task("b"), task("h").next("fail")];
    check(&steps, &["a"], "a✗ b– h✓, run ✗");
}

fn diamond() -> [Step; 4] {
    [task("a"), task("b").needs(&["a"]), task("c").needs(&["a"]), task("d").needs(&["b", "c"])]
}

#[test]
fn row_7_and_9_a_diamond() {
    check(&diamond(), &["b"], "a✓ b✗ c✓ d–, run ✗");
    let [a, b, c, d] = diamond();
    let handled = [a, b.fails("h"), c, d, task("h").next("success")];
    check(&handled, &["b"], "a✓ b✗ c✓ d– h✓, run ✓");
}

#[test]
fn stubs_end_without_a_trial() {
    check(&[stub("a").next("b"), stub("b")], &[], "a✓ b✓, run ✓");
}

#[test]
fn row_19_to_22_maps() {
    check(&[map("m", "none", &[task("s")])], &[], "m✓, run ✓");
    let four = "m✓ m.0.s✓ m.1.s✓ m.2.s✓ m.3.s✓, run ✓";
    check(&[map("m", "odd", &[task("s")])], &[], four);
    check(&[map("m", "xs", &[task("s")])], &["m.1.s"], "m✗ m.0.s✓ m.1.s✗ m.2.s✓, run ✗");
    check(&[map("m", "absent", &[task("s")])], &[], "m✗, run ✗");
    check(&[map("m", "n", &[task("s")])], &[], "m✗, run ✗");
}
