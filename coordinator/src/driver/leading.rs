//! What only a leader does: its sessions, its log time, and the entries it forms.

use std::collections::BTreeMap;

use dagmar_common::ids::{LogIndex, StreamNo, Term};
use dagmar_common::time::{BootTime, LogTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{Batch, Command, Position};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::{Input, Leader, Now, Output};
use dagmar_replica::{Read, ReadFate, ReadId, Replica, Role, Standing};

use super::intake::{Cut, Intake};
use crate::clock::{self, LogClock};
use crate::handle::{Answer, Proposal};
use crate::links::{FromStream, Links};

/// While a deadline is pending an entry is proposed at least so often, or all of this reign
/// would be lost to log time at a change of leader.
const DEADLINES_KEPT_EVERY: Span = Span::from_secs(30);

/// Commands that stand behind `LeaderUp` in the first entry of a leadership.
pub type OnLeading = Box<dyn FnMut(&mut Leader, Now) -> Vec<Command> + Send>;

pub struct Leading {
    term: Term,
    /// The empty entry with which its term begins. What stands before it is applied before
    /// `LeaderUp` is proposed, for log time goes on from there.
    mark: LogIndex,
    leader: Leader,
    clock: Option<LogClock>,
    proposed_at: BootTime,
    rounds: BTreeMap<ReadId, u64>,
    arrived: Vec<(StreamNo, FromStream)>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

/// An entry to be, and who waits for each of its commands.
pub struct Next {
    pub batch: Batch,
    pub answers: Vec<Answer>,
}

impl Leading {
    pub fn new(term: Term, mark: LogIndex) -> Self {
        Leading {
            term,
            mark,
            leader: Leader::new(term, None),
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

    /// Once all that was before its term is applied: log time is known, `LeaderUp` goes first.
    pub fn begin(
        &mut self,
        state: &State,
        applied: LogIndex,
        own: &mut OnLeading,
        intake: &mut Intake,
    ) {
        if self.clock.is_some() || applied.0 + 1 < self.mark.0 {
            return;
        }
        let boot = clock::boot();
        self.clock = Some(LogClock::new(state.log_time(), boot));
        let now = self.now(boot);
        let mut first = vec![Command::LeaderUp];
        first.extend(own(&mut self.leader, now));
        intake.put_first(first);
    }

    /// While a write is out no entry can be proposed, so a deadline that has come waits for its end
    /// and not for the clock.
    pub fn wakes_at(&self, state: &State, now: BootTime, writing: bool) -> BootTime {
        let wakes_at = self.leader.wakes_at();
        match (state.next_deadline().filter(|_| !writing), &self.clock) {
            (Some(deadline), Some(clock)) => {
                let due = now + clock.until(deadline, now);
                wakes_at.min(due).min(self.proposed_at + DEADLINES_KEPT_EVERY)
            }
            _ => wakes_at,
        }
    }

    /// What the workers sent, and what the sessions make of it, until there is nothing more: a
    /// worker in this process answers within the turn.
    pub fn turn(
        &mut self,
        state: &State,
        replica: &mut Replica,
        links: &mut impl Links,
        intake: &mut Intake,
    ) -> std::io::Result<()> {
        if self.clock.is_none() {
            return Ok(());
        }
        let boot = clock::boot();
        let mut due = boot >= self.leader.wakes_at();
        loop {
            self.perform(replica, links, intake);
            links.exchange(&mut self.arrived)?;
            if self.arrived.is_empty() && self.inputs.is_empty() && !due {
                return Ok(());
            }
            due = false;
            self.inputs.extend(self.arrived.drain(..).map(|(stream, what)| match what {
                FromStream::Opened => Input::StreamOpened { stream },
                FromStream::Message(message) => Input::Received { stream, message },
                FromStream::Closed => Input::StreamClosed { stream },
            }));
            let now = self.now(boot);
            self.leader.turn(now, &mut self.inputs, state, &mut self.outputs);
        }
    }

    fn perform(&mut self, replica: &mut Replica, links: &mut impl Links, intake: &mut Intake) {
        for output in self.outputs.drain(..) {
            match output {
                Output::Propose(command) => intake.put(Proposal { command, answer: None }),
                Output::Send { stream, message } => links.send(stream, message),
                Output::CloseStream { stream, why } => {
                    tracing::info!(stream = stream.0, ?why, "a worker's stream is closed");
                    links.close(stream);
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
    pub fn next(&mut self, state: &State, intake: &mut Intake) -> Option<Next> {
        let log_clock = self.clock.as_mut()?;
        let boot = clock::boot();
        let at = log_clock.at(boot);
        let Cut { mut commands, mut answers } = intake.cut();
        if commands.is_empty() {
            let deadline = state.next_deadline();
            let kept = boot < self.proposed_at + DEADLINES_KEPT_EVERY;
            if !state.has_agenda() && deadline.is_none_or(|deadline| deadline > at && kept) {
                return None;
            }
            commands.push(Command::Continue);
            answers.push(None);
        }
        self.proposed_at = boot;
        let batch = Batch { term: self.term, at, wall: clock::wall(), commands };
        Some(Next { batch, answers })
    }

    /// Before an entry is applied: what was pending about workers is settled by it.
    pub fn committed(&mut self, position: Position, batch: &Batch) {
        self.leader.committed(position, batch);
    }

    /// After it: effects become messages.
    pub fn applied(&mut self, index: LogIndex, effects: &[Effect], state: &State) {
        self.leader.applied(index, effects, state, &mut self.outputs);
    }

    fn now(&mut self, boot: BootTime) -> Now {
        let log = self.clock.as_mut().map_or(LogTime(0), |clock| clock.at(boot));
        Now { boot, log }
    }
}
