//! Processes of one host, pretended: they take a while, end, and die when they are told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::graph::Care;
use dagmar_common::ids::{Fence, RunNo};
use dagmar_common::lease::{Ending, ExitReason, Outcome, Output, OutputWay, Start};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_worker_core::{Input, Remembered, RememberedAs, Stop};

use crate::random::Random;

/// A process from its request to the moment in which its daemon has heard of its end.
#[derive(Clone, Debug)]
struct Process {
    run: RunNo,
    path: Arc<str>,
    attempt: u32,
    care: Care,
    began: Option<BootTime>,
    ends: BootTime,
    stopped: Option<Stop>,
    /// Stopped at its deadline: its daemon did not ask for it.
    overdue: bool,
}

/// What the host's disk keeps of one fence.
#[derive(Clone, Debug)]
struct Record {
    run: RunNo,
    path: Arc<str>,
    cpu_millis: u32,
    /// Written through to the disk before the start.
    is_synced: bool,
    exit: Option<Outcome>,
}

/// The supervisor, its processes, and the records of both; it outlives its daemon.
#[derive(Debug, Default)]
pub struct Executor {
    processes: BTreeMap<Fence, Process>,
    /// Those of a supervisor that died; the next daemon kills them before anything else.
    orphans: Vec<Process>,
    records: BTreeMap<Fence, Record>,
    /// No daemon is there whose requests would be read.
    is_alone: bool,
    /// Every fence that a process was made for on this host, ever.
    spawned: BTreeSet<Fence>,
    /// What the daemon has not heard yet.
    pub events: Vec<Input>,
    /// How long processes take, in milliseconds, and what they may write.
    pub habits: Habits,
    /// What lives of a worker in its coordinator's process have begun.
    pub left: BTreeSet<Fence>,
    /// Until when exclusive processes may live; the supervisor holds it.
    deadline: Option<BootTime>,
    /// In the process of its only coordinator there is none.
    pub is_endless: bool,
    /// Processes of trials that may run once, which did run since somebody looked.
    pub ran_once: Vec<(Attempt, Fence)>,
}

/// Run, path and attempt: what has one outcome.
pub type Attempt = (RunNo, Arc<str>, u32);

#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub millis: &'static [u64],
    pub writes: &'static [&'static str],
}

impl Default for Habits {
    fn default() -> Self {
        Habits { millis: &[1, 20, 400, 3_000, 20_000], writes: &[] }
    }
}

impl Executor {
    pub fn run(&mut self, start: Start, now: BootTime, random: &mut Random) {
        let (run, path) = (start.name.run, start.name.path.clone());
        let cpu_millis = start.task.resources.cpu_millis;
        let is_synced = start.task.care != Care::default();
        let record = Record { run, path: path.clone(), cpu_millis, is_synced, exit: None };
        self.records.insert(start.fence, record);
        let lasts = random.pick(self.habits.millis) + random.below(50) as u64;
        let ends = now + Span::from_millis(lasts);
        let (attempt, care) = (start.name.attempt, start.task.care);
        let process =
            Process { run, path, attempt, care, began: None, ends, stopped: None, overdue: false };
        let twin =
            self.processes.values().find(|other| (other.run, &other.path) == (run, &process.path));
        assert!(twin.is_none(), "{} of {run} begins beside an older process of it", process.path);
        assert!(self.spawned.insert(start.fence), "fence {} is started twice", start.fence);
        let has_time = self.deadline.is_some_and(|at| now + Span::from_secs(1) <= at);
        let has_time = has_time || lives(Mutant::StartsWithoutDeadline);
        let is_late = care.exclusive && !self.is_endless && !has_time;
        if is_late || random.chance(1, 40) {
            self.events.push(Input::ProcessNotStarted { fence: start.fence });
            return;
        }
        self.processes.insert(start.fence, process);
    }

    pub fn stop(&mut self, fence: Fence, why: Stop, now: BootTime, random: &mut Random) {
        let Some(process) = self.processes.get_mut(&fence) else { return };
        process.stopped = Some(why);
        let ends = now + Span::from_millis(random.pick(&[1, 100, 2_500]));
        process.ends = process.ends.min(ends);
    }

    /// What is exclusive, and not about to die, takes so much longer: it meets its deadline.
    pub fn linger(&mut self, span: Span) {
        self.lengthen(span, |process| process.care.exclusive);
    }

    /// Also what is not.
    pub fn all_linger(&mut self, span: Span) {
        self.lengthen(span, |_| true);
    }

    fn lengthen(&mut self, span: Span, which: fn(&Process) -> bool) {
        let all = self.processes.values_mut().chain(&mut self.orphans);
        let runs = |process: &&mut Process| which(process) && process.stopped.is_none();
        all.filter(runs).for_each(|process| process.ends = process.ends + span);
    }

    pub fn holds(&mut self, deadline: BootTime) {
        self.deadline = self.deadline.max(Some(deadline));
    }

    /// Run and path of each exclusive trial that has a process here, for the judge.
    pub fn exclusive(&self) -> impl Iterator<Item = (RunNo, &Arc<str>)> {
        let all = self.processes.values().chain(&self.orphans);
        let exclusive = all.filter(|process| process.care.exclusive);
        exclusive.map(|process| (process.run, &process.path))
    }

    pub fn runs_exclusive(&self) -> bool {
        let runs = |process: &Process| process.care.exclusive && process.began.is_some();
        self.processes.values().any(runs)
    }

    pub fn forget(&mut self, fences: &[Fence]) {
        fences.iter().for_each(|fence| {
            self.records.remove(fence);
        });
    }

    /// Everything up to `now` happens.
    pub fn advance(&mut self, now: BootTime, random: &mut Random) {
        if self.deadline.is_some_and(|at| at <= now && !lives(Mutant::NoDeadline)) {
            let late = self.processes.values_mut().filter(|process| process.care.exclusive);
            for process in late.filter(|process| process.stopped != Some(Stop::NotLeased)) {
                // As a kill: the supervisor reports it stopped by us, so no outcome.
                process.stopped = Some(Stop::NotLeased);
                process.overdue = true;
                let ends = now + Span::from_millis(random.pick(&[1, 100, 2_500]));
                process.ends = process.ends.min(ends);
            }
        }
        self.orphans.retain(|process| process.ends > now);
        let due = |process: &Process| process.ends <= now;
        let ended: Vec<Fence> = self
            .processes
            .iter()
            .filter(|(_, process)| due(process))
            .map(|(fence, _)| *fence)
            .collect();
        for (fence, process) in &mut self.processes {
            let is_unread = process.began.is_none() && process.stopped.is_none();
            if is_unread && !self.is_alone && random.chance(2, 3) {
                process.began = Some(now);
                if process.care.once {
                    let attempt = (process.run, process.path.clone(), process.attempt);
                    self.ran_once.push((attempt, *fence));
                }
                self.events.push(Input::ProcessStarted { fence: *fence, at: wall(now) });
            }
        }
        for fence in ended {
            let Some(process) = self.processes.remove(&fence) else { continue };
            self.ends(fence, process, now, random);
        }
    }

    fn ends(&mut self, fence: Fence, process: Process, now: BootTime, random: &mut Random) {
        if process.stopped.is_some() && process.began.is_none() && random.chance(1, 2) {
            self.events.push(Input::ProcessNotStarted { fence });
            return;
        }
        if process.care.once && process.began.is_none() {
            self.ran_once.push(((process.run, process.path, process.attempt), fence));
        }
        let is_ours = process.stopped == Some(Stop::NotLeased);
        if process.overdue || is_ours && random.chance(1, 2) {
            self.events.push(Input::ProcessStopped { fence });
            return;
        }
        let ending = match process.stopped {
            None if random.chance(1, 8) => Ending::Failed(ExitReason::Code(1)),
            None => Ending::Succeeded,
            Some(_) => random.pick(&[
                Ending::Failed(ExitReason::Signal(15)),
                Ending::Failed(ExitReason::Signal(9)),
                Ending::Succeeded,
            ]),
        };
        let mut outcome = outcome(fence, ending, process.began.unwrap_or(now));
        outcome.outputs = self.outputs(random);
        if process.stopped.is_none()
            && let Some(record) = self.records.get_mut(&fence)
        {
            record.exit = Some(outcome.clone());
        }
        self.events.push(Input::ProcessEnded(outcome));
    }

    fn outputs(&self, random: &mut Random) -> Vec<Output> {
        let written = self.habits.writes.iter().filter(|_| random.chance(1, 3));
        let written: Vec<&str> = written.copied().collect();
        let output = |name: &str| {
            let value = random.pick(&["[1, 2]", "[]", "\"a value of some length\"", "7"]);
            let way = random.pick(&[OutputWay::File, OutputWay::Variable]);
            Output { name: name.into(), value: Value::from_loose(value), way }
        };
        written.into_iter().map(output).collect()
    }

    /// When the next of its processes changes.
    pub fn wakes_at(&self) -> Option<BootTime> {
        let all = self.processes.values().chain(&self.orphans);
        let ends = all.map(|process| process.ends).min();
        let mut exclusive = self.processes.values().filter(|process| process.care.exclusive);
        let is_held = exclusive.any(|process| !process.overdue) && !lives(Mutant::NoDeadline);
        let deadline = is_held.then_some(self.deadline);
        ends.into_iter().chain(deadline.flatten()).min()
    }

    /// The daemon is gone, and with it what it had not heard and what had not begun.
    pub fn daemon_dies(&mut self) {
        self.events.clear();
        self.is_alone = true;
        let unread = lives(Mutant::UnreadRequestsLive);
        self.processes.retain(|_, process| process.began.is_some() || unread);
    }

    /// Nobody owns its processes then; guards kill the exclusive ones. What the host recorded
    /// stays.
    pub fn supervisor_dies(&mut self) {
        self.events.clear();
        let is_guarded = |process: &Process| process.care.exclusive && !lives(Mutant::NoGuard);
        let processes = std::mem::take(&mut self.processes).into_values();
        let live_on = processes.filter(|process| process.began.is_some() && !is_guarded(process));
        self.orphans.extend(live_on);
        self.deadline = None;
    }

    /// A daemon starts: what an older supervisor left is killed.
    pub fn daemon_starts(&mut self) {
        self.orphans.clear();
        self.is_alone = false;
    }

    /// Something was asked for, and nobody has read it yet.
    pub fn has_unread(&self) -> bool {
        self.processes.values().any(|process| process.began.is_none())
    }

    /// And of what was recorded, the last is lost.
    pub fn loses_power(&mut self, random: &mut Random) {
        self.supervisor_dies();
        self.orphans.clear();
        for record in self.records.values_mut().filter(|_| random.chance(1, 2)) {
            record.exit = None;
        }
        let stays = |record: &Record, random: &mut Random| {
            record.is_synced || record.exit.is_some() || random.chance(1, 2)
        };
        self.records.retain(|_, record| stays(record, random));
    }

    /// It lived in the process of its coordinator, which died: what it had begun is known by its
    /// records, and nothing else is left of it.
    pub fn ends_with_all(&mut self, power: bool, random: &mut Random) {
        if power {
            self.loses_power(random);
        }
        self.supervisor_dies();
        self.orphans.clear();
        self.left.extend(std::mem::take(&mut self.records).into_keys());
    }

    /// The records of another host.
    pub fn copies(&mut self, other: &Executor) {
        self.records = other.records.clone();
    }

    /// What a new daemon finds.
    pub fn found(&self) -> Vec<Remembered> {
        let records = self.records.iter().map(|(fence, record)| {
            let state = match (&record.exit, self.processes.get(fence)) {
                (Some(outcome), _) => RememberedAs::Finished(outcome.clone()),
                // Mutant::UnreadRequestsLive: listed before it is read.
                (None, Some(process)) if process.began.is_none() => {
                    RememberedAs::Gone { started: false }
                }
                (None, Some(process)) => RememberedAs::Running { stopping: process.stopped },
                (None, None) => RememberedAs::Gone { started: true },
            };
            let (run, path, cpu_millis) = (record.run, record.path.clone(), record.cpu_millis);
            Remembered { fence: *fence, run, path, cpu_millis, state }
        });
        records.collect()
    }

    pub fn is_idle(&self) -> bool {
        self.processes.is_empty() && self.events.is_empty()
    }

    pub fn remembers_nothing(&self) -> bool {
        self.records.is_empty()
    }
}

pub fn wall(boot: BootTime) -> WallTime {
    WallTime(1_700_000_000_000_000 + boot.0 as i64)
}

pub fn outcome(fence: Fence, ending: Ending, began: BootTime) -> Outcome {
    Outcome {
        fence,
        ending,
        began: wall(began),
        took: Span::from_millis(1),
        outputs: Vec::new(),
        log: None,
        last_lines: "".into(),
    }
}
