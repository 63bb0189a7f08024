//! Keys and their values: unknown ones, those of later versions, numbers and times out of range.

use super::{check, graph};

#[track_caller]
fn task(keys: &str, expected: &[&str]) {
    check(&format!("steps:\n  a: {{command: x, {keys}}}\n"), expected);
}

#[test]
fn unknown_keys_have_a_suggestion_or_a_list() {
    task("retrys: 3", &["2:19 E0102 unknown key `retrys` in a task (did you mean `retry`?)"]);
    task(
        "env: {A: 1}",
        &["2:19 E0102 unknown key `env` in a task (keys here: type, next, on_failure, needs, \
           command, command_type, retry, max_attempts, timeout, max_time, resources, \
           exclusive, idempotent; keys of your own begin with `x-`)"],
    );
    task(
        "iterate_on: x",
        &["2:19 E0102 unknown key `iterate_on` in a task (`iterate_on` belongs to a step of \
           `type: map`)"],
    );
    task(
        "retry: {max_attempt: 3}, resources: {cpu: 1}",
        &[
            "2:27 E0102 unknown key `max_attempt` in `retry` (did you mean `max_attempts`?)",
            "2:56 E0102 unknown key `cpu` in `resources` (did you mean `cpus`?)",
        ],
    );
    check(
        "stpes: {a: {type: stub}}\n",
        // Nobody is told as well that there are no steps.
        &["1:1 E0102 unknown key `stpes` in a pipeline (did you mean `steps`?)"],
    );
}

#[test]
fn free_keys_are_free() {
    graph(
        "x-notes: {any: thing}\nsteps:\n  x-template: 1\n  a: {type: stub, colour: red, x-y: 1}\n  \
         b: {command: x, x-owner: me, retry: {max_attempts: 2, x-why: flaky}}\n",
    );
    check(
        "steps:\n  a: {type: stub, next: x-ray}\n  x-ray: {command: y}\n",
        &[
            "2:25 E0110 `next` of `a` names `x-ray`, which does not exist (keys that begin with \
             `x-` are notes, not steps)",
            "3:3 E0206 `x-ray` is a note, not a step (keys that begin with `x-` are free; steps \
             have other names)",
        ],
    );
}

#[test]
fn beside_dag_only_near_misses_are_named() {
    check(
        "shared: 1\nsteps: &s {}\nparamters: {n: 1}\ndescription: x\n\
         dag: {steps: {a: {type: stub}}}\n",
        &[
            "3:1 E0202 `paramters` beside `dag` is not read (did you mean `parameters`?)",
            "4:1 E0202 `description` beside `dag` is not read (move it into `dag`)",
        ],
    );
    assert_eq!(graph("parameters: {n: 1}\ndag: {steps: {a: {type: stub}}}\n").parameters.len(), 1);
    check(
        "parameters: {n: 1}\ndag: {parameters: {n: 2}, steps: {a: {type: stub}}}\n",
        &["1:1 E0124 `parameters` stands in `dag` and beside it (keep one of them)"],
    );
}

#[test]
fn what_is_not_built_yet_says_so() {
    let keys = [
        "when",
        "enabled",
        "fail_fast",
        "catalog",
        "secrets",
        "returns",
        "reducer",
        "overrides",
        "cache",
        "requires",
        "priority",
        "shell",
    ];
    for key in keys {
        let expected = format!("2:19 E0118 `{key}` is not built yet in this version");
        task(&format!("{key}: 1"), &[&expected]);
    }
    for kind in ["parallel", "conditional", "loop", "dag", "section"] {
        check(
            &format!(
                "steps:\n  a: {{type: {kind}, branches: {{}}, next: b}}\n  b: {{type: stub}}\n"
            ),
            &[&format!("2:13 E0118 `type: {kind}` is not built yet in this version")],
        );
    }
    for kind in ["python", "notebook", "container"] {
        task(
            &format!("command_type: {kind}"),
            &[&format!(
                "2:33 E0118 `command_type: {kind}` is not built yet in this version (only \
                 `command_type: shell`, the default, can run)"
            )],
        );
    }
    task("command_type: shel", &["2:33 E0127 unknown command type `shel` (did you mean `shell`?)"]);
    task("resources: {memory: 10GB}", &["2:31 E0118 `memory` is not built yet in this version"]);
    task("retry: {on: [1]}", &["2:27 E0118 `on` is not built yet in this version"]);
    check(
        "steps: {a: {type: stub, when: 'false'}}\n",
        &["1:25 E0118 `when` is not built yet in this version"],
    );
    check(
        "dag: {steps: {a: {type: task, command: examples.simple.hello}}}\n",
        &["1:40 E0118 Python functions are not built yet in this version (write `command_type: \
           shell` if `examples.simple.hello` is a program)"],
    );
    graph("steps: {a: {command: examples.simple.hello}}\n");
}

#[test]
fn care_is_true_or_false() {
    task("exclusive: yes", &["2:30 E0104 `exclusive` wants true or false, found text"]);
    task("idempotent: 0", &["2:31 E0104 `idempotent` wants true or false, found an integer"]);
}

#[test]
fn numbers() {
    for written in ["010", "-1", "0", "99999999999", "1e3", "\"3\"", "many"] {
        let found = if written.starts_with('"') { written.into() } else { format!("`{written}`") };
        task(
            &format!("max_attempts: {written}"),
            &[&format!(
                "2:33 E0119 `max_attempts` wants a whole number from 1 to 100, found {found}"
            )],
        );
    }
    task(
        "max_attempts: [3]",
        &["2:33 E0119 `max_attempts` wants a whole number from 1 to 100, found a list"],
    );
    for written in ["0", "1e6", "-1", "1000000", ".inf", "0.0001"] {
        task(
            &format!("resources: {{cpus: {written}}}"),
            &[&format!(
                "2:37 E0119 `cpus` wants a number from 0.001 to 10000, found `{written}` (write \
                 `2`, or `0.5` for half of one)"
            )],
        );
    }
}

#[test]
fn lengths_of_time() {
    let help = "(write `90s`, `5m`, `2h`, `1d` or `500ms`; a bare number is seconds)";
    for written in ["-3s", "1y", "soon", "1.5h"] {
        let message = format!("`timeout` wants a length of time, found `{written}`");
        task(&format!("timeout: {written}"), &[&format!("2:28 E0120 {message} {help}")]);
    }
    task("timeout: 0s", &[&format!("2:28 E0120 `timeout` must be longer than nothing {help}")]);
    task(
        "max_time: 99999d",
        &[&format!("2:29 E0120 `max_time` is longer than 366 days: `99999d` {help}")],
    );
    task(
        "timeout: 5, max_time: 5",
        &["2:31 E0124 `timeout` and `max_time` say the same thing (keep one of them)"],
    );
}

#[test]
fn retries() {
    task(
        "retry: 3",
        &["2:26 E0104 `retry` wants a mapping, found an integer (write `retry: \
           {max_attempts: 3}`)"],
    );
    task(
        "retry: {max_attempts: 3}, max_attempts: 3",
        &["2:45 E0124 `max_attempts` stands in the step and in its `retry` (keep one of them)"],
    );
    task(
        "retry: {backoff: {most: 5}}",
        &["2:27 E0122 `backoff` has no `first`, the wait before the second attempt"],
    );
    task("retry: {backoff: {first: 10, most: 5}}", &["2:54 E0120 `most` is shorter than `first`"]);
}

#[test]
fn commands() {
    let command = |written: &str, expected: &[&str]| {
        check(&format!("steps:\n  a: {{command: {written}}}\n"), expected);
    };
    command("", &["2:7 E0123 `command` must not be empty"]);
    command("\"\"", &["2:16 E0123 `command` must not be empty"]);
    command("' '", &["2:16 E0123 `command` must not be empty"]);
    command("[]", &["2:16 E0123 `command` must name a program"]);
    command("['', x]", &["2:16 E0123 `command` must name a program"]);
    command(
        "{a: b}",
        &["2:16 E0104 `command` wants text for a shell or a list of words, found a mapping"],
    );
    command(
        "[echo, [x], ~]",
        &[
            "2:23 E0123 words of `command` are text, found a list",
            "2:28 E0123 words of `command` are text, found nothing",
        ],
    );
    command("\"a\\0b\"", &["2:16 E0123 `command` holds a NUL character"]);
    command("[echo, \"a\\0b\"]", &["2:23 E0123 word 2 of `command` holds a NUL character"]);
    let long = "x".repeat(200_000);
    command(
        &format!("[echo, {long}]"),
        &["2:23 E0123 word 2 of `command` is 200000 bytes long; limit 131071"],
    );
    command(&format!("\"{long}\""), &["2:16 E0123 `command` is 200000 bytes long; limit 130048"]);
    let many = format!("{},", "x".repeat(100_000)).repeat(11);
    command(&format!("[{many}]"), &["2:7 E0123 `command` is 1100000 bytes long; limit 1048576"]);
    check(
        "steps:\n  a: {comand: x}\n",
        &["2:7 E0102 unknown key `comand` in a task (did you mean `command`?)"],
    );
    // What is missing besides is told at once, not after the next try.
    check(
        "steps:\n  a: {retrys: 3}\n",
        &[
            "2:3 E0122 step `a` has no `command` (a step that does nothing is `type: stub`)",
            "2:7 E0102 unknown key `retrys` in a task (did you mean `retry`?)",
        ],
    );
    check(
        "steps:\n  a: {next: b}\n  b: {type: stub}\n",
        &["2:3 E0122 step `a` has no `command` (a step that does nothing is `type: stub`)"],
    );
}

#[test]
fn maps() {
    check(
        "steps:\n  m: {type: map, next: z}\n  z: {type: stub}\n",
        &[
            "2:3 E0122 the map `m` has no `iterate_on`",
            "2:3 E0122 the map `m` has no `iterate_as`",
            "2:3 E0122 the map `m` has no `branch`",
        ],
    );
    check(
        "steps:\n  m:\n    type: map\n    iterate_on: the list\n    iterate_as: x\n    \
         max_parallel: 0\n    command: x\n    branch:\n      start: a\n      \
         steps: {a: {needs: [b]}}\n",
        &[
            "4:17 E0130 `the list` is no name for a parameter (a name has no spaces, no `=`, \
             no control characters, and at most 255 bytes)",
            "6:19 E0119 `max_parallel` wants a whole number from 1 to 4294967295, found `0`",
            "7:5 E0102 unknown key `command` in a map (`command` belongs to a task; put it into \
             the steps of the branch)",
            "9:7 E0102 unknown key `start` in a branch (did you mean `start_at`?)",
            "10:15 E0122 step `a` has no `command` (a step that does nothing is `type: stub`)",
        ],
    );
    check(
        "parameters: {n: 3}\nsteps:\n  m: {type: map, iterate_on: n, iterate_as: x, branch: \
         {steps: {a: {type: stub}}}}\n",
        &["3:30 E0205 `iterate_on` wants a list, and `n` is an integer (unless a step before \
           writes a list under this name, the map fails)"],
    );
}

#[test]
fn declarations_of_parameters() {
    let declared = |text: &str, expected: &[&str]| {
        check(&format!("parameters:\n  {text}\nsteps: {{a: {{type: stub}}}}\n"), expected);
    };
    declared(
        "\"A=B\": 1",
        &["2:3 E0130 `A=B` is no name for a parameter (a name has no spaces, no `=`, no control \
           characters, and at most 255 bytes)"],
    );
    declared(
        "n: {type: integr, default: 3}",
        &["2:13 E0130 unknown type `integr` of a parameter (did you mean `integer`?)"],
    );
    declared(
        "n: {type: integer, default: abc}",
        &["2:31 E0131 parameter n wants an integer, its default is text"],
    );
    declared(
        "n: {type: integer, defualt: 3}",
        &["2:22 E0102 unknown key `defualt` in a parameter (did you mean `default`?)"],
    );
    declared(
        "n: {typ: text}",
        &["2:7 E0102 unknown key `typ` in a parameter (did you mean `type`?)"],
    );
    declared(
        "n: {defalt: 3, note: x}",
        &[
            "2:7 E0102 unknown key `defalt` in a parameter (did you mean `default`?)",
            "2:18 E0102 unknown key `note` in a parameter (keys here: type, default, description; \
             keys of your own begin with `x-`)",
        ],
    );
    declared("token: {type: text}", &[]);
    declared("value: {typ: express, tape: 3}", &[]);
    declared(
        "n: [1, .nan]",
        &["2:10 E0119 `.nan` is no finite number (write it in quotes if it is meant as text)"],
    );
    declared(
        "PATH: x",
        &["2:3 E0203 tasks do not see `PATH` under its plain name (they see `DAGMAR_PRM_PATH`, \
           and all in the file `$DAGMAR_PARAMETERS`)"],
    );
}

#[test]
fn what_no_worker_can_run_is_a_warning_for_whoever_knows_the_worker() {
    let text = "steps:\n  a: {command: x, resources: {cpus: 2.5}}\n  \
                b: {command: x, resources: {cpus: 2}}\n";
    let found = |cpu_millis| {
        let compiled = crate::compile_for("p.yaml", text, cpu_millis);
        assert!(compiled.graph.is_some());
        compiled.diagnostics.render(false)
    };
    assert_eq!(found(None), "");
    assert_eq!(found(Some(2_500)), "");
    let told = found(Some(2_000));
    assert!(told.contains("warning[E0217]: this asks for 2.5 cpus"), "{told}");
    assert!(told.contains("and there are 2 cpus here"), "{told}");
    assert!(told.contains("p.yaml:2:37"), "{told}");
}
