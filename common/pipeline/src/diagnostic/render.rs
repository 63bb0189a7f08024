//! Diagnostics as people read them: compiler style, 80 columns, readable without colour.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Severity};

/// Findings shown; all others are counted in the closing line.
const SHOWN_MAX: usize = 50;
const WIDTH: usize = 80;

impl Diagnostics {
    /// All of them with their lines, and a closing line; empty where nothing was found.
    pub fn render(&self, with_colour: bool) -> String {
        let renderer = if with_colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut out = String::new();
        for diagnostic in self.iter().take(SHOWN_MAX) {
            let head = match diagnostic.severity {
                Severity::Error => "error[E0000]: ",
                Severity::Warning => "warning[E0000]: ",
            };
            let message = wrapped(&diagnostic.message, head.len());
            let help = diagnostic.help.as_ref().map(|help| wrapped(help, "    = help: ".len()));
            let group = diagnostic.group(&message, help.as_deref());
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        if let Some(closing) = self.closing() {
            out.push_str(&closing);
            out.push('\n');
        }
        out
    }

    /// `3 errors, nothing submitted.`
    pub fn closing(&self) -> Option<String> {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let counted = match (errors, warnings) {
            (0, 0) => return None,
            (0, _) => counted(warnings, "warning"),
            (_, 0) => counted(errors, "error"),
            (_, _) => format!("{} and {}", counted(errors, "error"), counted(warnings, "warning")),
        };
        let all = errors + warnings;
        let shown = if all > SHOWN_MAX { format!(" ({SHOWN_MAX} shown)") } else { String::new() };
        let rest = if errors > 0 { ", nothing submitted." } else { "." };
        Some(format!("{counted}{shown}{rest}"))
    }
}

/// Broken at spaces so that no line passes the width; words longer than that stand alone.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut width = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > indent && width + 1 + length > WIDTH {
            out.push('\n');
            width = indent;
        } else if !out.is_empty() {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Diagnostic {
    fn group<'d>(&'d self, message: &'d str, help: Option<&'d str>) -> Group<'d> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(message).id(self.code.as_str());
        let mut group = Group::with_title(title);
        if let Some(place) = &self.place {
            for excerpt in &self.excerpts {
                let mut snippet = Snippet::source(excerpt.text.as_str())
                    .line_start(excerpt.first_line)
                    .path(place.file.as_str());
                for mark in &excerpt.marks {
                    let kind = match mark.is_primary {
                        true => AnnotationKind::Primary,
                        false => AnnotationKind::Context,
                    };
                    let annotation = kind.span(mark.range.clone()).label(mark.label.as_deref());
                    snippet = snippet.annotation(annotation);
                }
                group = group.element(snippet);
            }
            if self.excerpts.is_empty() {
                let origin = Origin::path(place.file.as_str()).line(place.line);
                group = group.element(origin.char_column(place.column));
            }
        }
        match help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }
}
