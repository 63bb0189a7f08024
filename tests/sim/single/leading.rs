//! What only a leader does, in the driver's order: its sessions, log time, and the next entry.

use std::collections::BTreeMap;

use dagmar_common::ids::{LogIndex, StreamNo, Term};
use dagmar_common::time::{BootTime, LogTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Command, Position};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::{Input, Leader, Now, Output};
use dagmar_replica::{Read, ReadFate, ReadId, Replica, Role, Standing};

use super::around::{Around, FromStream};
use super::intake::{Intake, Proposal};

/// While a deadline is pending an entry is proposed at least so often.
const DEADLINES_KEPT_EVERY: Span = Span::from_secs(30);

pub struct Leading {
    term: Term,
    mark: LogIndex,
    leader: Leader,
    /// Log time when it came, and its machine's clock then.
    clock: Option<(LogTime, BootTime)>,
    proposed_at: BootTime,
    rounds: BTreeMap<ReadId, u64>,
    arrived: Vec<(StreamNo, FromStream)>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

impl Leading {
    pub fn new(term: Term, mark: LogIndex) -> Self {
        Leading {
            term,
            mark,
            leader: Leader::new(term, Some(Span::from_secs(60))),
            clock: None,
            proposed_at: BootTime(0),
            rounds: BTreeMap::new(),
            arrived: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub fn leads_in(&self, standing: Standing) -> bool {
        standing.role == Role::Leader && standing.term == self.term
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// Once all that was before its term is applied.
    pub fn begin(
        &mut self,
        state: &State,
        applied: LogIndex,
        around: &mut Around,
        intake: &mut Intake,
    ) {
        if self.clock.is_some() || applied.0 + 1 < self.mark.0 {
            return;
        }
        self.clock = Some((state.log_time(), around.boot()));
        let now = self.now(around.boot());
        let mut first = vec![Command::LeaderUp];
        first.extend(around.born_ready(&mut self.leader, now));
        intake.put_first(first);
        let (term, log) = (self.term, now.log);
        around.note(|| format!("leader of term {term} from log time {}", log.0));
    }

    /// While a write is out no deadline can be met.
    pub fn wakes_at(&self, state: &State, now: BootTime, writing: bool) -> BootTime {
        let wakes_at = self.leader.wakes_at();
        match (state.next_deadline(), self.clock) {
            (Some(deadline), Some(_)) if !writing => {
                let left = deadline.0.saturating_sub(self.now(now).log.0);
                let due = now + Span(left);
                wakes_at.min(due).min(self.proposed_at + DEADLINES_KEPT_EVERY)
            }
            _ => wakes_at,
        }
    }

    /// Until there is nothing more: a worker in this process answers within the turn.
    pub fn turn(
        &mut self,
        state: &State,
        replica: &mut Replica,
        around: &mut Around,
        intake: &mut Intake,
    ) {
        if self.clock.is_none() {
            return;
        }
        let boot = around.boot();
        let mut due = boot >= self.leader.wakes_at();
        loop {
            self.perform(replica, around, intake);
            around.exchange(&mut self.arrived);
            if self.arrived.is_empty() && self.inputs.is_empty() && !due {
                return;
            }
            due = false;
            self.inputs.extend(self.arrived.drain(..).map(|(stream, what)| match what {
                FromStream::Opened => Input::StreamOpened { stream },
                FromStream::Message(message) => Input::Received { stream, message },
                FromStream::Closed => Input::StreamClosed { stream },
            }));
            let now = self.now(boot);
            self.leader.turn(now, &mut self.inputs, state, &mut self.outputs);
            self.leader.check();
        }
    }

    fn perform(&mut self, replica: &mut Replica, around: &mut Around, intake: &mut Intake) {
        for output in self.outputs.drain(..) {
            match output {
                Output::Propose(command) => intake.put(Proposal { command, ticket: None }),
                Output::Send { stream, message } => around.send(stream, message),
                Output::CloseStream { stream, why } => {
                    around.note(|| format!("the leader closes stream {stream}: {why:?}"));
                    around.judge.leader_closed(why);
                    around.close(stream);
                }
                Output::Confirm { round } => {
                    self.rounds.insert(replica.read(), round);
                }
            }
        }
    }

    /// True for a read that was a quorum round of ours.
    pub fn confirmed(&mut self, read: &Read, replica: &mut Replica) -> bool {
        let Some(round) = self.rounds.remove(&read.id) else { return false };
        match read.fate {
            ReadFate::Released { index } => self.inputs.push(Input::Confirmed { round, index }),
            ReadFate::Dropped => {
                self.rounds.insert(replica.read(), round);
            }
        }
        true
    }

    /// The next entry, if anything is to stand in it.
    pub fn next(
        &mut self,
        state: &State,
        around: &Around,
        intake: &mut Intake,
    ) -> Option<(Batch, Vec<Option<u64>>)> {
        self.clock?;
        let boot = around.boot();
        let at = self.now(boot).log;
        let (mut commands, mut tickets) = intake.cut();
        if commands.is_empty() {
            let deadline = state.next_deadline();
            let kept = boot < self.proposed_at + DEADLINES_KEPT_EVERY;
            if !state.has_agenda() && deadline.is_none_or(|deadline| deadline > at && kept) {
                return None;
            }
            commands.push(Command::Continue);
            tickets.push(None);
        }
        self.proposed_at = boot;
        Some((Batch { term: self.term, at, wall: around.wall(), commands }, tickets))
    }

    pub fn committed(&mut self, position: Position, batch: &Batch) {
        self.leader.committed(position, batch);
    }

    pub fn applied(&mut self, index: LogIndex, effects: &[Effect], state: &State) {
        self.leader.applied(index, effects, state, &mut self.outputs);
    }

    fn now(&self, boot: BootTime) -> Now {
        let log = self
            .clock
            .map_or(LogTime(0), |(base, since)| base + Span(boot.0.saturating_sub(since.0)));
        Now { boot, log }
    }
}
