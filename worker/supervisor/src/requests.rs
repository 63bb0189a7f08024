//! What the daemon asks, carried out.

use std::sync::Arc;

use rustix::io::Errno;

use crate::bounds::STAY_US;
use crate::control::End;
use crate::protocol::{Cause, Event, Request, Spawn};
use crate::serve::{Supervisor, Which, token};
use crate::spawn::Job;
use crate::task::{Asked, Task};

impl Supervisor {
    /// Reads all that is there. An error: the daemon is gone, or speaks otherwise.
    pub(crate) fn read_requests(&mut self, now: u64) -> Result<(), ()> {
        loop {
            let Some(control) = &self.control else { return Ok(()) };
            match self.frames.read_from(control) {
                Ok(0) => return Err(()),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(_) => return Err(()),
            }
            // Taken out, so that requests may borrow from it while they change the rest.
            let mut frames = std::mem::take(&mut self.frames);
            let result = loop {
                match frames.next_body().map(|body| body.map(Request::read)) {
                    Ok(None) => break Ok(()),
                    Ok(Some(Ok(request))) => match self.answer(request, now) {
                        Ok(()) => {}
                        Err(()) => break Err(()),
                    },
                    Ok(Some(Err(malformed))) | Err(malformed) => {
                        eprintln!("supervisor: the daemon sent {malformed}; ending its tasks");
                        break Err(());
                    }
                }
            };
            self.frames = frames;
            result?;
        }
    }

    fn answer(&mut self, request: Request<'_>, now: u64) -> Result<(), ()> {
        if self.greeted == matches!(request, Request::Hello { .. }) {
            eprintln!("supervisor: a hello stands first, and nowhere else; ending its tasks");
            return Err(());
        }
        match request {
            Request::Hello { on_close, cpu_millis, mark } => {
                self.greeted = true;
                self.on_close = on_close;
                self.spawners.resize(cpu_millis);
                // Processes carry the first one.
                if self.environments.mark().is_empty() {
                    self.environments.set_mark(mark);
                }
                if self.is_listed {
                    self.welcome();
                }
            }
            Request::Environment { number, over, entries } => {
                self.environments.define(number, over, entries);
            }
            Request::Forget { number } => self.environments.forget(number),
            Request::Spawn(spawn) => self.start(&spawn),
            Request::Stop { fence, grace_us } => {
                self.ask_fence(fence, Asked::Stop { grace_us }, now);
            }
            Request::Kill { fence } => self.ask_fence(fence, Asked::Kill, now),
            Request::List => self.list(),
            Request::Heard { fence } => {
                self.unheard.remove(&fence);
            }
            Request::Deadline { at_us } => self.spawners.extend(at_us),
            Request::Shutdown { grace_us } => {
                self.closing = true;
                self.take_back_waiting();
                for slot in self.tasks.slots() {
                    self.ask(slot, Asked::Shutdown { grace_us }, now);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, spawn: &Spawn<'_>) {
        let environment = self.environments.get(spawn.environment);
        let Some(environment) = environment.filter(|_| !self.closing) else {
            self.outgoing.push(&Event::Refused { fence: spawn.fence, started: false });
            return;
        };
        let environment = Arc::clone(environment);
        if !self.started.insert(spawn.fence) {
            self.outgoing.push(&Event::Refused { fence: spawn.fence, started: true });
            return;
        }
        let slot = self.tasks.insert(Task::new(spawn));
        let job = Job {
            slot,
            cpu_millis: spawn.cpu_millis,
            stay_us: spawn.time_limit_us.map_or(STAY_US, |limit| limit.min(STAY_US)),
            guarded: spawn.exclusive.then(|| (self.environments.mark().to_vec(), spawn.fence)),
            token: token(slot, Which::Process),
            environment,
            additions: spawn.additions.to_packed(),
            directory: spawn.directory.to_packed(),
            words: spawn.words.to_packed(),
        };
        self.spawners.push(job);
    }

    /// Nothing to do for one that has ended: its exit is on its way.
    fn ask_fence(&mut self, fence: u64, asked: Asked, now: u64) {
        if let Some(slot) = self.tasks.slot_of(fence) {
            self.ask(slot, asked, now);
        }
    }

    /// None of what waits for cpus begins any more.
    fn take_back_waiting(&mut self) {
        for slot in self.spawners.take_back_all() {
            self.never_began(slot);
        }
    }

    pub(crate) fn never_began(&mut self, slot: u32) {
        if let Some(task) = self.tasks.remove(slot) {
            self.tell_end(End::NeverBegan { fence: task.fence });
        }
    }

    pub(crate) fn ask(&mut self, slot: u32, asked: Asked, now: u64) {
        let Some(task) = self.tasks.get(slot) else { return };
        let Some(process) = &mut task.process else {
            if self.spawners.take_back(slot) {
                self.never_began(slot);
            } else {
                task.asked = Some(asked);
            }
            return;
        };
        match asked {
            Asked::Stop { grace_us } => {
                process.stop(Cause::Stopped, now.saturating_add(grace_us));
            }
            Asked::Shutdown { grace_us } => {
                process.stop(Cause::Shutdown, now.saturating_add(grace_us));
            }
            Asked::Kill => {
                process.kill();
                if process.ended().is_some() {
                    // Its leader has ended, and the rest is waited for: no longer.
                    process.kill_rest(now);
                    self.settle(slot, now);
                    return;
                }
            }
        }
        if process.ended().is_none() {
            let due = task.due();
            self.tasks.set_alarm(slot, due);
        }
    }
}
