//! The command line: what people type, what they see, and runs without a server.
//!
//! # Threads
//!
//! The main thread does what was typed. Beside it, each only where a command needs it:
//! * `commands/signals.rs`: `signals`, which turns a Ctrl-C into a message
//! * `local/embedded.rs`: `driver`, the loop of the coordinator of a local run
//! * `local/owner.rs`: `owner-socket`, which serves the API of a run to other terminals
//! * `local/client.rs`: one of a runtime and one for each stream, to hear another owner
//! * `local/files.rs`: a few for a moment, which make files durable side by side
//! * `local/git.rs`: `code-identity`, which asks git while the run is under way already
//! * `bench/baseline.rs`: as many as cpus, which start processes for comparison
//! * `bench/mod.rs`: one for a moment, which submits a large run beside the one that is timed

pub mod arguments;
mod bench;
pub mod commands;
pub mod exit;
pub mod failure;
pub mod house;
pub mod local;
pub mod names;
mod panics;
pub mod reference;
pub mod render;
#[cfg(test)]
mod testing;
mod usage;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, ColorChoice};
use commands::Session;
use failure::Failure;
use render::Screen;
use wiring::Wires;

/// Nothing happens before the arguments are parsed: no thread, no file, no runtime.
pub fn main(wires: Wires) -> ExitCode {
    // The process that starts others must be it before any thread exists.
    if std::env::args_os().nth(1).is_some_and(|first| first == dagmar_supervisor::ARGUMENT) {
        return wires.supervisor();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::tell(&error),
    };
    log_to_stderr();
    let as_json = commands::speaks_json(arguments.command.as_ref());
    panics::tell_in_our_words(as_json);
    let color = arguments.color;
    let done = Session::here(wires, color)
        .map_err(Failure::from)
        .and_then(|session| commands::perform(&session, arguments));
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.tell(&Screen::stderr(color_of_problems(color, as_json)), as_json).into()
        }
    }
}

/// JSON has no colours.
fn color_of_problems(color: ColorChoice, as_json: bool) -> ColorChoice {
    if as_json { ColorChoice::Never } else { color }
}

/// What libraries say at such a level is asked for by their names.
const OTHERS: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn";

/// What happens inside, for whoever asks with DAGMAR_LOG; else nothing is set up at all.
fn log_to_stderr() {
    let Ok(filter) = std::env::var("DAGMAR_LOG") else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(format!("{OTHERS},{filter}")))
        .with_writer(std::io::stderr);
    subscriber.init();
}
