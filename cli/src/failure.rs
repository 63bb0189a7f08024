//! How a command can end without its answer, and how that is told.

use std::io::{self, Write};

use dagmar_common::problem::{Code, Problem};

use crate::exit::Exit;
use crate::render::{Screen, problem};
use crate::wiring::Findings;

/// What a command came to: an exit code, or why there is no answer.
pub type Done = Result<Exit, Failure>;

#[derive(Debug)]
pub enum Failure {
    Problem(Box<Problem>),
    /// A pipeline or its parameters have faults.
    Rejected(Findings),
    /// Whoever read our stdout wants no more of it.
    ReaderGone,
    /// Another process of ours has told it on the same stderr.
    Told(Exit),
    /// Ctrl-C before anything began, or while only looking.
    Interrupted,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Problem(Box::new(problem))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            io::ErrorKind::InvalidData => Problem::new(Code::Damaged, error.to_string()).into(),
            _ => Problem::new(Code::Storage, format!("cannot write the answer: {error}")).into(),
        }
    }
}

impl Failure {
    /// Tells it on stderr and says how the program ends. `as_json`: for programs.
    pub fn tell(&self, screen: &Screen, as_json: bool) -> Exit {
        let (text, exit) = match self {
            Failure::Problem(problem) if as_json => {
                (format!("{:#}\n", problem::json(problem)), Exit::of_problem(problem))
            }
            Failure::Problem(problem) => {
                (problem::lines(problem, screen).join("\n") + "\n", Exit::of_problem(problem))
            }
            Failure::Rejected(findings) if as_json => {
                (format!("{:#}\n", problem::json_of_rejected(findings)), Exit::Usage)
            }
            Failure::Rejected(findings) => (findings.rendered.clone(), Exit::Usage),
            Failure::ReaderGone => (String::new(), Exit::Success),
            Failure::Told(exit) => (String::new(), *exit),
            Failure::Interrupted => (String::new(), Exit::Interrupted),
        };
        // Where stderr is closed too there is nobody left to tell.
        let _ = io::stderr().write_all(text.as_bytes());
        exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_other_faults_are() {
        let exit = |error: io::Error| Failure::from(error).tell(&Screen::plain(), false);
        assert_eq!(exit(io::ErrorKind::BrokenPipe.into()), Exit::Success);
        assert_eq!(exit(io::ErrorKind::StorageFull.into()), Exit::Failed);
        assert_eq!(
            Failure::Rejected(Findings::default()).tell(&Screen::plain(), true),
            Exit::Usage
        );
    }
}
