//! Where values come from, who wins, and what is said of wrong ones.

use super::{Given, Initial, initial_values};
use crate::compile;

const PIPELINE: &str = "\
parameters:
  n: 4
  name: {type: text}
  rate: {type: number, default: 0.5}
  flag: false
  list: [1]
  free:
steps: {a: {type: stub}}
";

fn initial(
    pipeline: &str,
    file: &str,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Initial {
    let compiled = compile("pipeline.yaml", pipeline);
    assert!(compiled.graph.is_some(), "compiles");
    let environment: Vec<_> =
        environment.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string()).collect();
    let given = Given {
        file: (!file.is_empty()).then_some(("values.yaml", file)),
        environment: &environment,
        arguments: &arguments,
    };
    initial_values(&compiled.declarations.unwrap(), &given)
}

/// `name=spelled` of every value, in order.
#[track_caller]
fn check(file: &str, environment: &[(&str, &str)], arguments: &[&str], expected: &[&str]) {
    let initial = initial(PIPELINE, file, environment, arguments);
    let Some(values) = initial.values else { panic!("{}", initial.diagnostics.render(false)) };
    let found: Vec<_> =
        values.iter().map(|(name, value)| format!("{name}={}", value.spelled())).collect();
    assert_eq!(found, expected);
}

/// Code, message and help of each finding; the place where there is one.
#[track_caller]
fn refused(file: &str, environment: &[(&str, &str)], arguments: &[&str], expected: &[&str]) {
    let initial = initial(PIPELINE, file, environment, arguments);
    assert_eq!(initial.values, None);
    let found: Vec<_> = initial
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.place.as_ref();
            let place = place.map(|at| format!("{}:{}:{} ", at.file, at.line, at.column));
            let help =
                diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}{} {}{help}", place.unwrap_or_default(), diagnostic.code, diagnostic.message)
        })
        .collect();
    assert_eq!(found, expected);
}

const REST: [&str; 6] = ["flag=false", "free=null", "list=[1]", "n=4", "name=\"x\"", "rate=0.5"];

#[test]
fn row_31_defaults_below_the_file_below_the_environment_below_arguments() {
    check("", &[], &["name=x"], &REST);
    let n = |value: &'static str| {
        let mut all = REST;
        all[3] = value;
        all
    };
    let environment = [("DAGMAR_PRM_n", "2"), ("PATH", "/bin"), ("n", "7")];
    check("n: 1\nname: x\n", &[], &[], &n("n=1"));
    check("n: 1\nname: x\n", &environment, &[], &n("n=2"));
    check("n: 1\nname: x\n", &environment, &["n=3"], &n("n=3"));
}

#[test]
fn the_ancestors_prefixes_know_small_letters_only() {
    let environment = [("MAGNUS_PRM_NAME", "m"), ("RUNNABLE_PRM_NAME", "r"), ("MAGNUS_PRM_N", "1")];
    let mut expected = REST;
    expected[3] = "n=1";
    expected[4] = "name=\"r\"";
    check("", &environment, &[], &expected);
    let mut environment = environment.to_vec();
    environment.push(("DAGMAR_PRM_name", "d"));
    expected[4] = "name=\"d\"";
    check("", &environment, &[], &expected);
}

#[test]
fn texts_are_read_by_the_declared_type() {
    check(
        "",
        &[("RUNNABLE_PRM_flag", "True")],
        &["name=1.10", "rate=3", "n=100000000000000000000001", "list=[\"a\",2]", "free=7"],
        &[
            "flag=true",
            "free=7",
            "list=[\"a\", 2]",
            "n=100000000000000000000001",
            "name=\"1.10\"",
            "rate=3",
        ],
    );
    check(
        "",
        &[],
        &["name=", "free=a=b", "rate=1e-7"],
        &["flag=false", "free=\"a=b\"", "list=[1]", "n=4", "name=\"\"", "rate=1e-07"],
    );
}

#[test]
fn a_file_may_be_json_and_hold_more_than_is_declared() {
    let file =
        "{\n\t\"name\": \"x\",\n\t\"more\": {\"deep\": [1, {\"é\": null}]},\n\t\"rate\": 1\n}\n";
    let expected = [
        "flag=false",
        "free=null",
        "list=[1]",
        "more={\"deep\": [1, {\"\\u00e9\": null}]}",
        "n=4",
        "name=\"x\"",
        "rate=1",
    ];
    check(file, &[], &[], &expected);
    check("# nothing\n", &[], &["name=x"], &REST);
}

#[test]
fn a_value_of_another_type_names_both_and_the_declaration() {
    refused(
        "",
        &[],
        &["n=abc", "name=x"],
        &["E0131 parameter n wants an integer, got \"abc\" (declared pipeline.yaml:2, default 4)"],
    );
    refused(
        "",
        &[("DAGMAR_PRM_flag", "yes")],
        &["n=2.5", "list={}", "name=x"],
        &[
            "E0131 parameter flag wants a boolean, got \"yes\" (declared pipeline.yaml:5, default \
             false) (it comes from the environment variable DAGMAR_PRM_flag)",
            "E0131 parameter n wants an integer, got \"2.5\" (declared pipeline.yaml:2, default 4)",
            "E0131 parameter list wants a list, got \"{}\" (declared pipeline.yaml:6, default [1])",
        ],
    );
    refused(
        "name: 5\nn: [1]\n",
        &[],
        &[],
        &[
            "values.yaml:1:7 E0131 parameter name wants text, got 5 (declared pipeline.yaml:3)",
            "values.yaml:2:4 E0131 parameter n wants an integer, got [1] (declared \
             pipeline.yaml:2, default 4)",
        ],
    );
}

#[test]
fn arguments_have_a_name_and_a_value_once() {
    refused(
        "",
        &[],
        &["x", "=v", "a b=1", "name=1", "name=2"],
        &[
            "E0132 -p x: expected name=value (such as `-p x=1`)",
            "E0132 -p =v: expected name=value",
            "E0132 -p a b=1: expected name=value",
            "E0132 -p name is given twice: name=1 and name=2",
        ],
    );
}

#[test]
fn what_is_declared_without_a_default_must_be_given() {
    refused(
        "",
        &[],
        &[],
        &["E0133 parameter name has no value (declared pipeline.yaml:3) (give it with \
           `-p name=…`, or declare a default)"],
    );
}

#[test]
fn a_name_that_is_not_declared_is_taken_with_a_warning() {
    let found = initial(PIPELINE, "", &[], &["name=x", "nme=y"]);
    assert_eq!(found.values.map(|values| values.len()), Some(7));
    let expected = "\
warning[E0204]: the pipeline declares no parameter nme
 |
 = help: did you mean `name`?

1 warning.
";
    assert_eq!(found.diagnostics.render(false), expected);
    let silent = initial("steps: {a: {type: stub}}\n", "", &[], &["any=y"]);
    assert!(silent.diagnostics.is_empty());
    assert_eq!(silent.values.map(|values| values.len()), Some(1));
}

#[test]
fn a_file_that_is_no_mapping_is_refused_in_its_own_name() {
    refused(
        "- 1\n",
        &[],
        &[],
        &["values.yaml:1:1 E0104 a parameters file is a mapping from names, found a list"],
    );
    refused(
        "a: 1\na: 2\n\"b c\": 1\n",
        &[],
        &["name=x"],
        &[
            "values.yaml:2:1 E0103 `a` stands twice in one mapping",
            "values.yaml:3:1 E0130 `b c` is no name for a parameter",
        ],
    );
}

#[test]
fn values_are_checked_beside_a_file_with_faults() {
    let text = "parameters: {n: 4, m: {typ: text}}\nsteps: {a: {typ: stub}}\n";
    let compiled = compile("pipeline.yaml", text);
    assert!(compiled.graph.is_none());
    let arguments = ["n=abc".to_owned(), "m=1".to_owned(), "o".to_owned()];
    let given = Given { arguments: &arguments, ..Given::default() };
    let found = initial_values(&compiled.declarations.unwrap(), &given).diagnostics;
    let codes: Vec<_> = found.iter().map(|one| one.code.as_str()).collect();
    // Nothing of what may be declared in a part that could not be read.
    assert_eq!(codes, ["E0131", "E0132"]);
    assert!(compile("pipeline.yaml", "steps: [").declarations.is_none());
}
