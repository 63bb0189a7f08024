//! Diagnostics as people see them, letter by letter.

use crate::compile;

#[track_caller]
fn check(text: &str, expected: &str) {
    let rendered = compile("pipeline.yaml", text).diagnostics.render(false);
    assert_eq!(rendered, expected);
    let widest = rendered.lines().map(|line| line.chars().count()).max();
    assert!(widest.unwrap_or_default() <= 80, "{rendered}");
}

#[test]
fn three_errors_and_a_warning() {
    check(
        "\
steps:
  extract: {command: ./extract}
  fit:
    command: python fit.py
    retrys: 3
    needs: [extract]
  report:
    command: ./report
    needs: [totl, fit]
  total: {command: ./total, next: check}
  check: {type: stub, needs: [total]}
  x-old: {command: ./old}
",
        "\
error[E0102]: unknown key `retrys` in a task
 --> pipeline.yaml:5:5
  |
5 |     retrys: 3
  |     ^^^^^^
  |
  = help: did you mean `retry`?

error[E0110]: step `report` needs `totl`, which does not exist
 --> pipeline.yaml:9:13
  |
9 |     needs: [totl, fit]
  |             ^^^^
  |
  = help: did you mean `total`?

error[E0117]: `check` has `needs` and is reached by `next` of `total`, too
  --> pipeline.yaml:10:35
   |
10 |   total: {command: ./total, next: check}
   |                                   ^^^^^
11 |   check: {type: stub, needs: [total]}
   |                       ----- its needs
   |
   = help: leave out `next`, and let `check` need `total`

warning[E0206]: `x-old` is a note, not a step
  --> pipeline.yaml:12:3
   |
12 |   x-old: {command: ./old}
   |   ^^^^^
   |
   = help: keys that begin with `x-` are free; steps have other names

3 errors and 1 warning, nothing submitted.
",
    );
}

#[test]
fn long_words_and_long_lines_stay_within_the_width() {
    check(
        "\
steps:
  a name that is rather long: {command: x, needs: [some other name that is nowhere to be found]}
  b: {command: x, env: {A: 1}}
",
        "\
error[E0110]: step `a name that is rather long` needs `some other name that is
              nowhere to be found`, which does not exist
 --> pipeline.yaml:2:52
  |
2 | ...: x, needs: [some other name that is nowhere to be found]}
  |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: steps here: a name that is rather long, b

error[E0102]: unknown key `env` in a task
 --> pipeline.yaml:3:19
  |
3 |   b: {command: x, env: {A: 1}}
  |                   ^^^
  |
  = help: keys here: type, next, on_failure, needs, command, command_type,
          retry, max_attempts, timeout, max_time, resources, exclusive,
          idempotent; keys of your own begin with `x-`

2 errors, nothing submitted.
",
    );
}

#[test]
fn places_far_apart_stand_in_excerpts_of_their_own() {
    let between: String = (0..20).map(|step| format!("  s{step}: {{type: stub}}\n")).collect();
    let text = format!(
        "steps:\n  a: {{type: stub, next: z}}\n{between}  b: {{type: stub, next: z}}\n  \
         z: {{type: stub}}\n"
    );
    check(
        &text,
        "\
error[E0112]: `z` is reached from `a` and `b`, which can both run
  --> pipeline.yaml:23:25
   |
23 |   b: {type: stub, next: z}
   |                         ^
   |
  ::: pipeline.yaml:2:25
   |
 2 |   a: {type: stub, next: z}
   |                         - and from here
   |
   = help: use `needs: [a, b]` in `z` instead

1 error, nothing submitted.
",
    );
}

#[test]
fn a_line_without_end_is_named_by_its_place() {
    let text = format!("steps: {{a: {{command: \"{}\", retrys: 1}}}}", "x".repeat(5_000));
    check(
        &text,
        "\
error[E0102]: unknown key `retrys` in a task
--> pipeline.yaml:1:5026
 = help: did you mean `retry`?

1 error, nothing submitted.
",
    );
}

#[test]
fn a_terminal_is_never_told_what_to_do() {
    check(
        "steps: {\"a\\e[2J\": {type: \"x\\ey\"}}\n",
        "\
error[E0114]: the control character U+001B is not allowed in a name
 --> pipeline.yaml:1:9
  |
1 | steps: {\"a\\e[2J\": {type: \"x\\ey\"}}
  |         ^^^^^^^^

error[E0127]: unknown type `x\\u{1b}y`
 --> pipeline.yaml:1:26
  |
1 | steps: {\"a\\e[2J\": {type: \"x\\ey\"}}
  |                          ^^^^^^
  |
  = help: types: task, stub, map, success, fail

2 errors, nothing submitted.
",
    );
    assert!(
        !crate::compile("p", "steps: \u{1b}[2J\n").diagnostics.render(false).contains('\u{1b}')
    );
}

#[test]
fn colour_is_there_when_asked_for_and_nothing_is_said_of_a_sound_file() {
    let diagnostics = compile("p.yaml", "steps: 1\n").diagnostics;
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert!(!diagnostics.render(false).contains("\u{1b}["));
    assert_eq!(compile("p.yaml", "steps: {a: {type: stub}}\n").diagnostics.render(true), "");
}
