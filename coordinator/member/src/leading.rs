//! What only a leader does: its sessions, its log time, and the entries it forms.

use dagmar_common::ids::{LogIndex, Session, StreamNo, Term};
use dagmar_common::lease::{FromWorker, Numbered};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, LogTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::Begun;
use dagmar_coordinator_core::command::{Batch, Command, Position, WorkerHello};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::{self, Input, Leader};

use crate::clock::LogClock;
use crate::intake::{Cut, Intake};

/// While a deadline is pending an entry is proposed at least so often, or all of this reign
/// would be lost to log time at a change of leader.
const DEADLINES_KEPT_EVERY: Span = Span::from_secs(30);

/// What can happen on a worker's stream.
#[derive(Debug)]
pub enum FromStream {
    Opened,
    Message(Numbered<FromWorker>),
    Closed,
}

impl FromStream {
    /// For whoever follows what happens inside.
    pub fn name(&self) -> &'static str {
        match self {
            FromStream::Opened => "opened",
            FromStream::Message(message) => message.message.name(),
            FromStream::Closed => "closed",
        }
    }
}

pub struct Leading {
    term: Term,
    /// The empty entry with which its term begins. What stands before it is applied before
    /// `LeaderUp` is proposed, for log time goes on from there.
    mark: LogIndex,
    leader: Leader,
    clock: Option<LogClock>,
    proposed_at: BootTime,
    inputs: Vec<Input>,
    /// What the sessions want and nobody has taken yet.
    pub outputs: Vec<leader::Output>,
}

/// An entry to be, and who waits for each of its commands.
pub struct Next<T> {
    pub batch: Batch,
    pub tickets: Vec<Option<T>>,
}

impl Leading {
    pub fn new(term: Term, mark: LogIndex, lost_after: Option<Span>) -> Self {
        Leading {
            term,
            mark,
            leader: Leader::new(term, lost_after),
            clock: None,
            proposed_at: BootTime(0),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub fn term(&self) -> Term {
        self.term
    }

    pub fn leader(&self) -> &Leader {
        &self.leader
    }

    pub fn has_begun(&self) -> bool {
        self.clock.is_some()
    }

    /// All that was before its term is applied: log time is known.
    pub fn may_begin(&self, applied: LogIndex) -> bool {
        !self.has_begun() && applied.0 + 1 >= self.mark.0
    }

    /// What stands first in its first entry, and the session of a worker that is born ready.
    pub fn begin(
        &mut self,
        boot: BootTime,
        log_time: LogTime,
        within: Option<(StreamNo, WorkerHello)>,
    ) -> (Vec<Command>, Option<(StreamNo, Session)>) {
        let base = if lives(Mutant::LogTimeGoesBack) { LogTime(0) } else { log_time };
        self.clock = Some(LogClock::new(base, boot));
        let mut first = vec![Command::LeaderUp];
        let ready = within.map(|(stream, hello)| {
            let now = self.now(boot);
            let session = self.leader.born_ready(now, stream, hello.worker, hello.incarnation);
            first.push(Command::Hello(WorkerHello { born_ready: Some(session), ..hello }));
            (stream, session)
        });
        (first, ready)
    }

    /// While an entry waits for something else, as for the end of a write, a deadline that has
    /// come waits for that too, and not for the clock.
    pub fn wakes_at(&self, state: &State, now: BootTime, waits: bool) -> BootTime {
        let wakes_at = self.leader.wakes_at();
        match (state.next_deadline().filter(|_| !waits), &self.clock) {
            (Some(deadline), Some(clock)) => {
                let due = now + clock.until(deadline, now);
                wakes_at.min(due).min(self.proposed_at + DEADLINES_KEPT_EVERY)
            }
            _ => wakes_at,
        }
    }

    pub fn hears(&mut self, stream: StreamNo, what: FromStream) {
        self.inputs.push(match what {
            FromStream::Opened => Input::StreamOpened { stream },
            FromStream::Message(message) => Input::Received { stream, message },
            FromStream::Closed => Input::StreamClosed { stream },
        });
    }

    /// A command that a client gave: what it ends is not said to be well from here on.
    pub fn is_proposed(&mut self, command: &Command) {
        self.leader.is_proposed(command);
    }

    /// A quorum agreed that this replica leads.
    pub fn confirmed(&mut self, round: u64, index: LogIndex) {
        self.inputs.push(Input::Confirmed { round, index });
    }

    pub fn has_inputs(&self) -> bool {
        !self.inputs.is_empty()
    }

    pub fn is_due(&self, boot: BootTime) -> bool {
        boot >= self.leader.wakes_at()
    }

    /// What the sessions make of all that was heard, and of the time.
    pub fn turn(&mut self, boot: BootTime, state: &State) {
        let now = self.now(boot);
        self.leader.turn(now, &mut self.inputs, state, &mut self.outputs);
    }

    /// The next entry, if anything is to stand in it.
    pub fn next<T>(&mut self, now: Now, state: &State, intake: &mut Intake<T>) -> Option<Next<T>> {
        let clock = self.clock.as_mut()?;
        let at = match lives(Mutant::LogTimeByWallClock) {
            true => clock.at(BootTime(now.wall.0 as u64)),
            false => clock.at(now.boot),
        };
        let Cut { mut commands, mut tickets } = intake.cut();
        if commands.is_empty() {
            let deadline = state.next_deadline();
            let kept = now.boot < self.proposed_at + DEADLINES_KEPT_EVERY;
            if !state.has_agenda() && deadline.is_none_or(|deadline| deadline > at && kept) {
                return None;
            }
            commands.push(Command::Continue);
            tickets.push(None);
        }
        self.proposed_at = now.boot;
        let batch = Batch { term: self.term, at, wall: now.wall, commands };
        Some(Next { batch, tickets })
    }

    /// Before an entry is applied: what was pending about workers is settled by it.
    pub fn committed(&mut self, position: Position, batch: &Batch) {
        self.leader.committed(position, batch);
    }

    /// After it: effects become messages.
    pub fn applied(&mut self, index: LogIndex, effects: &[Effect], state: &State) {
        self.leader.applied(index, effects, state, &mut self.outputs);
    }

    pub fn begun(&self) -> Begun {
        self.leader.begun()
    }

    /// Panics where what must hold between two turns does not.
    pub fn check(&self) {
        self.leader.check();
    }

    fn now(&mut self, boot: BootTime) -> leader::Now {
        let log = self.clock.as_mut().map_or(LogTime(0), |clock| clock.at(boot));
        leader::Now { boot, log }
    }
}
