//! Changes of a run as lines for logs: one event, one line, fields that a program can read.

use dagmar_common::ids::RunId;
use dagmar_common::record::follow::{AttemptEnd, Change, StepChange};
use dagmar_common::record::{AttemptStatus, NodeStatus, RunStatus, words};

use super::text::escaped;
use crate::reference::bracketed;

/// The line of one change; None where there is nothing to tell.
pub fn line(run: &RunId, change: &Change) -> Option<String> {
    Some(match change {
        Change::Started { at } => format!("{} {run} STARTED", at.rfc3339()),
        Change::Step(step) => step_line(run, step)?,
        Change::Missed { count } => {
            format!("{run} MISSED {count} changes; nothing is lost: dagmar show {run}")
        }
        Change::Ended { at, status, reason } => {
            let word = match status {
                RunStatus::Running => "RUNNING",
                RunStatus::Succeeded => "SUCCEEDED",
                RunStatus::Failed => "FAILED",
                RunStatus::Cancelled => "CANCELLED",
            };
            let mut line = format!("{} {run} {word}", at.rfc3339());
            message(&mut line, reason);
            line
        }
    })
}

fn step_line(run: &RunId, step: &StepChange) -> Option<String> {
    let (time, path) = (step.at.rfc3339(), field(&escaped(&bracketed(&step.path))));
    if let Some(ended) = &step.ended {
        let mut line = format!("{time} {run} {path}:{} {}", ended.number, attempt_word(ended));
        if let Some(reason) = ended.reason {
            line += &format!(" {}", words::of_exit_as_field(reason));
        }
        if let Some(took) = words::of_took(ended.status, ended.took) {
            line += &format!(" dur={took}");
        }
        if !step.status.has_ended() {
            line += &format!(" next={}", step.attempt.max(ended.number + 1));
        }
        message(&mut line, &ended.last_line);
        return Some(line);
    }
    let word = match step.status {
        NodeStatus::Waiting | NodeStatus::Ready => return None,
        NodeStatus::Leased => {
            return Some(format!("{time} {run} {path}:{} LEASED", step.attempt.max(1)));
        }
        NodeStatus::Succeeded => "SUCCEEDED",
        NodeStatus::Failed => "FAILED",
        NodeStatus::Skipped => "SKIPPED",
        NodeStatus::Cancelled => "CANCELLED",
    };
    let mut line = format!("{time} {run} {path} {word}");
    message(&mut line, &step.reason);
    Some(line)
}

fn attempt_word(ended: &AttemptEnd) -> &'static str {
    match ended.status {
        AttemptStatus::Running => "RUNNING",
        AttemptStatus::Succeeded => "SUCCEEDED",
        AttemptStatus::Failed => "FAILED",
        AttemptStatus::Cancelled => "CANCELLED",
        AttemptStatus::Lost => "LOST",
        AttemptStatus::Unknown => "UNKNOWN",
    }
}

/// Fields are told apart by spaces.
fn field(text: &str) -> String {
    if text.contains([' ', '"']) {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}

fn message(line: &mut String, text: &str) {
    let text = text.trim();
    if !text.is_empty() {
        *line += &format!(" msg=\"{}\"", escaped(text).replace('"', "\\\""));
    }
}

#[cfg(test)]
mod tests {
    use dagmar_common::lease::ExitReason;
    use dagmar_common::time::Span;

    use super::*;
    use crate::testing::NOON;

    #[track_caller]
    fn check(change: &Change, expected: &str) {
        let line = line(&RunId::new("hello-3"), change).unwrap_or_default();
        assert_eq!(line, expected);
    }

    fn step(path: &str, status: NodeStatus, attempt: u32, ended: Option<AttemptEnd>) -> StepChange {
        let reason = "".into();
        StepChange { at: NOON, path: path.into(), status, attempt, ended, reason }
    }

    fn failed(number: u32) -> Option<AttemptEnd> {
        Some(AttemptEnd {
            number,
            status: AttemptStatus::Failed,
            reason: Some(ExitReason::Code(1)),
            took: Span::from_millis(204),
            last_line: "ValueError: \"row\u{1b}[2J\" 2\n".into(),
        })
    }

    #[test]
    fn an_event_is_a_line() {
        let time = "2025-11-20T12:02:11.869Z hello-3";
        check(&Change::Started { at: NOON }, &format!("{time} STARTED"));
        let end = step("square.2.work", NodeStatus::Failed, 1, failed(1));
        check(
            &Change::Step(end),
            &format!(
                "{time} square[2].work:1 FAILED exit=1 dur=0.2s \
                 msg=\"ValueError: \\\"row\\u{{1b}}[2J\\\" 2\""
            ),
        );
        let skipped = StepChange {
            reason: "upstream failed: square".into(),
            ..step("total", NodeStatus::Skipped, 0, None)
        };
        check(
            &Change::Step(skipped),
            &format!("{time} total SKIPPED msg=\"upstream failed: square\""),
        );
        let spaced = step("load data", NodeStatus::Leased, 2, None);
        check(&Change::Step(spaced), &format!("{time} \"load data\":2 LEASED"));
        let end =
            Change::Ended { at: NOON, status: RunStatus::Failed, reason: "time limit".into() };
        check(&end, &format!("{time} FAILED msg=\"time limit\""));
    }

    #[test]
    fn an_attempt_that_is_followed_by_another_says_which() {
        let retried = Change::Step(step("a", NodeStatus::Ready, 2, failed(1)));
        let text = line(&RunId::new("r"), &retried).unwrap();
        assert!(text.contains(" a:1 FAILED exit=1 dur=0.2s next=2 msg="), "{text}");
        check(&Change::Step(step("a", NodeStatus::Ready, 1, None)), "");
    }

    #[test]
    fn an_attempt_that_was_lost_has_no_duration() {
        let took = Span::default();
        let end =
            AttemptEnd { status: AttemptStatus::Lost, reason: None, took, ..failed(3).unwrap() };
        let text =
            line(&RunId::new("r"), &Change::Step(step("a", NodeStatus::Failed, 3, Some(end))));
        assert!(text.unwrap().contains(" a:3 LOST msg="));
    }
}
