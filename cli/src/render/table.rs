//! Tables for people: runs, and the steps of one run. States are never cut.

use std::collections::BTreeMap;

use dagmar_common::record::{
    AttemptStatus, Entry, NodeRecord, NodeStatus, RunStatus, RunSummary, words,
};
use dagmar_common::time::{Span, WallTime};

use super::Screen;
use super::screen::{INTERRUPTED, Mark, mark_of_node, mark_of_run};
use super::text::{cut, cut_inside, escaped, padded, width};
use crate::reference::bracketed;

/// Steps of one run that a table shows; `-o json` has all of them.
const STEPS_MAX: usize = 200;

/// A longer name of a run, which somebody made up, is cut in a list; `ls -q` has it whole.
const RUN_WIDTH_MAX: usize = 40;

/// A run as a row of `ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    pub summary: RunSummary,
    pub is_interrupted: bool,
}

impl RunRow {
    pub fn mark(&self) -> Mark {
        if self.is_interrupted { INTERRUPTED } else { mark_of_run(self.summary.status) }
    }
}

/// Newest first, as they are given.
pub fn runs(rows: &[RunRow], now: WallTime, screen: &Screen) -> Vec<String> {
    let mut table = Table::new(&["RUN", "STATE", "STEPS", "AGE", "TOOK", "PIPELINE", "WHY"]);
    for row in rows {
        let summary = &row.summary;
        let counts = &summary.counts;
        let took = match (summary.ended, row.is_interrupted) {
            (Some(ended), _) => words::of_span_shortly(ended.since(summary.submitted)),
            (None, true) => "-".to_owned(),
            (None, false) => words::of_span_shortly(now.since(summary.submitted)),
        };
        // What its log knows `show` reads; a list must be quick.
        let steps = match counts.all() {
            _ if row.is_interrupted => "-".to_owned(),
            // Its owner did not answer.
            0 => "-".to_owned(),
            all => format!("{}/{all}", counts.ended()),
        };
        let mut why = summary.reason.clone();
        if why.is_empty() && counts.failed > 0 && summary.status != RunStatus::Succeeded {
            why = format!("{} failed", counts.failed);
        }
        table.row(vec![
            Cell::plain(&cut(summary.run_id.as_str(), RUN_WIDTH_MAX)),
            Cell::marked(row.mark()),
            Cell::plain(&steps),
            Cell::plain(&age(now.since(summary.submitted))),
            Cell::plain(&took),
            Cell::plain(&escaped(&summary.pipeline)),
            Cell::plain(&escaped(&why)),
        ]);
    }
    table.lines(screen)
}

/// The steps of a run as they go by, up to a bound; the rest is counted. Where there are more,
/// those that failed or run are worth a row before all others.
#[derive(Default)]
pub struct Steps {
    /// Nobody works on it: nothing runs.
    is_interrupted: bool,
    /// By how little each is worth and its place, with how many it stands for.
    kept: BTreeMap<(u8, u64), (u64, Vec<Cell>)>,
    next: u64,
    left_out: u64,
}

impl Steps {
    pub fn of(is_interrupted: bool) -> Self {
        Steps { is_interrupted, ..Steps::default() }
    }

    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Node(node) => {
                let path = escaped(&bracketed(&node.path));
                self.add(node, &path, 1);
            }
            Entry::Frame(_) => {}
            Entry::Alike(alike) => {
                let last = alike.first + alike.count.saturating_sub(1);
                let composite = escaped(&bracketed(&alike.composite));
                for node in &alike.nodes {
                    let path =
                        format!("{composite}[{}..{last}].{}", alike.first, escaped(&node.path));
                    self.add(node, &path, alike.count.into());
                }
            }
        }
    }

    fn add(&mut self, node: &NodeRecord, path: &str, times: u64) {
        let interest = match node.status {
            NodeStatus::Failed => 0,
            NodeStatus::Leased => 1,
            NodeStatus::Cancelled => 2,
            _ => 3,
        };
        let key = (interest, self.next);
        self.next += 1;
        if self.kept.len() >= STEPS_MAX {
            if self.kept.last_key_value().is_some_and(|(least, _)| *least < key) {
                self.left_out += times;
                return;
            }
            self.left_out += self.kept.pop_last().map_or(0, |(_, (times, _))| times);
        }
        let last = node.attempts.last();
        let why = match last.and_then(|last| last.reason) {
            Some(reason) if node.status != NodeStatus::Succeeded => words::of_exit(reason),
            _ => escaped(&node.reason),
        };
        let lost = node.attempts.iter().filter(|one| one.status == AttemptStatus::Lost).count();
        let lost = match lost {
            0 => String::new(),
            1 => "lost once".to_owned(),
            times => format!("lost {times} times"),
        };
        let missing = last.map(words::of_missing).unwrap_or_default();
        let mut whys = vec![why, lost, missing];
        whys.retain(|why| !why.is_empty());
        let why = whys.join("; ");
        let ended = last.filter(|last| last.status != AttemptStatus::Running);
        let took = ended.and_then(|last| words::of_took(last.status, last.took));
        let took = took.unwrap_or_else(|| "-".to_owned());
        let path = match node.frames {
            0 => path.to_owned(),
            frames => format!("{path} ({})", words::of_count(frames.into(), "item")),
        };
        let cells = vec![
            Cell::plain(&path),
            Cell::marked(match node.status {
                NodeStatus::Leased if self.is_interrupted => INTERRUPTED,
                status => mark_of_node(status),
            }),
            Cell::plain(&last.map_or_else(|| "-".to_owned(), |last| last.number.to_string())),
            Cell::plain(&took),
            Cell::plain(&why),
        ];
        self.kept.insert(key, (times, cells));
    }

    pub fn lines(self, screen: &Screen) -> Vec<String> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        let in_order = self.kept.into_iter().map(|((_, place), (_, cells))| (place, cells));
        let in_order: BTreeMap<_, _> = in_order.collect();
        let mut table = Table::new(&["STEP", "STATE", "ATTEMPT", "TOOK", "WHY"]);
        for mut cells in in_order.into_values() {
            // How it went is worth as much room as its name; `-o json` has that whole.
            cells[0].text = cut_inside(&cells[0].text, screen.width / 2);
            table.row(cells);
        }
        let mut lines = table.lines(screen);
        if self.left_out > 0 {
            lines.push(format!("and {} more; all of them: -o json", self.left_out));
        }
        lines
    }
}

/// Short enough for a column: `3s`, `12m`, `5h`, `9d`.
fn age(span: Span) -> String {
    let seconds = span.0 / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

struct Cell {
    text: String,
    mark: Option<Mark>,
}

impl Cell {
    fn plain(text: &str) -> Self {
        Cell { text: text.to_owned(), mark: None }
    }

    fn marked(mark: Mark) -> Self {
        Cell { text: mark.word.to_owned(), mark: Some(mark) }
    }

    fn width(&self, screen: &Screen) -> usize {
        let symbol = self
            .mark
            .map_or(0, |mark| 1 + width(&Screen { has_color: false, ..*screen }.symbol(mark)));
        symbol + width(&self.text)
    }
}

struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    fn new(heads: &[&'static str]) -> Self {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The first two columns are whole whatever it costs; the last takes what is left of the
    /// width, and columns before it go, from the right, where that would be nothing.
    fn lines(&self, screen: &Screen) -> Vec<String> {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].width(screen));
                cells.chain([width(self.heads[column])]).max().unwrap_or(0)
            })
            .collect();
        let mut columns: Vec<usize> = (0..self.heads.len()).collect();
        let is_empty = |column: &usize| self.rows.iter().all(|row| row[*column].text.is_empty());
        columns.retain(|column| *column < 2 || !is_empty(column));
        let needed = |columns: &[usize]| -> usize {
            let all: usize = columns.iter().map(|column| widths[*column] + 2).sum();
            all.saturating_sub(2)
        };
        let last = columns.last().copied().unwrap_or(0);
        let flexible = widths[last].min(width(self.heads[last]).max(12));
        while columns.len() > 2 && needed(&columns) - widths[last] + flexible > screen.width {
            // The reason, when there is one, is worth more than what stands before it.
            let place = if columns.len() > 3 { columns.len() - 2 } else { columns.len() - 1 };
            columns.remove(place);
        }
        let line = |cell: &dyn Fn(usize) -> (String, usize)| {
            let mut line = String::new();
            for (place, column) in columns.iter().enumerate() {
                let (text, text_width) = cell(*column);
                if place + 1 < columns.len() {
                    line += &text;
                    line += &" ".repeat(widths[*column].saturating_sub(text_width) + 2);
                } else if place >= 2 {
                    line += &cut(&text, screen.width.saturating_sub(needed(&columns[..place]) + 2));
                } else {
                    line += &text;
                }
            }
            line.trim_end().to_owned()
        };
        let mut lines = vec![line(&|column| {
            let head = self.heads[column];
            (head.to_owned(), width(head))
        })];
        for row in &self.rows {
            lines.push(line(&|column| {
                let cell = &row[column];
                let text = match cell.mark {
                    Some(mark) => format!("{} {}", screen.symbol(mark), cell.text),
                    None => cell.text.clone(),
                };
                (text, cell.width(screen))
            }));
        }
        lines
    }
}

/// The head of `show`: what the run is, in lines of `name  value`.
pub fn head(summary: &RunSummary, is_interrupted: bool, screen: &Screen) -> Vec<String> {
    let row = RunRow { summary: summary.clone(), is_interrupted };
    let mark = row.mark();
    let mut lines = vec![format!(
        "{}  {} {}",
        screen.bold(summary.run_id.as_str()),
        screen.symbol(mark),
        mark.word
    )];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!(
                "  {}  {}",
                padded(name, 9),
                cut(&value, screen.width.saturating_sub(13))
            ));
        }
    };
    field("why", escaped(&summary.reason));
    field("pipeline", format!("{}  graph {:.12}", escaped(&summary.pipeline), summary.graph));
    field("tag", escaped(&summary.tag));
    field("began", summary.submitted.rfc3339());
    if let Some(ended) = summary.ended {
        let took = words::of_span_shortly(ended.since(summary.submitted));
        field("ended", format!("{}  after {took}", ended.rfc3339()));
    }
    field("steps", super::progress::counted(summary, is_interrupted));
    lines
}

#[cfg(test)]
mod tests;
