//! A command line that says nothing we know: told with its code, as every other fault.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use dagmar_common::problem::{Code, Problem};

use crate::arguments::ColorChoice;
use crate::render::{Screen, problem};

/// Help and versions are no faults, and go to stdout.
pub fn tell(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr is no reason to say more.
    let _ = match error.use_stderr() {
        true => io::stderr().write_all(text(error, std::env::args_os()).as_bytes()),
        false => error.print(),
    };
    ExitCode::from(error.exit_code() as u8)
}

fn text(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> String {
    let said = error.render();
    if asks_for_json(arguments) {
        return format!("{:#}\n", problem::json(&problem_of(&said.to_string())));
    }
    let has_color = Screen::stderr(ColorChoice::Auto).has_color;
    let said = if has_color { said.ansi().to_string() } else { said.to_string() };
    said.replacen("error:", &format!("error[{}]:", Code::Usage), 1)
}

/// Whatever else is wrong with it.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .take_while(|w| w != "--")
        .collect();
    let together = |word: &String| matches!(word.as_str(), "-ojson" | "-o=json" | "--output=json");
    let apart =
        |pair: &[String]| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json";
    words.iter().any(together) || words.windows(2).any(apart)
}

/// Tips are what to type next, all else is why.
fn problem_of(said: &str) -> Problem {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let problem = Problem::new(Code::Usage, first.trim_start_matches("error: "));
    lines.fold(problem, |problem, line| match line.strip_prefix("tip: ") {
        Some(tip) => problem.try_this(tip),
        None => problem.because(line),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::Arguments;

    fn told(line: &str) -> String {
        let words = || std::iter::once("dagmar").chain(line.split_whitespace());
        let error = Arguments::try_parse_from(words()).expect_err(line);
        text(&error, words().map(OsString::from))
    }

    #[test]
    fn a_command_line_that_says_nothing_we_know_has_a_code() {
        assert!(told("ls --bogus").starts_with("error[E0002]: unexpected argument '--bogus'"));
        assert!(told("shwo").contains("E0002"));
    }

    #[test]
    fn programs_are_told_in_json() {
        for line in ["ls -o json --bogus", "ls --bogus --output=json", "show -ojson"] {
            let told: serde_json::Value = serde_json::from_str(&told(line)).expect(line);
            assert_eq!(told["code"], "E0002", "{line}");
            assert_eq!(told["reason"], "USAGE", "{line}");
        }
    }
}
