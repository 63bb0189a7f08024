//! Where text goes: a terminal or not, how wide, with which symbols and colours.

use std::ffi::OsString;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use dagmar_common::record::{NodeStatus, RunStatus};

use crate::arguments::ColorChoice;

/// Narrower terminals are written to as if they were so wide; they wrap.
const WIDTH_MIN: usize = 20;
const WIDTH_ELSEWHERE: usize = 80;
const HEIGHT_ELSEWHERE: usize = 24;

/// What is known of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Lines may be drawn again: a terminal that is not dumb.
    pub is_live: bool,
    pub has_color: bool,
    pub has_symbols: bool,
    pub width: usize,
    pub height: usize,
}

/// How something stands, as a symbol, a word and a colour; never by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    symbol: &'static str,
    plain: &'static str,
    pub word: &'static str,
    color: Option<AnsiColor>,
}

impl Screen {
    pub fn stderr(color: ColorChoice) -> Self {
        Screen::of(&std::io::stderr(), color, &|name| std::env::var_os(name))
    }

    pub fn stdout(color: ColorChoice) -> Self {
        Screen::of(&std::io::stdout(), color, &|name| std::env::var_os(name))
    }

    fn of(
        stream: &(impl IsTerminal + std::os::fd::AsFd),
        color: ColorChoice,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0);
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        Screen::from_facts(stream.is_terminal(), size, color, variable)
    }

    fn from_facts(
        is_terminal: bool,
        size: Option<(usize, usize)>,
        color: ColorChoice,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let is_forced = |name: &str| variable(name).is_some_and(|v| !v.is_empty() && v != "0");
        let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(|v| v.to_string_lossy().to_lowercase())
        });
        let (width, height) = size.unwrap_or((WIDTH_ELSEWHERE, HEIGHT_ELSEWHERE));
        let asked = variable("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
        Screen {
            is_live: is_terminal && !is_dumb,
            has_color: match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto if is_set("NO_COLOR") => false,
                ColorChoice::Auto if is_forced("CLICOLOR_FORCE") || is_forced("FORCE_COLOR") => {
                    true
                }
                ColorChoice::Auto => is_terminal && !is_dumb,
            },
            // Without a word about the locale a pipe gets UTF-8, as every other tool writes it.
            has_symbols: !is_dumb
                && locale.is_none_or(|locale| locale.contains("utf-8") || locale.contains("utf8")),
            width: asked.unwrap_or(width).max(WIDTH_MIN),
            height,
        }
    }

    /// No terminal at all: plain text, 80 columns.
    pub fn plain() -> Self {
        Screen {
            is_live: false,
            has_color: false,
            has_symbols: true,
            width: WIDTH_ELSEWHERE,
            height: HEIGHT_ELSEWHERE,
        }
    }

    pub fn symbol(&self, mark: Mark) -> String {
        let text = if self.has_symbols { mark.symbol } else { mark.plain };
        match mark.color {
            Some(color) => self.paint(Style::new().fg_color(Some(color.into())), text),
            None => text.to_owned(),
        }
    }

    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    pub fn red(&self, text: &str) -> String {
        self.paint(Style::new().bold().fg_color(Some(AnsiColor::Red.into())), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.has_color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

const fn mark(
    symbol: &'static str,
    plain: &'static str,
    word: &'static str,
    color: Option<AnsiColor>,
) -> Mark {
    Mark { symbol, plain, word, color }
}

const DONE: Mark = mark("✓", "ok", "done", Some(AnsiColor::Green));
const FAILED: Mark = mark("✗", "FAIL", "failed", Some(AnsiColor::Red));
const CANCELLED: Mark = mark("⊘", "canc", "cancelled", Some(AnsiColor::Yellow));
const RUNNING: Mark = mark("●", "run", "running", Some(AnsiColor::Blue));
const WAITING: Mark = mark("◐", "wait", "waiting", None);
const SKIPPED: Mark = mark("–", "skip", "skipped", None);
/// Its process is gone; `resume` goes on with it.
pub const INTERRUPTED: Mark = mark("⏸", "intr", "interrupted", Some(AnsiColor::Yellow));

pub fn mark_of_run(status: RunStatus) -> Mark {
    match status {
        RunStatus::Running => RUNNING,
        RunStatus::Succeeded => DONE,
        RunStatus::Failed => FAILED,
        RunStatus::Cancelled => CANCELLED,
    }
}

pub fn mark_of_node(status: NodeStatus) -> Mark {
    match status {
        NodeStatus::Waiting | NodeStatus::Ready => WAITING,
        NodeStatus::Leased => RUNNING,
        NodeStatus::Succeeded => DONE,
        NodeStatus::Failed => FAILED,
        NodeStatus::Skipped => SKIPPED,
        NodeStatus::Cancelled => CANCELLED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(is_terminal: bool, color: ColorChoice, variables: &[(&str, &str)]) -> Screen {
        let size = is_terminal.then_some((120, 40));
        Screen::from_facts(is_terminal, size, color, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn colour_follows_the_terminal_the_environment_and_the_flag() {
        use ColorChoice::{Always, Auto, Never};
        let check = |is_terminal, choice, variables: &[(&str, &str)], expected| {
            assert_eq!(screen(is_terminal, choice, variables).has_color, expected, "{variables:?}");
        };
        check(true, Auto, &[], true);
        check(false, Auto, &[], false);
        check(true, Auto, &[("NO_COLOR", "1")], false);
        check(true, Auto, &[("NO_COLOR", "")], true);
        check(true, Auto, &[("TERM", "dumb")], false);
        check(false, Auto, &[("CLICOLOR_FORCE", "1")], true);
        check(false, Auto, &[("FORCE_COLOR", "0")], false);
        check(true, Never, &[("FORCE_COLOR", "1")], false);
        check(false, Always, &[("NO_COLOR", "1")], true);
    }

    #[test]
    fn a_dumb_terminal_or_another_encoding_gets_plain_words() {
        let plain = screen(true, ColorChoice::Auto, &[("LANG", "de_DE.ISO-8859-1")]);
        assert_eq!(plain.symbol(DONE), "\u{1b}[32mok\u{1b}[0m");
        assert!(!screen(true, ColorChoice::Auto, &[("TERM", "dumb")]).is_live);
        let utf8 = [("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1")];
        assert_eq!(screen(true, ColorChoice::Auto, &utf8).symbol(DONE), "✓");
    }

    #[test]
    fn a_width_of_one_is_survived() {
        let narrow = screen(true, ColorChoice::Auto, &[("COLUMNS", "1")]);
        assert_eq!((narrow.width, narrow.height), (WIDTH_MIN, 40));
    }
}
