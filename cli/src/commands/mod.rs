//! The commands, one room a verb, and what they share: where they are and whom they ask.

mod cancel;
mod find;
mod finish;
mod follow;
mod help;
mod host;
mod lint;
mod logs;
mod ls;
mod own;
mod resume;
mod run;
mod show;
mod signals;
mod source;
#[cfg(test)]
mod tests;
mod why;

use std::io::Write;

use crate::arguments::{Arguments, ColorChoice, Command, Output};
use crate::exit::Exit;
use crate::failure::Done;
use crate::local::Project;
use crate::render::Screen;
use crate::wiring::Wires;

/// One invocation: its directory, its streams, and what other crates know.
#[derive(Clone)]
pub struct Session {
    pub wires: Wires,
    pub project: Project,
    pub color: ColorChoice,
    pub out: Screen,
    pub err: Screen,
}

impl Session {
    pub fn here(wires: Wires, color: ColorChoice) -> Result<Self, dagmar_common::problem::Problem> {
        let project = Project::here()?;
        let (out, err) = (Screen::stdout(color), Screen::stderr(color));
        Ok(Session { wires, project, color, out, err })
    }

    /// Progress and hints. Nobody has to hear them: a closed stderr is no reason to stop.
    pub fn hint(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// The answer goes here, and nothing else.
pub fn stdout() -> std::io::BufWriter<std::io::Stdout> {
    std::io::BufWriter::with_capacity(64 << 10, std::io::stdout())
}

pub fn perform(session: &Session, arguments: Arguments) -> Done {
    match arguments.command {
        None => help::first_steps(),
        Some(Command::Run(arguments)) => run::perform(session, &arguments),
        Some(Command::Ls(arguments)) => ls::perform(session, &arguments),
        Some(Command::Show(arguments)) => show::perform(session, &arguments),
        Some(Command::Logs(arguments)) => logs::perform(session, &arguments),
        Some(Command::Cancel(arguments)) => cancel::perform(session, &arguments),
        Some(Command::Resume(arguments)) => resume::perform(session, &arguments),
        Some(Command::Lint(arguments)) => lint::perform(session, &arguments),
        Some(Command::Why(arguments)) => why::perform(session, &arguments),
        Some(Command::Bench(arguments)) => {
            session.wires.bench(&arguments)?;
            Ok(Exit::Success)
        }
        Some(Command::Version) => help::version(),
        Some(Command::Help(arguments)) => help::perform(arguments.topic.as_deref()),
        Some(Command::Host(arguments)) => host::perform(session, &arguments),
        Some(Command::Supervisor) => Ok(Exit::Usage),
    }
}

/// Whether problems are told as JSON.
pub fn speaks_json(command: Option<&Command>) -> bool {
    let output = match command {
        Some(Command::Ls(arguments)) => arguments.output,
        Some(Command::Show(arguments)) => arguments.output,
        Some(Command::Lint(arguments)) => arguments.output,
        Some(Command::Why(arguments)) => arguments.output,
        Some(Command::Bench(arguments)) => arguments.output,
        _ => Output::Table,
    };
    output == Output::Json
}
