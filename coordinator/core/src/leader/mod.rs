//! The leader's side of every session: a value that exists only while this replica leads.
//!
//! Effects are its fast path and hellos the truth: whatever a leader did not say, lost or forgot
//! is put right when a worker greets it, so that nothing here has to be durable.

mod facts;
mod hello;
mod known;
mod perform;
mod quorum;
mod session;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{Incarnation, LogIndex, Session as SessionNo, StreamNo, Term, WorkerId};
use dagmar_common::lease::{FromWorker, Heartbeat, Numbered, Outcome, Returned, ToWorker};
use dagmar_common::limits::{BEHIND_HELLO_MAX, ENTRY_BYTES_MAX, OUTCOME_BYTES_MAX};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, LogTime, Span};

pub use facts::{Facts, LeaseFacts, WorkerFacts};

use crate::ask::Begun;
use crate::command::{Batch, Command, Position};
use crate::effect::Effect;
use known::Known;
use quorum::{Haste, Rounds};
use session::{Phase, Session};

/// Outcomes in one command: an entry holds it with its batch around it.
const COMMAND_BYTES_MAX: usize = ENTRY_BYTES_MAX - (4 << 10);

/// What happened outside; time comes with every turn.
#[derive(Debug)]
pub enum Input {
    StreamOpened {
        stream: StreamNo,
    },
    StreamClosed {
        stream: StreamNo,
    },
    Received {
        stream: StreamNo,
        message: Numbered<FromWorker>,
    },
    /// A quorum agreed, after that round was asked for, that this replica leads; all that was
    /// committed before stands at or below `index`.
    Confirmed {
        round: u64,
        index: LogIndex,
    },
    /// The log did not take this command, and never will.
    NotProposed(Command),
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    Propose(Command),
    Send {
        stream: StreamNo,
        message: Numbered<ToWorker>,
    },
    CloseStream {
        stream: StreamNo,
        why: Closing,
    },
    /// Ask a quorum whether this replica leads, with a context of its own.
    Confirm {
        round: u64,
    },
}

/// Why a leader ends a stream; its worker greets again over a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Not what may come next: a number was left out, or a hello stands elsewhere than first.
    OutOfOrder,
    /// The two ends count differently what began.
    Disagrees,
    /// The same worker greeted over a newer stream.
    Superseded,
    /// A heartbeat came although it is not ready and nothing is under way that makes it so.
    NotReady,
    Silent,
    /// An outcome, or what came behind a hello, is over its bound.
    TooMuch,
    /// The state would not take its hello.
    NotWelcome,
    /// A command about it could not be proposed.
    NotProposed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub boot: BootTime,
    pub log: LogTime,
}

#[derive(Debug)]
pub struct Leader {
    term: Term,
    /// For workers that this leader introduces; None: the default of `limits`.
    lost_after: Option<Span>,
    now: Now,
    /// Its own `LeaderUp` is applied.
    is_up: bool,
    rounds: Rounds,
    sessions_given: u32,
    sessions: BTreeMap<StreamNo, Session>,
    workers: BTreeMap<WorkerId, Known>,
    /// Workers with words of this turn that are not proposed yet.
    speaking: BTreeSet<WorkerId>,
    /// Streams by what there is to do for them.
    greeted: BTreeSet<StreamNo>,
    reporting: BTreeSet<StreamNo>,
    beating: BTreeSet<StreamNo>,
    talking: BTreeSet<StreamNo>,
    looks_at: BootTime,
}

impl Leader {
    /// As soon as this replica leads `term`; the first that it proposes is `LeaderUp`.
    pub fn new(term: Term, lost_after: Option<Span>) -> Self {
        Leader {
            term,
            lost_after,
            now: Now::default(),
            is_up: false,
            rounds: Rounds::default(),
            sessions_given: 0,
            sessions: BTreeMap::new(),
            workers: BTreeMap::new(),
            speaking: BTreeSet::new(),
            greeted: BTreeSet::new(),
            reporting: BTreeSet::new(),
            beating: BTreeSet::new(),
            talking: BTreeSet::new(),
            looks_at: BootTime(0),
        }
    }

    /// A worker in this very process: its stream is as if its hello had been answered, and the
    /// session goes into the `born_ready` of the hello that stands in the first batch.
    pub fn born_ready(
        &mut self,
        now: Now,
        stream: StreamNo,
        worker: WorkerId,
        incarnation: Incarnation,
    ) -> SessionNo {
        let mut session = Session::open(now.boot);
        let number = self.next_session();
        session.phase = Phase::Answered(session::Answered {
            number,
            worker,
            incarnation,
            is_stale: false,
            expected: BTreeSet::new(),
            regains: BTreeSet::new(),
            is_ready_proposed: true,
        });
        self.sessions.insert(stream, session);
        let known = self.workers.entry(worker).or_default();
        known.streams.push(stream);
        known.ending += 1;
        known.proposed += 1;
        number
    }

    /// All that happened since the last turn, and the time now. Drains `inputs`, appends to `out`.
    pub fn turn(
        &mut self,
        now: Now,
        inputs: &mut Vec<Input>,
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        self.now = now;
        for input in inputs.drain(..) {
            self.take(input, state, out);
        }
        self.settle(state, out);
    }

    /// A command about a worker that somebody else proposes here: its readiness may end with it.
    pub fn is_proposed(&mut self, command: &Command) {
        if let Some((worker, ends)) = known::about(command) {
            let known = self.workers.entry(worker).or_default();
            known.proposed += 1;
            known.ending += u32::from(ends);
        }
    }

    /// Before each entry is applied: what was pending about its workers is settled by it.
    pub fn committed(&mut self, position: Position, batch: &Batch) {
        if position.term == self.term && batch.term == self.term {
            batch.commands.iter().for_each(|command| self.command_applied(command));
        }
    }

    /// After each entry, with the state as it left it.
    pub fn applied(
        &mut self,
        index: LogIndex,
        effects: &[Effect],
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        self.rounds.applied(index);
        if self.is_up {
            self.perform(effects, state);
        }
        self.settle(state, out);
    }

    /// What runs, of all that is leased, as far as workers have told.
    pub fn begun(&self) -> Begun {
        let mut begun = Begun::default();
        self.sessions.values().for_each(|session| session.shows_begun(&mut begun));
        self.workers.values().for_each(|known| begun.extend(&known.begun));
        begun
    }

    /// When the next turn is due although nothing happens; before its own `LeaderUp` is applied
    /// there is nobody to look at, and that comes by itself.
    pub fn wakes_at(&self) -> BootTime {
        if !self.is_up {
            return BootTime(u64::MAX);
        }
        self.rounds.begins_at().map_or(self.looks_at, |begins| begins.min(self.looks_at))
    }

    /// How many quorum rounds it asked for, and how many of them are settled: for judges.
    pub fn rounds(&self) -> (u64, u64) {
        self.rounds.counts()
    }

    fn next_session(&mut self) -> SessionNo {
        self.sessions_given += 1;
        SessionNo(self.term.0 << 32 | u64::from(self.sessions_given))
    }

    fn take(&mut self, input: Input, state: &impl Facts, out: &mut Vec<Output>) {
        match input {
            Input::StreamOpened { stream } => {
                self.sessions.insert(stream, Session::open(self.now.boot));
            }
            Input::StreamClosed { stream } => self.forget(stream),
            Input::Received { stream, message } => self.received(stream, message, state, out),
            Input::Confirmed { round, index } => self.rounds.confirmed(round, index),
            Input::NotProposed(command) => {
                // What it would have led to is repaired by the hello that follows.
                if let Some((worker, _)) = known::about(&command) {
                    self.command_applied(&command);
                    self.close_all_of(worker, out);
                }
            }
        }
    }

    fn received(
        &mut self,
        stream: StreamNo,
        message: Numbered<FromWorker>,
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        if !session.receives(&message) {
            self.close(stream, Closing::OutOfOrder, out);
            return;
        }
        if let Phase::Greeted(greeting) = &mut session.phase
            && !lives(Mutant::ReadsBehindHello)
        {
            greeting.behind.push(message);
            if greeting.behind.len() > BEHIND_HELLO_MAX {
                self.close(stream, Closing::TooMuch, out);
            }
            return;
        }
        self.read(stream, message, state, out);
    }

    fn read(
        &mut self,
        stream: StreamNo,
        message: Numbered<FromWorker>,
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        match message.message {
            FromWorker::Hello(hello) => self.greet(stream, hello, out),
            FromWorker::Begun(begun) => {
                if let Some(session) = self.sessions.get_mut(&stream) {
                    begun.iter().for_each(|one| session.has_begun(one.fence, Some(one.at)));
                }
            }
            FromWorker::Outcomes(outcomes) => self.outcomes(stream, outcomes, out),
            FromWorker::Returned(returned) => self.returned(stream, returned),
            FromWorker::Heartbeat(beat) => {
                self.heartbeat(stream, message.number, &beat, state, out);
            }
        }
    }

    fn outcomes(&mut self, stream: StreamNo, outcomes: Vec<Outcome>, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        let Some(worker) = session.answered().map(|answered| answered.worker) else { return };
        if outcomes.iter().any(|outcome| outcome.bytes() > OUTCOME_BYTES_MAX) {
            self.close(stream, Closing::TooMuch, out);
            return;
        }
        outcomes.iter().for_each(|outcome| session.reported(outcome.fence));
        self.speaking.insert(worker);
        let known = self.workers.entry(worker).or_default();
        if known.outcomes.is_empty() {
            known.outcomes = outcomes;
        } else {
            known.outcomes.extend(outcomes);
        }
    }

    /// An older incarnation gives back nothing: its leases, if they live, are the newer one's.
    fn returned(&mut self, stream: StreamNo, returned: Vec<Returned>) {
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        let Some(answered) = session.answered() else { return };
        let (worker, incarnation, is_stale) =
            (answered.worker, answered.incarnation, answered.is_stale);
        returned.iter().for_each(|one| session.reported(one.fence));
        if is_stale && !lives(Mutant::AnyoneReturns) {
            returned.iter().for_each(|one| session.say_fence(ToWorker::Refused, one.fence));
            self.talking.insert(stream);
        } else {
            self.speaking.insert(worker);
            let known = self.workers.entry(worker).or_default();
            known.returned.extend(returned);
            known.returned_in = incarnation;
        }
    }

    fn heartbeat(
        &mut self,
        stream: StreamNo,
        number: u64,
        beat: &Heartbeat,
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        session.heard = self.now.boot;
        if !session.agrees(beat) {
            self.close(stream, Closing::Disagrees, out);
            return;
        }
        let Some(answered) = session.answered().filter(|answered| !answered.is_stale) else {
            return;
        };
        let is_ready =
            state.worker(answered.worker).is_some_and(|one| one.ready == Some(answered.number));
        let known = self.workers.entry(answered.worker).or_default();
        if is_ready || known.is_busy() || !self.is_up {
            session.beats.push((number, self.rounds.want(Haste::Soon)));
            self.beating.insert(stream);
        } else if !lives(Mutant::NotReadyKeepsStream) {
            // Nothing is on its way that would make it ready: it has to greet again.
            self.close(stream, Closing::NotReady, out);
        }
    }

    /// What follows from all that is known now; each step does its work in the order of streams.
    fn settle(&mut self, state: &impl Facts, out: &mut Vec<Output>) {
        self.propose_words(out);
        self.answer_hellos(state, out);
        self.propose_words(out);
        self.propose_ready(out);
        // Before anything is committed in its term nobody can confirm a leader.
        if (self.is_up || lives(Mutant::HelloBeforeLeaderUp))
            && let Some(round) = self.rounds.begin(self.now.boot)
        {
            out.push(Output::Confirm { round });
        }
        self.acknowledge(state);
        self.look(state, out);
        for stream in std::mem::take(&mut self.talking) {
            if let Some(session) = self.sessions.get_mut(&stream) {
                session.flush(stream, out);
            }
        }
    }

    /// All that the workers reported in this turn, in as few commands as fit.
    fn propose_words(&mut self, out: &mut Vec<Output>) {
        for worker in std::mem::take(&mut self.speaking) {
            let Some(known) = self.workers.get_mut(&worker) else { continue };
            let outcomes = std::mem::take(&mut known.outcomes);
            let returned = std::mem::take(&mut known.returned);
            let incarnation = known.returned_in;
            for outcomes in in_parts(outcomes) {
                self.propose(Command::Outcomes { worker, outcomes }, out);
            }
            if !returned.is_empty() {
                self.propose(Command::Returned { worker, incarnation, returned }, out);
            }
        }
    }

    fn propose(&mut self, command: Command, out: &mut Vec<Output>) {
        self.is_proposed(&command);
        out.push(Output::Propose(command));
    }

    fn command_applied(&mut self, command: &Command) {
        if let Command::LeaderUp = command {
            self.is_up = true;
            self.looks_at = self.now.boot;
        }
        let Some((worker, ends)) = known::about(command) else { return };
        let Some(known) = self.workers.get_mut(&worker) else { return };
        known.proposed = known.proposed.saturating_sub(1);
        known.ending = known.ending.saturating_sub(u32::from(ends));
        let fences: &mut dyn Iterator<Item = _> = match command {
            Command::Outcomes { outcomes, .. } => &mut outcomes.iter().map(|one| one.fence),
            Command::Returned { returned, .. } => &mut returned.iter().map(|one| one.fence),
            _ => {
                // Readiness may have changed: compare it with the streams that live.
                self.looks_at = self.now.boot;
                return;
            }
        };
        let mut streams = known.streams.iter().filter(|stream| self.reporting.contains(stream));
        let Some(stream) = streams.next() else { return };
        let session = self.sessions.get_mut(stream).and_then(Session::answered_mut);
        if let Some(answered) = session {
            fences.for_each(|fence| {
                answered.expected.remove(&fence);
            });
        }
    }
}

/// Nearly always one part.
fn in_parts(mut outcomes: Vec<Outcome>) -> Vec<Vec<Outcome>> {
    let mut parts = Vec::new();
    let (mut bytes, mut from) = (0, 0);
    let mut cuts = Vec::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        let size = outcome.bytes();
        if bytes + size > COMMAND_BYTES_MAX && place > from {
            cuts.push(place);
            (bytes, from) = (0, place);
        }
        bytes += size;
    }
    for cut in cuts.into_iter().rev() {
        parts.push(outcomes.split_off(cut));
    }
    if !outcomes.is_empty() {
        parts.push(outcomes);
    }
    parts.reverse();
    parts
}
