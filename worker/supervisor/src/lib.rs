//! The supervisor: a small process that starts and owns the processes of tasks.
//!
//! It is the program itself, executed again before any thread exists in it; its stdin is one end
//! of a socket pair, on which it speaks [`protocol`]. When the other end closes, by whatever death
//! of the daemon, it kills every process it started, and theirs, and ends; or, where it was told
//! so, it goes on, and waits for another daemon on the listening socket that is its stdout. It has
//! no tokio, no clock of its own making and no files beside pipes.
//!
//! # Threads
//!
//! The main thread is one loop over epoll: requests, exits, pipes, alarms. Beside it:
//! * `spawners.rs`: `spawn-n`, one for each cpu and [`bounds::SPAWN_THREADS_SPARE`] more, which
//!   wait in posix_spawn for the exec, and then a moment for the end

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bounds;
pub mod clock;
mod control;
mod end;
pub mod environment;
pub mod family;
mod fences;
mod files;
mod guard;
mod outgoing;
mod output;
pub mod packed;
mod places;
pub mod protocol;
mod requests;
mod serve;
mod settle;
mod spawn;
mod spawners;
mod sys;
mod table;
mod task;

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};

/// The first argument of a program that is to be its supervisor.
pub const ARGUMENT: &str = "__supervisor";

/// Called first thing in `main` when the first argument is [`ARGUMENT`].
pub fn main() -> ExitCode {
    sys::close_inherited();
    sys::outlive_signals();
    let mut arguments = std::env::args_os().skip(2);
    if arguments.next().is_some_and(|argument| argument == guard::ARGUMENT) {
        return guard::main(arguments);
    }
    let listener = take_listener();
    match take_control().and_then(|control| serve::Supervisor::new(control, listener)) {
        Ok(supervisor) => {
            supervisor.run();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "supervisor: cannot start: {error}; `{ARGUMENT}` is how dagmar starts itself, \
                 with a socket as stdin, and nothing for people to type"
            );
            ExitCode::from(2)
        }
    }
}

/// Stdout, where it is a socket that listens, for daemons that come later; /dev/null in its place.
fn take_listener() -> Option<OwnedFd> {
    let stdout = rustix::stdio::stdout();
    if !rustix::net::sockopt::socket_acceptconn(stdout).is_ok_and(|listens| listens) {
        return None;
    }
    let listener = rustix::io::fcntl_dupfd_cloexec(stdout, 3).ok()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()?;
    rustix::stdio::dup2_stdout(&null).ok()?;
    Some(listener)
}

/// Stdin as the control socket, and /dev/null in its place; a session and orphans of its own.
fn take_control() -> io::Result<OwnedFd> {
    let stdin = rustix::stdio::stdin();
    rustix::net::sockopt::socket_type(stdin)?;
    let control = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    // So that a Ctrl-C in the daemon's terminal is the daemon's to handle. Fails only for one
    // that leads a group already, and then it is away from that terminal's group anyway.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(control)
}
