//! The page of one run, key by key, and that a story out of order is refused.

use super::*;
use crate::graph::{
    Command, Composite, CompositeMode, EdgeKind, Function, Resources, SectionBuilder, Shell, Task,
};
use crate::ids::{CompositeNo, SectionNo, TaskNo};
use crate::record::fixture;

fn graph() -> Graph {
    let task = |text: &str| Task {
        function: Function::Process(Command::Script { text: text.to_owned(), shell: Shell::Sh }),
        max_attempts: 2,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    };
    let mut root = SectionBuilder::default();
    let extract = root.node("extract", crate::graph::NodeKind::Task(TaskNo(0)), true);
    let map = root.node("m", crate::graph::NodeKind::Composite(CompositeNo(0)), true);
    let report = root.node("report", crate::graph::NodeKind::Stub, true);
    root.edge(extract, EdgeKind::Needs, map);
    root.edge(map, EdgeKind::Needs, report);
    let mut body = SectionBuilder::default();
    body.node("w", crate::graph::NodeKind::Task(TaskNo(1)), true);
    let mode = CompositeMode::Map {
        body: SectionNo(1),
        iterate_on: "items".to_owned(),
        iterate_as: "x".to_owned(),
        index_as: None,
        max_parallel: None,
    };
    Graph {
        name: "hello".to_owned(),
        tasks: vec![task("extract"), task("square")],
        composites: vec![Composite { mode }],
        sections: vec![root.finish(), body.finish()],
        ..Graph::default()
    }
}

fn page(entries: Vec<Entry>, is_interrupted: bool) -> io::Result<serde_json::Value> {
    let (record, graph, code) = (fixture::record(), graph(), [fixture::code()]);
    let page = Page { record: &record, graph: &graph, code: &code, is_interrupted };
    let mut writer = RunLogWriter::begin(Vec::new(), page)?;
    for entry in entries {
        writer.entry(entry)?;
    }
    Ok(serde_json::from_slice(&writer.finish()?)?)
}

fn keys(value: &serde_json::Value) -> String {
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.join(" ")
}

#[test]
fn the_page_has_the_ancestors_keys_in_their_order_and_ours_behind() {
    let page = page(fixture::story(), false).unwrap();
    assert_eq!(
        keys(&page),
        "run_id dag_hash use_cached tag original_run_id status steps parameters run_config \
         generation reason parameters_at_start submitted ended counts log_indices"
    );
    assert_eq!(page["status"], "FAIL");
    assert_eq!(page["parameters"]["n"], 5);
    assert_eq!(keys(&page["steps"]), "extract m report");

    let step = &page["steps"]["extract"];
    assert_eq!(
        keys(step),
        "name internal_name status step_type message mock code_identities attempts \
         user_defined_metrics branches data_catalog outputs ended_index"
    );
    assert_eq!(
        keys(&step["code_identities"][0]),
        "code_identifier code_identifier_type code_identifier_dependable code_identifier_url \
         code_identifier_message"
    );
    let attempt = &step["attempts"][0];
    assert_eq!(
        keys(attempt),
        "attempt_number start_time end_time duration status message parameters worker last_lines \
         log granted_index recorded_index"
    );
    assert_eq!(attempt["status"], "FAIL");
    assert_eq!(attempt["message"], "exit 1");
    assert_eq!(attempt["duration"], "0:00:00.009299");
    assert_eq!(attempt["parameters"], serde_json::json!({"items": [1, 2], "n": 4, "x": 1}));
    assert_eq!(step["attempts"][1]["attempt_number"], 2);

    let skipped = &page["steps"]["report"];
    assert_eq!(skipped["status"], "SKIPPED");
    assert_eq!(skipped["message"], "upstream failed: m");
    assert_eq!(skipped["step_type"], "stub");
}

#[test]
fn items_of_a_map_stand_under_branches_with_their_text() {
    let page = page(fixture::story(), false).unwrap();
    let map = &page["steps"]["m"];
    assert_eq!(map["step_type"], "map");
    assert_eq!(keys(&map["branches"]), "m.0 m.1");
    let branch = &map["branches"]["m.1"];
    assert_eq!(keys(branch), "internal_name status label steps");
    assert_eq!((&branch["status"], &branch["label"]), (&"FAIL".into(), &"2".into()));
    let inner = &branch["steps"]["m.1.w"];
    assert_eq!((&inner["name"], &inner["internal_name"]), (&"w".into(), &"m.1.w".into()));
    assert_eq!(inner["step_type"], "task");
    assert_eq!(inner["attempts"][0]["message"], "killed by SIGKILL");
}

#[test]
fn the_configuration_tells_the_graph_as_a_dag() {
    let page = page(Vec::new(), true).unwrap();
    assert_eq!(page["status"], "INTERRUPTED");
    let configuration = &page["run_config"];
    assert_eq!(
        keys(configuration),
        "executor pipeline_file parameters_file tag run_id variables dag dag_hash execution_plan \
         host"
    );
    let dag = &configuration["dag"];
    assert_eq!(keys(dag), "start_at name description max_time internal_branch_name steps");
    assert_eq!((&dag["start_at"], &dag["name"]), (&"extract".into(), &"hello".into()));
    let map = &dag["steps"]["m"];
    assert_eq!(map["needs"], serde_json::json!(["extract"]));
    assert_eq!(map["is_composite"], true);
    let inner = &map["branch"]["steps"]["w"];
    assert_eq!(inner["internal_name"], "m.map_variable_placeholder.w");
    assert_eq!(inner["command"], "square");
}

#[test]
fn a_long_initial_value_is_named_and_not_repeated() {
    let (mut record, graph) = (fixture::record(), graph());
    let long = crate::value::Value::text(&"x".repeat(5_000));
    let short = crate::value::Value::from_loose("4");
    record.parameters_at_start = vec![("long".into(), long), ("n".into(), short)];
    let page = Page { record: &record, graph: &graph, code: &[], is_interrupted: false };
    let mut writer = RunLogWriter::begin(Vec::new(), page).unwrap();
    for entry in fixture::story() {
        writer.entry(entry).unwrap();
    }
    let page: serde_json::Value = serde_json::from_slice(&writer.finish().unwrap()).unwrap();
    let attempt = &page["steps"]["extract"]["attempts"][0];
    assert_eq!(attempt["parameters"], serde_json::json!({"n": 4, "x": 1}));
    assert_eq!(attempt["parameters_as_at_start"], serde_json::json!(["long"]));
    assert_eq!(page["steps"]["extract"]["code_identities"], serde_json::json!([]));
}

#[test]
fn a_story_out_of_order_is_refused() {
    let mut story = fixture::story();
    story.remove(2);
    let refused = page(story, false).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}
