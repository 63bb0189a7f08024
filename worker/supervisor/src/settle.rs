//! The end of a task: its streams drained, what it left behind killed, its exit told.

use std::collections::HashSet;

use rustix::process::Signal;

use crate::bounds::{DRAIN_BYTES_MAX, GONE_WITHIN_US, KILLED_EVERY_US, SURVIVORS_EVERY_US};
use crate::control::End;
use crate::family::{self, Shown};
use crate::protocol::{Exit, Exited, Stream};
use crate::serve::Supervisor;
use crate::task::{Ended, Process, reap};

impl Supervisor {
    pub(crate) fn leader_ended(&mut self, slot: u32, now: u64) {
        let Some(process) = self.process(slot) else { return };
        process.end(now);
        self.tasks.set_alarm(slot, None);
        self.settle(slot, now);
    }

    /// Brings a task whose leader has ended one step further: again at each closed pipe and each
    /// alarm, until it is gone.
    pub(crate) fn settle(&mut self, slot: u32, now: u64) {
        let Some(ended) = self.process(slot).and_then(|process| process.ended()) else { return };
        if ended.killed.is_none() && !self.let_rest_end(slot, &ended, now) {
            return;
        }
        let killed = ended.killed.unwrap_or(now);
        let survivors = self.survivors(slot);
        for survivor in &survivors {
            family::kill(survivor.pid);
        }
        // While a daemon does not read, what a pipe still holds stays in it.
        let drained = self.drain(slot, now);
        let hangs = now >= killed + GONE_WITHIN_US;
        if drained && (survivors.is_empty() || hangs) {
            self.tell_exit(slot, &ended, now);
        } else {
            self.tasks.set_alarm(slot, Some(now + KILLED_EVERY_US));
        }
    }

    /// True once the rest of the group is killed: when the streams are closed and nobody is to
    /// be waited for, or when its time is over.
    fn let_rest_end(&mut self, slot: u32, ended: &Ended, now: u64) -> bool {
        self.drain(slot, now);
        let Some(process) = self.process(slot) else { return false };
        let until = process.rest_until(ended);
        let (quiet, stopping) = (process.is_quiet(), process.is_stopping());
        if now < until && (stopping || !quiet) {
            let survivors = if stopping { self.survivors(slot) } else { Vec::new() };
            if !quiet || !survivors.is_empty() {
                self.ask_rest(slot, &survivors);
                self.watch(slot);
                let next = if stopping { until.min(now + SURVIVORS_EVERY_US) } else { until };
                self.tasks.set_alarm(slot, Some(next));
                return false;
            }
        }
        if let Some(process) = self.process(slot) {
            process.kill_rest(now);
        }
        true
    }

    fn ask_rest(&mut self, slot: u32, survivors: &[Shown]) {
        let Some(process) = self.process(slot) else { return };
        let group = pid_of(process);
        if process.ask_rest() {
            let outside = survivors.iter().filter(|survivor| survivor.group != group);
            for pid in outside.filter_map(|survivor| family::to_pid(survivor.pid)) {
                let _ = rustix::process::kill_process(pid, Signal::TERM);
            }
        }
    }

    /// False if there was no room for all that lies in the pipes.
    fn drain(&mut self, slot: u32, now: u64) -> bool {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.process(slot).is_none_or(|process| process.pipes[stream as usize].is_closed()) {
                continue;
            }
            if self.outgoing.is_full() {
                return false;
            }
            self.read_pipe(slot, stream, DRAIN_BYTES_MAX, now);
        }
        true
    }

    fn tell_exit(&mut self, slot: u32, ended: &Ended, now: u64) {
        let Some(task) = self.tasks.get(slot) else { return };
        let Some(process) = &mut task.process else { return };
        if let Some(guard) = process.guard.take() {
            guard.release();
        }
        // Only what was reaped behind our back has no status; nobody here does that.
        let exit = reap(&process.pidfd).unwrap_or(Exit::Signal(0));
        // Before the rest, so that the cpu that it leaves does not wait.
        self.spawners.release(task.cpu_millis);
        self.leaves(slot, exit, ended.at, now);
    }

    /// It is gone, and its place is another's.
    pub(crate) fn leaves(&mut self, slot: u32, exit: Exit, at_us: u64, now: u64) {
        let Some(task) = self.tasks.remove(slot) else { return };
        let Some(process) = task.process else { return };
        let by = self.flush_by(now);
        let end = End::Exited(Exited {
            fence: task.fence,
            exit,
            cause: process.cause(),
            took_us: process.took_us(at_us),
            dropped: process.dropped(),
        });
        self.tell_end_by(end, by);
        if self.tasks.is_empty() {
            self.sweep_orphans();
        }
    }

    /// Processes of this task that outlive its leader: members of its group, and those that left
    /// it (setsid) but carry its fence, with all that is under them.
    fn survivors(&mut self, slot: u32) -> Vec<Shown> {
        let roots = self.orphan_roots();
        if roots.is_empty() {
            return Vec::new();
        }
        let Some(task) = self.tasks.get(slot) else { return Vec::new() };
        let fence = task.fence;
        let Some(group) = task.process.as_ref().map(pid_of) else { return Vec::new() };
        let mut found = Vec::new();
        for root in roots {
            let whole = self.fence_of(root) == Some(fence);
            let members = family::tree(root).into_iter().filter_map(family::show);
            found.extend(members.filter(|shown| {
                let own = whole || shown.group == group || self.fence_of(shown.pid) == Some(fence);
                own && !shown.zombie
            }));
        }
        found
    }

    /// Kills orphans whose trial has ended; with no task left, all of them. One that hid both its
    /// group and its marks is not known from those of the tasks that still run.
    pub(crate) fn sweep_orphans(&mut self) {
        let roots = self.orphan_roots();
        if roots.is_empty() {
            return;
        }
        let groups: HashSet<u32> =
            self.tasks.each().filter_map(|task| task.process.as_ref()).map(pid_of).collect();
        for root in roots {
            let members: Vec<Shown> =
                family::tree(root).into_iter().filter_map(family::show).collect();
            let lives = members.iter().any(|shown| groups.contains(&shown.group));
            let ended = match self.fence_of(root) {
                Some(fence) => self.tasks.slot_of(fence).is_none(),
                None => self.tasks.is_empty(),
            };
            if ended && !lives {
                members.iter().for_each(|member| family::kill(member.pid));
            }
        }
    }

    fn orphan_roots(&mut self) -> Vec<u32> {
        let leaders: HashSet<u32> = match self.orphans.lists_leaders() {
            true => {
                let processes = self.tasks.each().filter_map(|task| task.process.as_ref());
                processes.flat_map(|one| [Some(pid_of(one)), one.guard_pid()]).flatten().collect()
            }
            false => HashSet::new(),
        };
        self.orphans.roots(|pid| leaders.contains(&pid))
    }

    /// Only marks of this supervisor count: a task may itself run a supervisor.
    fn fence_of(&self, pid: u32) -> Option<u64> {
        let marks = family::marks_of(pid);
        let ours = marks.supervisor.as_deref() == Some(self.environments.mark());
        marks.fence.filter(|_| ours)
    }

    fn process(&mut self, slot: u32) -> Option<&mut Process> {
        self.tasks.get(slot)?.process.as_mut()
    }
}

fn pid_of(process: &Process) -> u32 {
    process.pid.as_raw_nonzero().get().unsigned_abs()
}
