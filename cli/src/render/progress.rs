//! A run under way as one screen of lines: its steps, and a line for what is left out.

use dagmar_common::record::follow::{Progress, StepProgress};
use dagmar_common::record::{NodeStatus, RunSummary, words};
use dagmar_common::time::WallTime;

use super::Screen;
use super::screen::{Mark, mark_of_node, mark_of_run};
use super::text::{cut, escaped, padded, width};

/// Lines that a screen keeps for others: the head, the sum, and the cursor's own.
const LINES_KEPT: usize = 4;
/// A column of names is at most so wide; longer names are cut.
const NAMES_WIDTH_MAX: usize = 32;

/// Steps that fit on a screen.
pub fn steps_that_fit(screen: &Screen) -> usize {
    screen.height.saturating_sub(LINES_KEPT).max(1)
}

/// The lines below the head, none wider than the screen.
pub fn lines(progress: &Progress, now: WallTime, screen: &Screen) -> Vec<String> {
    let names: Vec<String> = progress.steps.iter().map(name).collect();
    // Half of a narrow screen at most: what stands behind the name is why people look.
    let most = NAMES_WIDTH_MAX.min(screen.width / 2);
    let column = names.iter().map(|name| width(name)).max().unwrap_or(0).min(most);
    let mut lines: Vec<String> = progress
        .steps
        .iter()
        .zip(&names)
        .map(|(step, name)| line(step, name, column, now, screen))
        .collect();
    if progress.left_out > 0 {
        let more = if progress.steps.is_empty() { "" } else { "more " };
        let (left_out, counts) = (progress.left_out, counted(&progress.summary, false));
        let steps = words::of_count(left_out, &format!("{more}step"));
        lines.push(cut(&format!("  {steps}; of all {counts}"), screen.width));
    }
    lines
}

/// `square [3 of 4]`
fn name(step: &StepProgress) -> String {
    let name = escaped(&step.name);
    match step.frames {
        0 => name,
        frames => format!("{name} [{} of {frames}]", step.frames_ended),
    }
}

fn line(step: &StepProgress, name: &str, column: usize, now: WallTime, screen: &Screen) -> String {
    let mark = mark_of(step);
    let took = step.took.or_else(|| {
        let is_at_work = mark == mark_of_node(NodeStatus::Leased);
        step.began.filter(|_| is_at_work).map(|began| now.since(began))
    });
    let took = took.map(words::of_span_shortly).unwrap_or_default();
    let note = note(step);
    let symbol_width = if screen.has_symbols { 1 } else { 4 };
    let head = padded("", 2);
    let room = screen.width.saturating_sub(head.len() + symbol_width + 1);
    let mut body = padded(&cut(name, column), column);
    if !took.is_empty() || !note.is_empty() {
        body += &format!("  {took:>6}");
    }
    if !note.is_empty() {
        body += &format!("  {note}");
    }
    let body = cut(body.trim_end(), room);
    let symbol = screen.symbol(mark);
    // A painted symbol counts its letters only; ASCII words differ in length.
    let plain = Screen { has_color: false, ..*screen }.symbol(mark);
    let gap = " ".repeat(symbol_width.saturating_sub(width(&plain)));
    format!("{head}{symbol}{gap} {body}")
}

/// A composite counts as at work as soon as anything in it is.
fn mark_of(step: &StepProgress) -> Mark {
    let is_begun = step.frames > 0 && step.frames_ended + u32::from(step.counts.active > 0) > 0;
    match step.status {
        NodeStatus::Ready | NodeStatus::Waiting if is_begun => mark_of_node(NodeStatus::Leased),
        status => mark_of_node(status),
    }
}

fn note(step: &StepProgress) -> String {
    let mut notes = Vec::new();
    if step.counts.failed > 0 {
        notes.push(format!("{} failed", step.counts.failed));
    }
    if step.attempt > 1 {
        notes.push(format!("attempt {}", step.attempt));
    }
    match step.status {
        NodeStatus::Skipped if step.reason.is_empty() => notes.push("skipped".to_owned()),
        NodeStatus::Skipped => notes.push(format!("skipped: {}", escaped(&step.reason))),
        _ if !step.reason.is_empty() => notes.push(escaped(&step.reason)),
        _ => {}
    }
    notes.join(", ")
}

/// `3 done, 1 failed, 2 running, 4 waiting`
pub fn counted(summary: &RunSummary, is_interrupted: bool) -> String {
    let at_work = if is_interrupted { "interrupted" } else { "running" };
    let counts = &summary.counts;
    let parts = [
        (counts.succeeded, "done"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.skipped, "skipped"),
        (counts.active, at_work),
        (counts.waiting, "waiting"),
    ];
    let some = parts.iter().filter(|(count, _)| *count > 0);
    let some: Vec<String> = some.map(|(count, word)| format!("{count} {word}")).collect();
    if some.is_empty() { "nothing yet".to_owned() } else { some.join(", ") }
}

/// `✓ hello-1 done in 1.0s`
pub fn end_line(summary: &RunSummary, screen: &Screen) -> String {
    let mark = mark_of_run(summary.status);
    let took = summary.ended.map_or_else(String::new, |ended| {
        format!(" in {}", words::of_span_shortly(ended.since(summary.submitted)))
    });
    let reason = match summary.reason.as_str() {
        "" => String::new(),
        same if same == mark.word => String::new(),
        reason => format!(": {}", escaped(reason)),
    };
    let (symbol, word) = (screen.symbol(mark), mark.word);
    format!("{symbol} {} {word}{took}{reason}", summary.run_id)
}

#[cfg(test)]
mod tests {
    use dagmar_common::record::{Counts, RunStatus};

    use super::*;
    use crate::testing::{self, NOON, summary};

    fn rendered(progress: &Progress, screen: Screen) -> String {
        let now = WallTime(NOON.0 + 1_500_000);
        lines(progress, now, &screen).join("\n")
    }

    #[test]
    fn steps_stand_under_each_other_with_their_times() {
        assert_eq!(
            rendered(&testing::progress(), Screen::plain()),
            "  ✓ extract            0.4s\n  ● square [3 of 4]    1.5s\n  ◐ total"
        );
        let ascii = Screen { has_symbols: false, ..Screen::plain() };
        assert_eq!(
            rendered(&testing::progress(), ascii),
            "  ok   extract            0.4s\n  run  square [3 of 4]    1.5s\n  wait total"
        );
    }

    #[test]
    fn failures_retries_and_skips_say_so() {
        let mut progress = testing::progress();
        progress.steps[0].status = NodeStatus::Leased;
        progress.steps[0].took = None;
        progress.steps[0].attempt = 2;
        progress.steps[1].status = NodeStatus::Failed;
        progress.steps[1].counts = Counts { failed: 1, ..Counts::default() };
        progress.steps[2].status = NodeStatus::Skipped;
        progress.steps[2].reason = "upstream failed: square\u{1b}[2J".into();
        progress.left_out = 97;
        assert_eq!(
            rendered(&progress, Screen::plain()),
            "  ● extract            1.5s  attempt 2\n  ✗ square [3 of 4]          1 failed\n  \
             – total                    skipped: upstream failed: square\\u{1b}[2J\n  \
             97 more steps; of all 2 done, 1 running, 1 waiting"
        );
    }

    #[test]
    fn no_line_is_wider_than_its_screen() {
        let mut progress = testing::progress();
        progress.steps[0].name = "a step with a very long name that goes on and on and on".into();
        progress.left_out = 5;
        for columns in [20, 31, 40, 80] {
            for has_symbols in [false, true] {
                let screen = Screen { width: columns, has_symbols, ..Screen::plain() };
                for line in lines(&progress, NOON, &screen) {
                    assert!(width(&line) <= columns, "{columns}: {line:?}");
                }
            }
        }
        let narrow = Screen { width: 40, ..Screen::plain() };
        for line in &lines(&progress, WallTime(NOON.0 + 1_500_000), &narrow)[..2] {
            assert!(line.ends_with('s'), "the time stays: {line:?}");
        }
        assert_eq!(steps_that_fit(&Screen { height: 1, ..Screen::plain() }), 1);
    }

    #[test]
    fn the_end_is_one_line() {
        let check = |status, expected: &str| {
            assert_eq!(end_line(&summary("hello-1", status), &Screen::plain()), expected);
        };
        check(RunStatus::Succeeded, "✓ hello-1 done in 1.2s");
        check(RunStatus::Failed, "✗ hello-1 failed in 1.2s");
        let mut stopped = summary("hello-1", RunStatus::Cancelled);
        stopped.reason = "cancelled by anna".to_owned();
        let line = end_line(&stopped, &Screen::plain());
        assert_eq!(line, "⊘ hello-1 cancelled in 1.2s: cancelled by anna");
    }
}
