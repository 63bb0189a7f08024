//! Local runs of the real program from beginning to end: what they print, leave and exit with.

use std::process::Stdio;

use serde_json::{Value as Json, json};

use crate::room::{Room, example};

/// More lines than this are no help to anybody.
const FAILURE_LINES_MAX: usize = 15;

#[test]
fn every_example_runs_to_its_end() {
    let examples = [
        ("diamond.yaml", "add", "34 + 50 = 84\n"),
        ("hello.yaml", "report", "letters in the names: [3, 5, 6]\n"),
        ("magnus.yaml", "load data", "loaded 42 rows\n"),
        ("map.yaml", "show", "squares [[1, 4, 9], [16, 25, 36]]\n"),
        ("on-failure.yaml", "publish", "published what came from yesterday\n"),
        ("retry.yaml", "unsteady", "not yet\nnow it works\n"),
    ];
    let there = std::fs::read_dir(example("")).expect("there are examples").count();
    assert_eq!(there, examples.len(), "each example has its row here");
    let room = Room::new();
    for (number, (file, step, said)) in examples.into_iter().enumerate() {
        let run = format!("example-{number}");
        let done = room.dagmar(&["run", &example(file), "--run-id", &run]);
        assert_eq!(done.code, Some(0), "{file}: {}", done.err);
        assert!(done.out.starts_with(&format!("✓ {run} done in ")), "{file}: {}", done.out);
        let logs = room.dagmar(&["logs", &format!("{run}/{step}")]);
        assert_eq!((logs.out.as_str(), logs.code), (said, Some(0)), "{file}");
    }
    assert_eq!(room.live(), [""; 0]);
    room.until_nothing_runs();
}

#[test]
fn a_step_is_told_and_tells_as_the_ancestors_were() {
    let room = Room::with(
        r#"
dag:
  start_at: make
  parameters: {chunks: [a.b, x/y, a.b, {"k": 2}], rows: 1}
  steps:
    make:
      type: task
      command_type: shell
      command: |
        trap 'rm -f scratch' EXIT
        export MAGNUS_PRM_rows=42 RUNNABLE_PRM_note="a b"
        exit 0
      next: each
    each:
      type: map
      iterate_on: chunks
      iterate_as: chunk
      next: tell
      branch:
        start_at: one
        steps:
          one:
            type: task
            command_type: shell
            command: |
              echo "$MAGNUS_MAP_VARIABLE $RUNNABLE_RUN_TAG $RUNNABLE_STEP_ATTEMPT"
              export MAGNUS_PRM_last="$chunk"
    tell:
      type: task
      command_type: shell
      command: echo "$rows, $note, $last"
"#,
    );
    let done = room.dagmar(&["run", "pipeline.yaml", "--run-id", "a", "--tag", "t"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for (step, said) in [
        ("each.0.one", "{\"chunk\": \"a.b\"} t 1\n"),
        ("each.1.one", "{\"chunk\": \"x/y\"} t 1\n"),
        ("each.3.one", "{\"chunk\": {\"k\": 2}} t 1\n"),
        ("tell", "42, a b, {\"k\": 2}\n"),
    ] {
        let logs = room.dagmar(&["logs", &format!("a/{step}")]);
        assert_eq!((logs.out.as_str(), logs.code), (said, Some(0)), "{step}");
    }
    let record = room.record("a").expect("it has ended");
    assert_eq!(record["steps"]["make"]["outputs"], json!({"note": "a b", "rows": 42}));
    let branches = record["steps"]["each"]["branches"].as_object().expect("a map has items");
    let labels = branches.iter().map(|(name, branch)| (name.as_str(), &branch["label"]));
    let labels: Vec<_> = labels.map(|(name, label)| format!("{name} {label}")).collect();
    let expected = ["each.0 \"a.b\"", "each.1 \"x/y\"", "each.2 \"a.b\""];
    assert_eq!(labels[..3], expected, "the row of odd items");
    assert!(labels[3].starts_with("each.3 "), "{labels:?}");
}

#[test]
fn a_short_run_tells_each_of_its_steps_once() {
    let room = Room::new();
    let done = room.dagmar(&["run", &example("hello.yaml"), "--run-id", "h"]);
    let told = done.err.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').skip(2).collect();
        words.into_iter().take(2).filter(|word| !word.starts_with("dur")).collect::<Vec<_>>()
    });
    let told: Vec<String> = told.map(|words| words.join(" ")).collect();
    let expected =
        ["STARTED", "prepare:1 SUCCEEDED", "greet SUCCEEDED", "report:1 SUCCEEDED", "SUCCEEDED"];
    assert_eq!(told, expected, "{}", done.err);
}

#[test]
fn a_run_log_says_what_each_attempt_saw_and_wrote() {
    let room = Room::new();
    assert_eq!(room.dagmar(&["run", &example("hello.yaml"), "--run-id", "h"]).code, Some(0));
    let record = room.record("h").expect("it has ended");
    let people = json!(["Ada", "Grace", "Edsger"]);
    let start = json!({"greeting": "Hello", "people": people});
    let opening = json!({"opening": "Hello and welcome"});
    assert_eq!(record["status"], "SUCCESS");
    assert_eq!(record["parameters_at_start"], start);
    assert_eq!(
        record["parameters"],
        json!({"greeting": "Hello", "people": people,
            "opening": "Hello and welcome", "letters": [3, 5, 6]})
    );
    let steps = &record["steps"];
    assert_eq!(*seen(&steps["prepare"]), start);
    assert_eq!(steps["prepare"]["outputs"], opening);
    let greet = &steps["greet"];
    assert_eq!(greet["outputs"], json!({"letters": [3, 5, 6]}));
    for (item, (person, letters)) in [("Ada", 3), ("Grace", 5), ("Edsger", 6)].iter().enumerate() {
        let branch = &greet["branches"][format!("greet.{item}")];
        assert_eq!(branch["label"], *person);
        let say = &branch["steps"][format!("greet.{item}.say")];
        assert_eq!(say["outputs"], json!({"letters": letters}));
        assert_eq!(seen(say)["opening"], "Hello and welcome", "{say:#}");
    }
    assert_eq!(*seen(&steps["report"]), record["parameters"]);
    for key in ["run_id", "dag_hash", "use_cached", "tag", "original_run_id", "run_config"] {
        assert!(record.get(key).is_some(), "no {key}");
    }
    for key in ["name", "internal_name", "status", "step_type", "message", "mock"] {
        assert!(steps["report"].get(key).is_some(), "no {key}");
    }
}

/// What the only attempt of a step saw.
fn seen(step: &Json) -> &Json {
    assert_eq!(step["attempts"].as_array().map(Vec::len), Some(1), "{step:#}");
    &step["attempts"][0]["parameters"]
}

#[test]
fn a_step_that_fails_is_shown_shortly_with_its_last_lines() {
    let room = Room::with(
        "
steps:
  before: {command: echo fine}
  work:
    needs: [before]
    command: |
      for i in $(seq 200); do echo line $i; done
      echo cannot parse row 2 >&2
      exit 7
  after: {needs: [work], command: echo never}
",
    );
    let done = room.dagmar(&["run", "--run-id", "f"]);
    assert_eq!(done.code, Some(1));
    let report = done.err.split_once("\n\n").expect("events, then what failed").1;
    assert!(report.lines().count() <= FAILURE_LINES_MAX, "{report}");
    for part in ["work  exit 7", "| line 200", "| cannot parse row 2", "dagmar logs f/work"] {
        assert!(report.contains(part), "no {part:?} in {report}");
    }
    let record = room.record("f").expect("it has ended");
    assert_eq!(record["status"], "FAIL");
    assert_eq!(record["steps"]["after"]["status"], "SKIPPED");
    assert_eq!(record["steps"]["after"]["message"], "upstream failed: work");
    assert_eq!(room.live(), [""; 0]);
}

#[test]
fn a_pipeline_with_faults_is_told_whole_and_leaves_nothing() {
    let room = Room::with("steps:\n  a: {comand: x}\n  b: {needs: [c], command: x}\n");
    let done = room.dagmar(&["run", "--run-id", "bad"]);
    assert_eq!((done.code, done.out.as_str()), (Some(2), ""));
    for part in ["pipeline.yaml:2:7", "did you mean `command`", "pipeline.yaml:3:"] {
        assert!(done.err.contains(part), "no {part:?} in {}", done.err);
    }
    assert_eq!(room.live(), [""; 0]);
    assert_eq!(room.names(".dagmar/runs"), [""; 0]);
    assert_eq!(room.dagmar(&["show", "bad"]).code, Some(7));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let room = Room::new();
    room.dagmar(&["run", &example("hello.yaml"), "--run-id", "h"]);
    for arguments in [&["show", "h"][..], &["show", "h", "-o", "json"], &["ls"], &["logs", "h"]] {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        let mut command = room.command(arguments);
        let done = command.stdout(Stdio::from(writer)).output().expect("the program starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}
