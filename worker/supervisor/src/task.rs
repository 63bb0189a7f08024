//! One task under its fence, from its request to the end of its last process.
//!
//! ```text
//! waiting ──► running ──► stopping (TERM, until its grace is over) ──► killed
//!    │           └────────────┴─────────────┬───────────────────────────┘
//!    └─► never began, not started           ▼
//!                             ended: its leader is a zombie, which keeps pid and group
//!                             its own, until its streams are closed and nothing is left
//! ```

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::bounds::LINGER_US;
use crate::guard::Guard;
use crate::output::Pipe;
use crate::protocol::{Cause, Exit, Spawn, Started, Stream};
use crate::spawn::Begun;

pub struct Task {
    pub fence: u64,
    pub output_max: u64,
    pub cpu_millis: u32,
    pub time_limit_us: Option<u64>,
    grace_us: u64,
    pub exclusive: bool,
    /// What was asked before it began.
    pub asked: Option<Asked>,
    pub process: Option<Process>,
    /// When the table wakes it.
    pub alarm: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub enum Asked {
    Stop { grace_us: u64 },
    Shutdown { grace_us: u64 },
    Kill,
}

pub struct Process {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub pipes: [Pipe; 2],
    /// Its pipes are watched by epoll.
    pub watched: bool,
    pub guard: Option<Guard>,
    began_wall: i64,
    began: u64,
    cause: Cause,
    limit_at: Option<u64>,
    /// Asked to stop; the end of its grace.
    kill_at: Option<u64>,
    ended: Option<Ended>,
}

/// Its leader has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub at: u64,
    /// Its survivors outside its group were asked to stop.
    pub asked_rest: bool,
    /// When the rest of it was killed.
    pub killed: Option<u64>,
}

impl Task {
    pub fn new(spawn: &Spawn<'_>) -> Self {
        Task {
            fence: spawn.fence,
            output_max: spawn.output_max,
            cpu_millis: spawn.cpu_millis,
            time_limit_us: spawn.time_limit_us,
            grace_us: spawn.grace_us,
            exclusive: spawn.exclusive,
            asked: None,
            process: None,
            alarm: None,
        }
    }

    pub fn begin(&mut self, begun: Begun) -> &mut Process {
        let [stdout, stderr] = begun.pipes;
        self.process.insert(Process {
            pid: begun.pid,
            pidfd: begun.pidfd,
            pipes: [Pipe::new(Stream::Stdout, stdout), Pipe::new(Stream::Stderr, stderr)],
            watched: false,
            guard: begun.guard,
            began_wall: begun.wall_us,
            began: begun.boot_us,
            cause: Cause::Itself,
            limit_at: self.time_limit_us.map(|limit| begun.boot_us.saturating_add(limit)),
            kill_at: None,
            ended: None,
        })
    }

    /// What is due: the time limit, or the end of the grace that it, or a stop, gave.
    pub fn ring(&mut self, now: u64) {
        let grace_us = self.grace_us;
        let Some(process) = &mut self.process else { return };
        if process.ended.is_some() {
            return;
        }
        if process.kill_at.is_some_and(|at| at <= now) {
            process.kill_at = None;
            process.signal(Signal::KILL);
        } else if process.limit_at.is_some_and(|at| at <= now) {
            process.limit_at = None;
            process.stop(Cause::TimeLimit, now.saturating_add(grace_us));
        }
    }

    /// When `ring` has something to do; None also while its leader has ended.
    pub fn due(&self) -> Option<u64> {
        let process = self.process.as_ref()?;
        if process.ended.is_some() { None } else { process.kill_at.or(process.limit_at) }
    }
}

impl Process {
    /// TERM now, KILL at `kill_at`. The first cause stands; an earlier KILL is taken.
    pub fn stop(&mut self, cause: Cause, kill_at: u64) {
        if self.ended.is_some() {
            return;
        }
        if self.cause == Cause::Itself {
            self.cause = cause;
            self.signal(Signal::TERM);
            // One that was stopped (SIGSTOP) hears nothing else.
            self.signal(Signal::CONT);
        }
        if self.cause != Cause::Killed {
            self.kill_at = Some(self.kill_at.map_or(kill_at, |at| at.min(kill_at)));
        }
    }

    pub fn kill(&mut self) {
        if self.ended.is_none() {
            self.cause = Cause::Killed;
            self.kill_at = None;
        }
        self.signal(Signal::KILL);
    }

    /// To its whole group. Its leader is not reaped before the last signal, so the number is its.
    pub fn signal(&self, signal: Signal) {
        // It may be gone, or have become somebody else's (setuid): nothing more can be done.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    pub fn end(&mut self, now: u64) {
        if self.ended.is_none() {
            self.ended = Some(Ended { at: now, asked_rest: false, killed: None });
        }
    }

    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// True once: its survivors outside its group have not heard the TERM of the group.
    pub fn ask_rest(&mut self) -> bool {
        let Some(ended) = &mut self.ended else { return false };
        !std::mem::replace(&mut ended.asked_rest, true) && self.is_stopping()
    }

    /// Kills what is left of its group, and remembers when it first did.
    pub fn kill_rest(&mut self, now: u64) {
        self.signal(Signal::KILL);
        if let Some(ended) = &mut self.ended {
            ended.killed.get_or_insert(now);
        }
    }

    /// How long the rest of its group may go on behind its leader: to the end of the grace where
    /// it was asked to stop, else a moment.
    pub fn rest_until(&self, ended: &Ended) -> u64 {
        if self.is_stopping() {
            self.kill_at.unwrap_or(ended.at)
        } else {
            ended.at.saturating_add(LINGER_US)
        }
    }

    pub fn is_stopping(&self) -> bool {
        matches!(self.cause, Cause::Stopped | Cause::TimeLimit | Cause::Shutdown | Cause::Deadline)
    }

    pub fn is_quiet(&self) -> bool {
        self.pipes.iter().all(Pipe::is_closed)
    }

    pub fn cause(&self) -> Cause {
        self.cause
    }

    pub fn guard_pid(&self) -> Option<u32> {
        self.guard.as_ref().map(Guard::pid)
    }

    pub fn started(&self, fence: u64) -> Started {
        let pid = self.pid.as_raw_nonzero().get().unsigned_abs();
        Started { fence, pid, wall_us: self.began_wall, boot_us: self.began }
    }

    pub fn took_us(&self, ended_at: u64) -> u64 {
        ended_at.saturating_sub(self.began)
    }

    pub fn dropped(&self) -> u64 {
        self.pipes.iter().map(Pipe::dropped).sum()
    }
}

/// The last act: from here on the pid may be another's.
pub fn reap(pidfd: &OwnedFd) -> Option<Exit> {
    let id = WaitId::PidFd(pidfd.as_fd());
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(id, options).ok()??;
    if let Some(code) = status.exit_status() {
        return Some(Exit::Code(code as u8));
    }
    status.terminating_signal().map(|signal| Exit::Signal(signal as u8))
}
