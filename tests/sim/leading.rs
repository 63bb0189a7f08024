//! A simulated coordinator of one replica: its log, its state, and whoever leads it now.

use std::collections::VecDeque;

use dagmar_common::ids::{LogIndex, Term};
use dagmar_common::time::{BootTime, LogTime, WallTime};
use dagmar_coordinator_core::command::{Batch, Command, Position};
use dagmar_coordinator_core::effect::{Applied, Effect};
use dagmar_coordinator_core::leader::{Input, Leader, Now, Output};

use crate::brain::Brain;
use crate::judge::Entry;
use crate::manners::{Manners, Readiness};

pub struct Coordinator<B> {
    pub brain: B,
    /// None between two leaders.
    pub leader: Option<Leader>,
    pub term: Term,
    index: LogIndex,
    /// Log time when this leader came, and its clock then.
    came: (LogTime, BootTime),
    log_time: LogTime,
    proposed: VecDeque<Command>,
    /// Written, and not yet committed.
    written: VecDeque<Batch>,
    rounds: VecDeque<u64>,
    inputs: Vec<Input>,
    applied: Applied,
    pub manners: Manners,
    readiness: Readiness,
}

impl<B: Brain> Coordinator<B> {
    pub fn new(brain: B) -> Self {
        Coordinator {
            brain,
            leader: None,
            term: Term(0),
            index: LogIndex(0),
            came: Default::default(),
            log_time: LogTime(0),
            proposed: VecDeque::new(),
            written: VecDeque::new(),
            rounds: VecDeque::new(),
            inputs: Vec::new(),
            applied: Applied::default(),
            manners: Manners::default(),
            readiness: Readiness::default(),
        }
    }

    /// What was written stays in the log and is applied before the new leader's first entry.
    pub fn elect(&mut self, now: BootTime, leader: impl FnOnce(Term) -> Leader) {
        self.resign();
        self.term.0 += 1;
        self.came = (self.log_time, now);
        self.leader = Some(leader(self.term));
        self.proposed.push_back(Command::LeaderUp);
    }

    /// What was proposed and not written never will be.
    pub fn resign(&mut self) {
        self.leader = None;
        self.manners = Manners::default();
        self.proposed.clear();
        self.rounds.clear();
        self.inputs.clear();
    }

    /// Of what is written, the last `entries` are lost: no quorum ever had them.
    pub fn lose_written(&mut self, entries: usize) {
        let keep = self.written.len().saturating_sub(entries);
        self.written.truncate(keep);
    }

    pub fn hears(&mut self, input: Input) {
        if self.leader.is_some() {
            self.inputs.push(input);
        }
    }

    pub fn propose(&mut self, command: Command) {
        self.proposed.push_back(command);
    }

    fn now(&self, now: BootTime) -> Now {
        let (log, since) = self.came;
        let log = LogTime(log.0 + now.0.saturating_sub(since.0));
        Now { boot: now, log: log.max(self.log_time) }
    }

    pub fn turn(&mut self, now: BootTime, out: &mut Vec<Output>) {
        let now = self.now(now);
        self.looks();
        let Some(leader) = &mut self.leader else { return };
        let mut outputs = Vec::new();
        leader.turn(now, &mut self.inputs, &self.brain, &mut outputs);
        leader.check();
        self.sort(outputs, out);
    }

    /// The driver's own part of what a leader wants; the rest is for the streams.
    fn sort(&mut self, outputs: Vec<Output>, out: &mut Vec<Output>) {
        for output in outputs {
            match output {
                Output::Propose(command) => self.proposed.push_back(command),
                Output::Confirm { round } => {
                    self.manners.asked = round;
                    self.rounds.push_back(round);
                }
                other => out.push(other),
            }
        }
    }

    /// What is on its way into the log in this leader's name.
    fn looks(&mut self) {
        let written = self.written.iter().filter(|batch| batch.term == self.term);
        let commands = written.flat_map(|batch| &batch.commands);
        self.manners.looks(commands.chain(&self.proposed));
    }

    /// All that was proposed becomes one entry, written and not yet committed; with nothing else
    /// under way the state's own work gets its turn.
    pub fn write(&mut self, now: BootTime) -> bool {
        let now = self.now(now);
        if self.leader.is_none() {
            return false;
        }
        if self.proposed.is_empty() && self.written.is_empty() && self.brain.wants_entry(now.log) {
            self.proposed.push_back(Command::Continue);
        }
        if self.proposed.is_empty() {
            return false;
        }
        let commands = self.proposed.drain(..).collect();
        self.written.push_back(Batch { term: self.term, at: now.log, wall: WallTime(0), commands });
        true
    }

    /// The oldest written entry is committed and applied; the judge sees it before anyone acts.
    pub fn commit(&mut self, out: &mut Vec<Output>, judge: impl FnOnce(Entry<'_>, &B)) -> bool {
        let Some(batch) = self.written.pop_front() else { return false };
        self.index.0 += 1;
        let position = Position { index: self.index, term: batch.term };
        self.log_time = self.log_time.max(batch.at);
        self.applied.clear();
        if let Some(leader) = &mut self.leader {
            leader.committed(position, &batch);
        }
        self.looks();
        self.readiness.looks(&self.brain);
        self.brain.apply(position, &batch, &mut self.applied);
        self.brain.check();
        self.readiness.applied(&batch, &self.applied.effects, &self.brain);
        let is_first = position.term == self.term && batch.commands.contains(&Command::LeaderUp);
        self.manners.is_up |= is_first;
        judge(Entry { batch: &batch, effects: &self.applied.effects }, &self.brain);
        let mut outputs = Vec::new();
        if let Some(leader) = &mut self.leader {
            leader.applied(self.index, &self.applied.effects, &self.brain, &mut outputs);
            leader.check();
            if position.term == self.term {
                self.archive();
            }
        }
        self.sort(outputs, out);
        true
    }

    /// A record is durable as soon as it is asked for.
    fn archive(&mut self) {
        for effect in &self.applied.effects {
            if let Effect::Archive { run } = effect
                && let Some(run) = self.brain.run_id(*run)
            {
                self.proposed.push_back(Command::Archived { run });
            }
        }
    }

    /// A quorum answers the oldest round; `lost`: its answer never comes.
    pub fn confirm(&mut self, lost: bool) -> bool {
        let Some(round) = self.rounds.pop_front() else { return false };
        if !lost {
            self.manners.answered = round;
            self.inputs.push(Input::Confirmed { round, index: self.index });
        }
        true
    }
}
