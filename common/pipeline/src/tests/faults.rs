//! Every kind of fault that a file can have, each with its place and words.

use super::{check, graph, said};

#[test]
fn nothing_to_read() {
    let help = "(such as `steps: {hello: {command: echo hello}}`)";
    for text in ["", "# only a comment\n", "---\n", "{}", "~"] {
        check(text, &[&format!("1:1 E0105 this file is empty: it has no `steps` {help}")]);
    }
    check("42", &["1:1 E0104 a pipeline is a mapping with `steps`, found an integer"]);
    check("- a\n", &["1:1 E0104 a pipeline is a mapping with `steps`, found a list"]);
    check("name: x\n", &["1:1 E0122 there are no `steps` here"]);
    check("dag:\n  name: x\n", &["1:1 E0122 there are no `steps` here"]);
    check("dag:\n", &["1:1 E0104 `dag` wants a mapping, found nothing"]);
    check("steps:\n", &["1:1 E0105 `steps` is empty"]);
    check("steps: {}\n", &["1:1 E0105 `steps` is empty"]);
    check("steps: none\n", &["1:8 E0104 `steps` wants a mapping, found text"]);
    check(
        "steps:\n  - a\n",
        &["1:1 E0104 `steps` wants a mapping from names to steps, found a list (write \
           `NAME: {command: …}` for each, without the dashes)"],
    );
    check(
        "steps:\n  a: echo\n  b:\n",
        &[
            "2:3 E0104 step `a` wants a mapping, found text (such as `{command: echo hello}`)",
            "3:3 E0104 step `b` wants a mapping, found nothing (such as `{command: echo hello}`)",
        ],
    );
    check(
        "steps: {fail: {type: fail}}\n",
        &["1:1 E0105 there is nothing to run: every step here is a terminal"],
    );
}

#[test]
fn too_large_is_said_before_anything_is_parsed() {
    let text = format!("steps: {{a: {{command: \"{}\"}}}}", "x".repeat(64 << 20));
    let found = said(&text);
    let expected = "0:0 E0107 the file is 67108889 bytes long; limit 64 MiB (larger pipelines \
                    come through the API as a graph)";
    assert_eq!(found, [expected]);
}

#[test]
fn faults_of_yaml_are_told_in_our_words() {
    check(
        "steps:\n  a: {type: stub}\n---\nsteps: {}\n",
        &["3:1 E0106 a second YAML document begins here; a file holds one pipeline (move it to \
           a file of its own)"],
    );
    check(
        "steps:\n\ta: {type: stub}\n",
        &["2:1 E0101 tabs are not allowed for indentation (indent with spaces)"],
    );
    check(
        "steps:\n  a:\n    command: echo a: b\n",
        &["3:20 E0101 this is no valid YAML: a `:` is not allowed here (put text that holds \
           `: ` in quotes, and check the indentation)"],
    );
    check(
        "steps:\n  a: {type: stub}\n  b: {type: stub}\n  a: {type: stub}\n",
        &["4:3 E0103 `a` stands twice in one mapping"],
    );
    check(
        "name: *nope\nsteps: {a: {type: stub}}\n",
        &["1:7 E0108 `*nope` has no anchor before it (mark what it stands for with `&nope`)"],
    );
    check(
        "steps:\n  a: {command: !!python/object/apply:os.system ls}\n",
        &["2:16 E0109 the tag `!!python/object/apply:os.system` is not supported (write the \
           plain value)"],
    );
    graph("\u{feff}steps:\r\n  a: {type: stub}\r\n");
    graph("steps:\n  on: {type: stub, next: yes}\n  yes: {type: stub}\n");
}

#[test]
fn an_anchor_is_read_for_each_alias_and_reported_once() {
    let text = "x-task: &t {command: echo, retrys: 3}\nsteps: {a: *t, b: *t}\n";
    check(text, &["1:28 E0102 unknown key `retrys` in a task (did you mean `retry`?)"]);
}

#[test]
fn names_of_steps() {
    let named = |name: &str| format!("steps: {{\"{name}\": {{type: stub}}}}\n");
    check(&named("a.b%c"), &["1:9 E0114 `.` is not allowed in the name `a.b%c` (such as `a_b_c`)"]);
    check(
        &named("../../etc"),
        &["1:9 E0114 `.` is not allowed in the name `../../etc` (such as `__/__/etc`)"],
    );
    // Nobody could refer to them: an attempt and an item are written so.
    check(&named("a:2"), &["1:9 E0114 `:` is not allowed in the name `a:2` (such as `a_2`)"]);
    check(&named("b[0]"), &["1:9 E0114 `[` is not allowed in the name `b[0]` (such as `b_0_`)"]);
    check(&named(""), &["1:9 E0114 a step has no name"]);
    check(&named(&"x".repeat(300)), &["1:9 E0114 this name is 300 bytes long; limit 255"]);
    check(&named("a\\0b"), &["1:9 E0114 the control character U+0000 is not allowed in a name"]);
    check(
        &named("a\u{202e}b"),
        &["1:9 E0114 the bidirectional control U+202E is not allowed in a name"],
    );
    for name in ["a/b", "A B", "CON", "é", "load data", "-", "🦀"] {
        graph(&named(name));
    }
}

#[test]
fn references_lead_somewhere() {
    check(
        "start_at: extrct\nsteps:\n  extract: {type: stub, next: totl, on_failure: nowhere}\n  \
         total: {type: stub, needs: [extract, biuld]}\n",
        &[
            "1:11 E0110 `start_at` names `extrct`, which does not exist (did you mean `extract`?)",
            "3:31 E0110 `next` of `extract` names `totl`, which does not exist (did you mean \
             `total`?)",
            "3:49 E0110 `on_failure` of `extract` names `nowhere`, which does not exist (steps \
             here: extract, total)",
            "4:40 E0110 step `total` needs `biuld`, which does not exist (steps here: extract, \
             total)",
        ],
    );
    check(
        "steps:\n  a: {type: stub, next: success}\n  done: {type: success}\n",
        &["2:25 E0110 `next` of `a` names `success`, which does not exist (the `success` of \
           this section is named `done`)"],
    );
    check(
        "steps:\n  a: {type: stub, next: [b], on_failure: }\n",
        &["2:25 E0104 `next` wants text, found a list", "2:30 E0104 `on_failure` has no value"],
    );
}

#[test]
fn needs() {
    let of = |needs: &str| {
        format!(
            "steps:\n  a: {{type: stub, needs: {needs}}}\n  b: {{type: stub}}\n  \
                 good: {{type: success}}\n"
        )
    };
    check(&of("[a]"), &["2:27 E0111 step `a` needs itself"]);
    check(&of("[b, b]"), &["2:30 E0111 step `a` needs `b` twice"]);
    check(
        &of("[good, fail]"),
        &[
            "2:27 E0111 step `a` needs the terminal `good` (a terminal ends the section; name \
             the step before it)",
            "2:33 E0111 step `a` needs the terminal `fail` (a terminal ends the section; name \
             the step before it)",
        ],
    );
    check(&of("b"), &["2:26 E0104 `needs` wants a list, found text (write `needs: [b]`)"]);
    check(
        &of("~"),
        &["2:26 E0104 `needs` wants a list, found nothing (a step that needs nothing says \
           `needs: []`)"],
    );
    check(&of("[[b]]"), &["2:27 E0104 `needs` wants names of steps, found a list"]);
}

#[test]
fn cycles_are_named_in_the_order_in_which_they_would_run() {
    let help = "(leave out one of these references)";
    check(
        "steps:\n  a: {type: stub, needs: [c]}\n  b: {type: stub, needs: [a]}\n  \
         c: {type: stub, needs: [b]}\n",
        &[&format!("2:3 E0113 cycle: a → b → c → a {help}")],
    );
    check(
        "start_at: a\nsteps:\n  a: {type: stub, next: b}\n  b: {type: stub, next: a}\n",
        &[&format!("3:3 E0113 cycle: a → b → a {help}")],
    );
    check("steps: {a: {type: stub, next: a}}\n", &[&format!("1:9 E0113 cycle: a → a {help}")]);
    // Mixed ways, two cycles that share nothing, and a step behind one.
    check(
        "steps:\n  h: {type: stub, on_failure: i}\n  i: {type: stub, next: h}\n  \
         p: {type: stub, needs: [q]}\n  q: {type: stub, needs: [p]}\n  \
         z: {type: stub, needs: [q]}\n",
        &[
            &format!("2:3 E0113 cycle: h → i → h {help}"),
            &format!("4:3 E0113 cycle: p → q → p {help}"),
        ],
    );
}

#[test]
fn row_10_a_step_belongs_to_one_chain() {
    check(
        "steps:\n  a: {type: stub}\n  b: {type: stub, needs: [a], next: z}\n  \
         x: {type: stub, needs: [a], next: z}\n  z: {type: stub}\n",
        &["4:37 E0112 `z` is reached from `b` and `x`, which can both run (use `needs: [b, x]` \
           in `z` instead)"],
    );
    // Declared before both: named in the order of declaration all the same.
    check(
        "steps:\n  z: {type: stub, next: y}\n  y: {type: stub}\n  x: {type: stub, next: z}\n  \
         b: {type: stub, on_failure: z}\n",
        &["5:31 E0112 `z` is reached from `x` and `b`, which can both run (use `needs: [x, b]` \
           in `z` instead)"],
    );
    check(
        "steps:\n  a: {type: stub, next: c}\n  b: {type: stub}\n  c: {type: stub, needs: [b]}\n",
        &["2:25 E0117 `c` has `needs` and is reached by `next` of `a`, too (leave out `next`, \
           and let `c` need `a`)"],
    );
}

#[test]
fn names_are_not_told_apart_by_their_unicode_form() {
    check(
        "parameters: {\"caf\u{e9}\": 1, \"cafe\u{301}\": 2, caf: 3}\nsteps:\n  \
         \"\u{c5}\": {type: stub}\n  \"A\u{30a}\": {type: stub}\n  \"\u{212b}\": {type: stub}\n  \
         \"\u{e5}\": {type: stub}\n",
        &[
            "1:25 E0103 `cafe\u{301}` stands twice, in two Unicode forms: cafe\\u{301} and \
             caf\\u{e9} (write it the same way everywhere, or give one of them another name)",
            "4:3 E0103 `A\u{30a}` stands twice, in two Unicode forms: A\\u{30a} and \\u{c5} \
             (write it the same way everywhere, or give one of them another name)",
            "5:3 E0103 `\u{212b}` stands twice, in two Unicode forms: \\u{212b} and \\u{c5} \
             (write it the same way everywhere, or give one of them another name)",
        ],
    );
}

#[test]
fn start_at_begins_by_itself() {
    check(
        "start_at: b\nsteps:\n  a: {type: stub, needs: []}\n  b: {type: stub, needs: [a]}\n",
        &["4:19 E0116 `b` is `start_at` and cannot have `needs`"],
    );
    check(
        "start_at: b\nsteps:\n  a: {type: stub, next: b}\n  b: {type: stub}\n",
        &[
            "3:25 E0116 `b` is `start_at` and cannot be reached by `next`",
            "3:3 E0201 `a` never runs: nothing reaches it from `start_at`",
        ],
    );
    check(
        "start_at: end\nsteps:\n  a: {type: stub}\n  end: {type: success}\n",
        &["1:11 E0116 `start_at` names the terminal `end` (nothing would run; name the first \
           step)"],
    );
}

#[test]
fn row_15_what_never_runs_is_a_warning() {
    check(
        "start_at: a\nsteps:\n  a: {type: stub}\n  q: {type: stub, next: r}\n  r: {type: stub}\n  \
         n: {type: stub, needs: [a, r], next: m}\n  m: {type: stub}\n  fail: {type: fail}\n",
        &[
            "4:3 E0201 `q` never runs: nothing reaches it from `start_at`",
            "5:3 E0201 `r` never runs: only `q` leads to it, which never runs",
            "6:3 E0201 `n` never runs: it needs `r`, which never runs",
            "7:3 E0201 `m` never runs: only `n` leads to it, which never runs",
        ],
    );
}

#[test]
fn terminals() {
    check(
        "steps:\n  a: {type: stub}\n  good: {type: success}\n  fine: {type: success, next: a}\n",
        &[
            "4:3 E0115 a second step of `type: success` in one section (lead both to one of them)",
            "4:25 E0102 unknown key `next` in a terminal (keys here: type; keys of your own \
             begin with `x-`)",
        ],
    );
    check(
        "steps:\n  success: {command: echo}\n  fail: {type: success}\n",
        &[
            "2:3 E0115 a step named `success` must be of `type: success` (give it another name)",
            "3:3 E0115 a step named `fail` must be of `type: fail` (give it another name)",
        ],
    );
}

#[test]
fn all_faults_of_a_file_come_at_once_errors_first() {
    let text = "dag:\n  start_at: a\n  steps:\n    a: {type: stubb}\n    b: {type: stub}\n    \
        c: {command: []}\nstep: 1\n";
    check(
        text,
        &[
            "4:15 E0127 unknown type `stubb` (did you mean `stub`?)",
            "6:18 E0123 `command` must name a program",
            "5:5 E0201 `b` never runs: nothing reaches it from `start_at`",
            "6:5 E0201 `c` never runs: nothing reaches it from `start_at`",
            "7:1 E0202 `step` beside `dag` is not read (did you mean `steps`?)",
        ],
    );
}

/// Of what holds them, too.
#[test]
fn faults_within_what_is_faulty_itself_come_at_once() {
    let text = "steps:\n  m: {type: map, iterate_on: xs, iterate_as: a b, branch: {steps: {\n    \
        r: {command: y, needs: [q], retry: {max_attempts: 2, backoff: {first: 1x, most: 0}}}}}}\n";
    check(
        text,
        &[
            "2:46 E0130 `a b` is no name for a parameter (a name has no spaces, no `=`, no control \
             characters, and at most 255 bytes)",
            "3:29 E0110 step `r` needs `q`, which does not exist (steps here: r)",
            "3:75 E0120 `first` wants a length of time, found `1x` (write `90s`, `5m`, `2h`, `1d` \
             or `500ms`; a bare number is seconds)",
            "3:85 E0120 `most` must be longer than nothing (write `90s`, `5m`, `2h`, `1d` or \
             `500ms`; a bare number is seconds)",
        ],
    );
}

#[test]
fn of_many_faults_a_thousand_are_kept_and_all_are_counted() {
    let mut text = "steps:\n".to_owned();
    for step in 0..3_000 {
        text.push_str(&format!("  s{step}: {{type: stub, needs: [t{step}]}}\n"));
    }
    let found = crate::compile("p.yaml", &text).diagnostics;
    assert_eq!(found.count(crate::Severity::Error), 3_000);
    assert_eq!(found.iter().count(), crate::DIAGNOSTICS_MAX);
    let closing = "3000 errors (50 shown), nothing submitted.";
    assert_eq!(found.closing().as_deref(), Some(closing));
    assert_eq!(said("steps: {a: {type: stub}}\n"), [""; 0]);
}
