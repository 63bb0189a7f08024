//! Golden tables, and that nothing important is cut at any width.

use dagmar_common::record::Counts;

use super::*;
use crate::testing::{self, NOON, summary};

fn rows() -> Vec<RunRow> {
    let row = |summary, is_interrupted| RunRow { summary, is_interrupted };
    let mut running = summary("train-881", RunStatus::Running);
    running.counts = Counts { waiting: 13, active: 5, succeeded: 37, ..Counts::default() };
    let mut cancelled = summary("score-77", RunStatus::Cancelled);
    cancelled.reason = "cancelled by anna, who had started it with the wrong data".to_owned();
    vec![
        row(running.clone(), false),
        row(summary("greedy-yonath-1608", RunStatus::Failed), false),
        row(summary("etl-2041", RunStatus::Succeeded), false),
        row(cancelled, false),
        row(RunSummary { run_id: dagmar_common::ids::RunId::new("lost-1"), ..running }, true),
    ]
}

fn now() -> WallTime {
    WallTime(NOON.0 + 192_000_000)
}

#[test]
fn runs_fit_eighty_columns() {
    assert_eq!(
        runs(&rows(), now(), &Screen::plain()).join("\n"),
        "\
RUN                 STATE          STEPS  AGE  TOOK   PIPELINE    WHY
train-881           ● running      37/55  3m   3m12s  hello.yaml
greedy-yonath-1608  ✗ failed       4/4    3m   1.2s   hello.yaml  1 failed
etl-2041            ✓ done         4/4    3m   1.2s   hello.yaml
score-77            ⊘ cancelled    4/4    3m   1.2s   hello.yaml  cancelled by …
lost-1              ⏸ interrupted  -      3m   -      hello.yaml"
    );
}

#[test]
fn no_id_and_no_state_is_cut_at_any_width() {
    for columns in 20..100 {
        for has_symbols in [true, false] {
            let screen = Screen { width: columns, has_symbols, ..Screen::plain() };
            let lines = runs(&rows(), now(), &screen);
            let text = lines.join("\n");
            for whole in ["greedy-yonath-1608", "interrupted", "cancelled", "train-881"] {
                assert!(text.contains(whole), "{columns}: {text}");
            }
            if columns >= 37 {
                let widest = lines.iter().map(|line| width(line)).max();
                assert!(widest <= Some(columns), "{columns}: {text}");
            }
        }
    }
}

#[test]
fn the_steps_of_a_run_are_a_table() {
    let mut steps = Steps::default();
    for entry in testing::entries() {
        steps.take(&entry);
    }
    assert_eq!(
        steps.lines(&Screen::plain()).join("\n"),
        "\
STEP              STATE      ATTEMPT  TOOK  WHY
extract           ✓ done     1        0.2s
square (2 items)  ✗ failed   -        -
square[0].work    ✓ done     1        0.2s
square[1].work    ✗ failed   1        0.2s  exit 1
total             – skipped  -        -     upstream failed: square"
    );
}

#[test]
fn many_steps_are_counted() {
    let mut steps = Steps::default();
    for number in 0..STEPS_MAX + 7 {
        steps.take(&Entry::Node(testing::node(&format!("s{number}"), NodeStatus::Succeeded)));
    }
    let lines = steps.lines(&Screen::plain());
    assert_eq!(lines.len(), STEPS_MAX + 2);
    assert_eq!(lines.last().map(String::as_str), Some("and 7 more; all of them: -o json"));
}

#[test]
fn a_run_has_a_head() {
    let lines = head(&summary("etl-2041", RunStatus::Failed), false, &Screen::plain());
    let graph = format!("{:.12}", testing::summary("x", RunStatus::Failed).graph);
    assert_eq!(
        lines.join("\n"),
        format!(
            "\
etl-2041  ✗ failed
  pipeline   hello.yaml  graph {graph}
  tag        weekly
  began      2025-11-20T12:02:11.869Z
  ended      2025-11-20T12:02:13.069Z  after 1.2s
  steps      3 done, 1 failed"
        )
    );
}

#[test]
fn a_long_table_keeps_what_failed_and_what_runs() {
    let mut steps = Steps::default();
    for number in 0..STEPS_MAX + 5 {
        let status = match number {
            203 => NodeStatus::Failed,
            204 => NodeStatus::Leased,
            _ => NodeStatus::Succeeded,
        };
        steps.take(&Entry::Node(testing::node(&format!("s{number}"), status)));
    }
    let lines = steps.lines(&Screen::plain());
    assert_eq!(lines.len(), 1 + STEPS_MAX + 1);
    assert!(lines[1].starts_with("s0 "), "{}", lines[1]);
    assert!(lines[STEPS_MAX - 1].starts_with("s203"), "{}", lines[STEPS_MAX - 1]);
    assert!(lines[STEPS_MAX].starts_with("s204"), "{}", lines[STEPS_MAX]);
    assert_eq!(lines[STEPS_MAX + 1], "and 5 more; all of them: -o json");
}

#[test]
fn a_very_long_name_of_a_run_leaves_room_for_how_it_stands() {
    let row =
        RunRow { summary: summary(&"x".repeat(128), RunStatus::Failed), is_interrupted: false };
    let lines = runs(&[row], now(), &Screen::plain());
    assert!(lines[1].contains('…') && lines[1].contains("failed"), "{}", lines[1]);
    assert!(lines[0].contains("TOOK"), "{}", lines[0]);
}
