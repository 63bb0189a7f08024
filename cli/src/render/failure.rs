//! A failed run in at most 15 lines: which step, how, its last lines, and what to type next.

use dagmar_common::record::{Entry, NodeRecord, NodeStatus, RunSummary, words};

use super::Screen;
use super::text::{cut, escaped, shell_word};
use crate::reference::bracketed;

/// All lines of a summary together; one more says where the whole of the run is shown.
pub const LINES_MAX: usize = 14;
/// Failed steps that are named; the first of them with its last lines.
const STEPS_MAX: usize = 3;
/// Last lines of the first failed step.
const LAST_LINES: usize = 7;

/// The failed steps of a story as it goes by: the first few leaves and how many there are.
#[derive(Debug, Default)]
pub struct Failures {
    shown: Vec<NodeRecord>,
    count: u64,
    cause_only: Option<NodeRecord>,
}

impl Failures {
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Node(node) => self.take_node(node, 1, || node.clone()),
            Entry::Frame(_) => {}
            Entry::Alike(alike) => {
                for node in &alike.nodes {
                    let path = format!("{}.{}.{}", alike.composite, alike.first, node.path);
                    let one = || NodeRecord { path: path.as_str().into(), ..node.clone() };
                    self.take_node(node, alike.count.into(), one);
                }
            }
        }
    }

    fn take_node(&mut self, node: &NodeRecord, times: u64, one: impl Fn() -> NodeRecord) {
        if node.status != NodeStatus::Failed {
            return;
        }
        // A composite that failed by its frames is not the cause, unless nothing in it is.
        if node.frames > 0 {
            self.cause_only.get_or_insert_with(one);
            return;
        }
        self.count += times;
        if self.shown.len() < STEPS_MAX {
            self.shown.push(one());
        }
    }

    /// The summary; empty where nothing failed.
    pub fn lines(mut self, summary: &RunSummary, screen: &Screen) -> Vec<String> {
        if self.shown.is_empty() {
            self.count += u64::from(self.cause_only.is_some());
            self.shown.extend(self.cause_only.take());
        }
        let Some(first) = self.shown.first() else { return Vec::new() };
        let mut lines = vec![String::new()];
        head(first, screen, &mut lines);
        last_lines(first, screen, &mut lines);
        for other in &self.shown[1..] {
            head(other, screen, &mut lines);
        }
        let more = self.count.saturating_sub(self.shown.len() as u64);
        if more > 0 {
            lines.push(format!("  and {more} more failed steps"));
        }
        lines.push(String::new());
        let run = &summary.run_id;
        if first.attempts.iter().any(|attempt| attempt.log.is_some()) {
            let step = shell_word(&format!("{run}/{}", bracketed(&first.path)));
            lines.push(format!("  logs   dagmar logs {step}"));
        }
        lines
    }
}

/// `square[2]  exit 1  attempt 1 of 1  on here, 0.2s`
fn head(node: &NodeRecord, screen: &Screen, lines: &mut Vec<String>) {
    let path = escaped(&bracketed(&node.path));
    let Some(last) = node.attempts.last() else {
        let reason = if node.reason.is_empty() { "failed" } else { &*node.reason };
        lines.push(cut(&format!("  {path}  {}", escaped(reason)), screen.width));
        return;
    };
    let how = match (last.reason, &*node.reason) {
        (Some(reason), _) => words::of_exit(reason),
        (None, "") => words::of_attempt(last.status).to_owned(),
        (None, reason) => escaped(reason),
    };
    let mut facts = Vec::new();
    if last.number > 1 {
        facts.push(format!("attempt {}", last.number));
    }
    let after = words::of_took(last.status, last.took).map(|took| format!("after {took}"));
    let worker = escaped(&last.worker);
    let on = if worker.is_empty() { None } else { Some(format!("on {worker}")) };
    let ending: Vec<String> = after.into_iter().chain(on).collect();
    facts.push(ending.join(" "));
    facts.retain(|fact| !fact.is_empty());
    lines.push(cut(&format!("  {path}  {how}  {}", facts.join(", ")), screen.width));
}

fn last_lines(node: &NodeRecord, screen: &Screen, lines: &mut Vec<String>) {
    let Some(last) = node.attempts.last() else { return };
    let all: Vec<&str> = last.last_lines.lines().filter(|line| !line.trim().is_empty()).collect();
    let missing = words::of_missing(last);
    let most = LAST_LINES - usize::from(!missing.is_empty());
    let first = all.len().saturating_sub(most);
    for line in &all[first..] {
        lines.push(cut(&format!("  | {}", escaped(line.trim_end())), screen.width));
    }
    if !missing.is_empty() {
        lines.push(format!("  ! {missing}"));
    }
}

#[cfg(test)]
mod tests {
    use dagmar_common::lease::{ExitReason, LogPlace};
    use dagmar_common::record::{Alike, AttemptRecord, AttemptStatus, RunStatus};

    use super::*;
    use crate::testing::{self, summary};

    fn rendered(entries: &[Entry], screen: Screen) -> Vec<String> {
        let mut failures = Failures::default();
        for entry in entries {
            failures.take(entry);
        }
        failures.lines(&summary("hello-3", RunStatus::Failed), &screen)
    }

    #[test]
    fn the_failed_step_comes_with_its_last_lines_made_harmless() {
        assert_eq!(
            rendered(&testing::entries(), Screen::plain()).join("\n"),
            "\n  square[1].work  exit 1  after 0.2s on here\n  | Traceback:\n  \
             |   square.py:7\\u{1b}[2J\n  | ValueError: cannot parse row 2\n"
        );
    }

    #[test]
    fn a_million_failures_are_at_most_fifteen_lines() {
        let text: String = (0..40).map(|number| format!("line {number}\n")).collect();
        let log = Some(LogPlace::default());
        let attempt =
            AttemptRecord { log, ..testing::attempt(2, Some(ExitReason::TimeLimit), &text) };
        let failed = testing::node("work", NodeStatus::Failed);
        let node = NodeRecord { attempts: vec![attempt], ..failed };
        let alike = Alike {
            composite: "m".into(),
            first: 0,
            count: 1_000_000,
            labels: Vec::new(),
            status: NodeStatus::Failed,
            nodes: vec![node.clone()],
        };
        let mut entries = vec![Entry::Alike(alike)];
        entries.extend((0..9).map(|_| Entry::Node(node.clone())));
        let lines = rendered(&entries, Screen { width: 40, ..Screen::plain() });
        assert_eq!(lines.len(), LINES_MAX);
        assert!(lines.iter().all(|line| super::super::text::width(line) <= 48), "{lines:#?}");
        assert_eq!(lines[1], "  m[0].work  time limit  attempt 2, aft…");
        assert_eq!(lines[8], "  | line 39");
        assert_eq!(lines[11], "  and 1000006 more failed steps");
        assert_eq!(lines[13], "  logs   dagmar logs 'hello-3/m[0].work'");
    }

    #[test]
    fn a_step_whose_attempts_were_lost_says_why_it_failed_and_no_duration() {
        let attempt =
            AttemptRecord { status: AttemptStatus::Lost, ..testing::attempt(2, None, "") };
        let reason = "crash limit".into();
        let failed = testing::node("a", NodeStatus::Failed);
        let node = NodeRecord { reason, attempts: vec![attempt], ..failed };
        let lines = rendered(&[Entry::Node(node)], Screen::plain());
        assert_eq!(lines[1], "  a  crash limit  attempt 2, on here");
    }

    #[test]
    fn a_composite_that_failed_by_itself_is_named() {
        let reason = "`items` is a number, not a list".into();
        let map = NodeRecord { frames: 0, reason, ..testing::node("m", NodeStatus::Failed) };
        let lines = rendered(&[Entry::Node(map)], Screen::plain());
        assert_eq!(lines[1], "  m  `items` is a number, not a list");
        assert!(rendered(&[], Screen::plain()).is_empty());
    }
}
