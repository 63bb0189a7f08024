//! The way to the daemon: one connection at a time, and what happens while there is none.

use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::net::sockopt::socket_peercred;
use std::os::fd::OwnedFd;

use crate::bounds::EXCLUSIVE_GRACE_US;
use crate::protocol::{Cause, Event, Exited, Frames, Held, OnClose};
use crate::serve::Supervisor;

impl Supervisor {
    /// True if this supervisor goes on without its daemon.
    pub(crate) fn lose_control(&mut self, now: u64) -> bool {
        let OnClose::Keep { for_us } = self.on_close else { return false };
        if self.listener.is_none() || self.closing {
            return false;
        }
        self.drop_control();
        self.gives_up_at = Some(now.saturating_add(for_us));
        true
    }

    /// What it sent and was not read is nobody's word any more.
    fn drop_control(&mut self) {
        self.control = None;
        self.frames = Frames::default();
        self.greeted = false;
        self.outgoing.lost();
    }

    /// Another daemon is here. The one before it, if it still is, is not heard any more: what is
    /// listed for the new one is all that there ever will be of its requests.
    pub(crate) fn accept(&mut self) {
        loop {
            let Some(listener) = &self.listener else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let control = match rustix::net::accept_with(listener, flags) {
                Ok(control) => control,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return,
            };
            if !is_ours(&control) || self.closing {
                continue;
            }
            if !self.hear_control(&control) {
                continue;
            }
            self.drop_control();
            self.control = Some(control);
            self.is_listed = false;
            self.gives_up_at = None;
        }
    }

    /// True once this daemon may be told anything at all: what it does not know of, it is told of
    /// by the list first.
    pub(crate) fn speaks(&self) -> bool {
        self.control.is_some() && self.is_listed
    }

    /// All that runs, then what was written while nobody listened, then what has ended and no
    /// daemon said it heard.
    pub(crate) fn list(&mut self) {
        if !std::mem::replace(&mut self.is_listed, true) {
            self.outgoing.lost();
            self.outgoing.unblock();
            self.welcome();
        }
        let held = self.tasks.each().map(|task| {
            let process = task.process.as_ref();
            let cause = process.map_or(Cause::Itself, |process| process.cause());
            let began = process.map(|process| process.started(task.fence));
            Held { fence: task.fence, began, cause }
        });
        let held = Event::Held(held.collect());
        self.outgoing.push(&held);
        self.outgoing.push_backlog();
        for exited in self.unheard.values() {
            self.outgoing.push(&exited.event());
        }
    }

    pub(crate) fn welcome(&mut self) {
        self.outgoing.push(&Event::Welcome { pid: std::process::id() });
    }

    /// Tells how a task ended; again to every daemon that comes, until one has heard it.
    pub(crate) fn tell_end(&mut self, end: End) {
        self.tell_end_by(end, 0);
    }

    pub(crate) fn tell_end_by(&mut self, end: End, by: u64) {
        self.outgoing.push_lazily(&end.event(), by);
        if self.on_close != OnClose::Kill {
            self.unheard.insert(end.fence(), end);
        }
    }

    /// Nobody may know any more that these run here: another may be granted them soon.
    pub(crate) fn stop_overdue(&mut self, now: u64) {
        let is_over = || self.spawners.deadline().is_some_and(|at| at <= now);
        if !self.tasks.has_exclusive() || !is_over() {
            return;
        }
        for slot in self.tasks.exclusive() {
            let Some(task) = self.tasks.get(slot) else { continue };
            let Some(process) = &mut task.process else { continue };
            process.stop(Cause::Deadline, now.saturating_add(EXCLUSIVE_GRACE_US));
            if process.ended().is_none() {
                let due = task.due();
                self.tasks.set_alarm(slot, due);
            }
        }
    }
}

/// How a task ended, kept until a daemon has it where it outlives that daemon.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Exited(Exited),
    NeverBegan { fence: u64 },
    NotStarted { fence: u64, step: crate::protocol::StartStep, errno: i32 },
}

impl End {
    fn fence(&self) -> u64 {
        match self {
            End::Exited(exited) => exited.fence,
            End::NeverBegan { fence } | End::NotStarted { fence, .. } => *fence,
        }
    }

    fn event(&self) -> Event<'static> {
        match *self {
            End::Exited(exited) => Event::Exited(exited),
            End::NeverBegan { fence } => Event::NeverBegan { fence },
            End::NotStarted { fence, step, errno } => Event::NotStarted { fence, step, errno },
        }
    }
}

/// Only the user that this supervisor runs as may speak to it.
fn is_ours(control: &OwnedFd) -> bool {
    socket_peercred(control).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}
