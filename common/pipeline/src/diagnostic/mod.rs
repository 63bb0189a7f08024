//! What is wrong with a text: every finding at once, each with its place, code and help.

mod code;
mod render;

pub use code::Code;

use std::collections::HashSet;

pub(crate) use dagmar_common::problem::shown;

use crate::source::{Source, Span};

/// Findings kept of one text; those beyond it are only counted.
pub const DIAGNOSTICS_MAX: usize = 1_000;
/// A longer line is named by its place alone.
const EXCERPT_LINE_BYTES_MAX: usize = 4 << 10;
/// Marks this far apart, in lines, stand in excerpts of their own.
const EXCERPT_LINES_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding. It owns the few lines that it shows, so the text itself need not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where; None for what stands in no file, such as an argument.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    excerpts: Vec<Excerpt>,
}

/// Line and column count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

/// A few lines of the text with what is marked in them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    first_line: usize,
    text: String,
    marks: Vec<Mark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    range: std::ops::Range<usize>,
    label: Option<String>,
    is_primary: bool,
}

/// Everything found: errors first, then warnings, each in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    /// Errors and warnings beyond [`DIAGNOSTICS_MAX`].
    uncounted: [usize; 2],
}

impl Diagnostics {
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Those that were not kept counted too.
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        kept + self.uncounted[severity as usize]
    }

    /// Both lists as one.
    #[must_use]
    pub fn and(mut self, other: Diagnostics) -> Diagnostics {
        self.found.extend(other.found);
        for (mine, theirs) in self.uncounted.iter_mut().zip(other.uncounted) {
            *mine += theirs;
        }
        self.found.sort_by_key(|diagnostic| diagnostic.severity);
        self
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A finding before its place is looked up.
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    code: Code,
    message: String,
    span: Option<Span>,
    notes: Vec<(Span, String)>,
    help: Option<String>,
}

impl Finding {
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Some(span),
            notes: Vec::new(),
            help: None,
        }
    }

    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(code, span, message) }
    }

    /// About something that stands in no text.
    pub fn without_place(mut self) -> Self {
        self.span = None;
        self
    }

    /// Marks a second place.
    pub fn note(mut self, span: Span, label: impl Into<String>) -> Self {
        self.notes.push((span, label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// Collects what is found in one text.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub source: &'a Source<'a>,
    /// Of the worker that is to run it, if that is known.
    pub cpu_millis: Option<u32>,
    found: Vec<(u32, Diagnostic)>,
    uncounted: [usize; 2],
    /// An anchor's content is read once for every alias; what is wrong in it is said once.
    seen: HashSet<(Code, Option<Span>, String)>,
}

impl<'a> Report<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        let (found, seen) = (Vec::new(), HashSet::new());
        Report { source, cpu_millis: None, found, uncounted: [0; 2], seen }
    }

    pub fn add(&mut self, finding: Finding) {
        if self.is_full() {
            self.uncounted[finding.severity as usize] += 1;
            return;
        }
        if !self.seen.insert((finding.code, finding.span, finding.message.clone())) {
            return;
        }
        let place = finding.span.map(|span| {
            let (line, column) = self.source.place(span.start);
            Place { file: self.source.name.to_owned(), line, column }
        });
        let mut marks = Vec::new();
        marks.extend(finding.span.map(|span| (span, None, true)));
        marks.extend(finding.notes.into_iter().map(|(span, label)| (span, Some(label), false)));
        let diagnostic = Diagnostic {
            severity: finding.severity,
            code: finding.code,
            message: finding.message,
            place,
            help: finding.help,
            excerpts: excerpts(self.source, marks),
        };
        self.found.push((finding.span.map_or(0, |span| span.start), diagnostic));
    }

    /// Nothing more is kept: suggestions need not be looked for.
    pub fn is_full(&self) -> bool {
        self.found.len() >= DIAGNOSTICS_MAX
    }

    pub fn has_errors(&self) -> bool {
        self.uncounted[Severity::Error as usize] > 0
            || self.found.iter().any(|(_, diagnostic)| diagnostic.severity == Severity::Error)
    }

    pub fn finish(mut self) -> Diagnostics {
        self.found.sort_by_key(|(offset, diagnostic)| (diagnostic.severity, *offset));
        let found = self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        Diagnostics { found, uncounted: self.uncounted }
    }
}

/// The lines around the marks: neighbours share an excerpt, far ones have their own.
fn excerpts(source: &Source<'_>, marks: Vec<(Span, Option<String>, bool)>) -> Vec<Excerpt> {
    let mut all: Vec<Excerpt> = Vec::new();
    for (span, label, is_primary) in marks {
        let line = source.line_of(span.start);
        let bounds = source.line_range(line);
        if bounds.len() > EXCERPT_LINE_BYTES_MAX {
            continue;
        }
        // A mark ends with its line: what is wrong with a mapping is said where it begins.
        let start = (span.start as usize).min(bounds.end);
        let range = start..(span.end as usize).clamp(start, bounds.end);
        let near = all.iter_mut().find(|excerpt| {
            let last = excerpt.first_line + excerpt.text.matches('\n').count();
            line + EXCERPT_LINES_MAX >= excerpt.first_line && line <= last + EXCERPT_LINES_MAX
        });
        match near {
            Some(excerpt) => {
                let first = excerpt.first_line.min(line);
                let last = (excerpt.first_line + excerpt.text.matches('\n').count()).max(line);
                let old_start = source.line_range(excerpt.first_line).start;
                let new_start = source.line_range(first).start;
                for mark in &mut excerpt.marks {
                    let shift = old_start - new_start;
                    mark.range = mark.range.start + shift..mark.range.end + shift;
                }
                excerpt.first_line = first;
                excerpt.text = source.text[new_start..source.line_range(last).end].to_owned();
                let range = range.start - new_start..range.end - new_start;
                excerpt.marks.push(Mark { range, label, is_primary });
            }
            None => all.push(Excerpt {
                first_line: line,
                text: source.text[bounds.clone()].to_owned(),
                marks: vec![Mark {
                    range: range.start - bounds.start..range.end - bounds.start,
                    label,
                    is_primary,
                }],
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_given_once_and_in_order() {
        let numbers: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let page = include_str!("../../../../docs/errors.md");
        let missing: Vec<_> =
            numbers.iter().filter(|number| !page.contains(&format!("| {number} |"))).collect();
        assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
    }

    #[test]
    fn beyond_the_bound_findings_are_counted() {
        let source = Source::new("f", "a\n");
        let mut report = Report::new(&source);
        for place in 0..DIAGNOSTICS_MAX + 5 {
            report.add(Finding::error(Code::Syntax, Span::default(), format!("no {place}")));
        }
        let diagnostics = report.finish();
        assert_eq!(diagnostics.iter().count(), DIAGNOSTICS_MAX);
        assert_eq!(diagnostics.count(Severity::Error), DIAGNOSTICS_MAX + 5);
    }
}
