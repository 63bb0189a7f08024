//! The driver: the one loop that owns replica, state and leadership, and turns inputs into work.

mod intake;
mod leading;
mod pace;
mod reading;
pub mod snapshotting;
mod watchers;

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use dagmar_common::ids::LogIndex;
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Position;
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::stored;
use dagmar_replica::gate::{self, Gate};
use dagmar_replica::waiters::{Fate, Waiters};
use dagmar_replica::{Body, Committed, Membership, Replica, Role, Standing, TICK, Work};
use thiserror::Error;

use self::intake::Intake;
use self::leading::{Leading, Next};
use self::pace::Pace;
use self::reading::Reading;
use self::watchers::Watchers;
use crate::clock;
use crate::disk::Disk;
use crate::handle::{Answer, Input};
use crate::links::Links;

pub use self::leading::OnLeading;
pub use self::snapshotting::Snapshotting;

/// What the write did is not known, and another one would not tell.
const HUNG: &str = "a write to the log has not come back for 30 s; the disk hangs";
/// How soon a watcher that fell behind is looked at again.
const REMIND_AFTER: Duration = Duration::from_millis(10);

/// Why a driver ended other than by being asked to.
#[derive(Debug, Error)]
pub enum DriverError {
    #[error("{0}")]
    Disk(String),
    #[error("the worker in this process cannot go on: {0}")]
    Links(std::io::Error),
    #[error("entry {index} of the log cannot be read: {why}")]
    Entry { index: LogIndex, why: String },
}

/// What a driver starts from.
pub struct Parts<L> {
    pub replica: Replica,
    /// As of the snapshot that the replica starts from.
    pub state: State,
    pub applied_to: LogIndex,
    pub disk: Disk,
    pub snapshots: Snapshotting,
    /// Nothing is written before something is asked: a new log begins with it.
    pub waits_for_first: bool,
    pub links: L,
    pub on_leading: OnLeading,
}

pub struct Driver<L> {
    replica: Replica,
    state: State,
    applied: Applied,
    /// How far the log is applied; marks of raft, which the state never sees, count too.
    applied_to: LogIndex,
    disk: Disk,
    /// A write is out: what arrives meanwhile waits for the next.
    writing: bool,
    gate: Gate,
    pace: Pace,
    snapshots: Snapshotting,
    membership: Membership,
    waits_for_first: bool,
    links: L,
    /// Only while this replica leads.
    leading: Option<Leading>,
    on_leading: OnLeading,
    intake: Intake,
    waiters: Waiters<Vec<Answer>>,
    reading: Reading,
    watchers: Watchers,
    inputs: Receiver<Input>,
    next_tick: BootTime,
    stopping: bool,
}

impl<L: Links> Driver<L> {
    pub fn new(parts: Parts<L>, inputs: Receiver<Input>) -> Self {
        let Parts {
            replica,
            state,
            applied_to,
            disk,
            snapshots,
            waits_for_first,
            links,
            on_leading,
        } = parts;
        Driver {
            applied_to,
            membership: replica.membership(),
            replica,
            state,
            applied: Applied::default(),
            disk,
            writing: false,
            gate: Gate::default(),
            pace: Pace::default(),
            snapshots,
            waits_for_first,
            links,
            leading: None,
            on_leading,
            intake: Intake::default(),
            waiters: Waiters::default(),
            reading: Reading::default(),
            watchers: Watchers::default(),
            inputs,
            next_tick: clock::boot() + TICK,
            stopping: false,
        }
    }

    /// Until it is stopped, or something breaks. Whoever may lead stands for election at once:
    /// a replica that is alone has nobody to wait for. What was asked before stands in its first
    /// entry.
    pub fn run(mut self) -> Result<(), DriverError> {
        let ended = self.serve();
        // Whoever still waits learns that it will not be answered here.
        for (_, answers) in self.waiters.abandon() {
            answer_all(answers, &Reply::Dropped);
        }
        self.intake.refuse();
        ended
    }

    fn serve(&mut self) -> Result<(), DriverError> {
        // Whoever only looks or watches is not yet the first: a log without a run in it would be
        // left if this process died between its first two writes.
        while self.waits_for_first && self.intake.is_empty() && !self.stopping {
            match self.inputs.recv() {
                Ok(input) => self.take(input)?,
                Err(_) => return Ok(()),
            }
        }
        if self.stopping {
            return Ok(());
        }
        self.take_all()?;
        self.work()?;
        self.replica.campaign();
        // Before anything is handed to the disk: the first write of a replica that is alone holds
        // its vote, its mark and its first entry.
        self.stands(self.replica.standing());
        self.work()?;
        while !self.stopping {
            self.wait()?;
            self.tick()?;
            self.work()?;
        }
        Ok(())
    }

    /// Everything that follows from what came in, until nothing does.
    fn work(&mut self) -> Result<(), DriverError> {
        loop {
            self.lead()?;
            self.propose();
            let Some(work) = self.replica.ready() else { break };
            self.perform(work)?;
        }
        self.snapshots.begin_if_due(&mut self.state, &self.membership);
        Ok(())
    }

    /// Blocks for the first input, then takes all that are there: they share the next entry.
    fn wait(&mut self) -> Result<(), DriverError> {
        let patience = self.patience();
        match self.inputs.recv_timeout(patience) {
            Ok(input) => self.take(input)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
        self.take_all()
    }

    fn take_all(&mut self) -> Result<(), DriverError> {
        while let Ok(input) = self.inputs.try_recv() {
            self.take(input)?;
        }
        Ok(())
    }

    fn patience(&mut self) -> Duration {
        let now = clock::boot();
        let links = self.links.wakes_at();
        let leading =
            self.leading.as_ref().map(|leading| leading.wakes_at(&self.state, now, self.writing));
        let until = links.into_iter().chain(leading).fold(self.next_tick, BootTime::min);
        let patience = Duration::from_micros(until.0.saturating_sub(now.0));
        if self.watchers.remind() { patience.min(REMIND_AFTER) } else { patience }
    }

    fn take(&mut self, input: Input) -> Result<(), DriverError> {
        match input {
            Input::Propose(proposals) => proposals.into_iter().for_each(|it| self.intake.put(it)),
            Input::Read(look) => self.reading.ask(&mut self.replica, look),
            Input::Freeze(take) => take(self.state.freeze()),
            Input::Watch(interest, events) => self.watchers.add(interest, events),
            Input::Persisted(token) => {
                self.writing = false;
                self.gate.finished();
                self.pace.written(clock::boot());
                self.replica.persisted(token);
            }
            Input::Snapshotted(snapshotted) => {
                let meta = snapshotted.meta.clone();
                let before = self.snapshots.ended(snapshotted);
                self.replica.snapshot_saved(meta);
                self.disk.truncate_before(before);
            }
            Input::Broken(why) => return Err(DriverError::Disk(why)),
            Input::Wake => {}
            Input::Stop => self.stopping = true,
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), DriverError> {
        let now = clock::boot();
        if now >= self.next_tick {
            // Time that passed unseen (a pause) is not made up for: one tick, then on from here.
            self.next_tick = now + TICK;
            match self.gate.disk(Span(now.0)) {
                gate::Disk::Fine => self.replica.tick(),
                // Silent, so that others elect one whose disk makes progress.
                gate::Disk::Slow => {}
                gate::Disk::Hung => return Err(DriverError::Disk(HUNG.to_owned())),
            }
            self.reading.ask_again(&mut self.replica);
        }
        Ok(())
    }

    fn lead(&mut self) -> Result<(), DriverError> {
        let Some(leading) = &mut self.leading else { return Ok(()) };
        leading.begin(&self.state, self.applied_to, &mut self.on_leading, &mut self.intake);
        leading
            .turn(&self.state, &mut self.replica, &mut self.links, &mut self.intake)
            .map_err(DriverError::Links)
    }

    /// All that has gathered becomes the next entry as soon as no write is out. While the agenda
    /// is long, more turns of it share the write: as many as are applied while one is written.
    fn propose(&mut self) {
        if self.writing {
            return;
        }
        let mut turns = self.pace.turns();
        while self.propose_one() && self.state.has_agenda() && turns > 1 {
            turns -= 1;
        }
    }

    fn propose_one(&mut self) -> bool {
        let Some(leading) = &mut self.leading else { return false };
        let Some(Next { batch, answers }) = leading.next(&self.state, &mut self.intake) else {
            return false;
        };
        let mut bytes = Vec::new();
        stored::encode_batch(&batch, &mut bytes);
        match self.replica.propose(bytes) {
            Ok(proposed) => {
                // Handed to the disk with the next `ready`, which follows at once.
                self.writing = true;
                self.waiters.wait(proposed, answers);
                true
            }
            // Not leading any more: the change of standing that says so is on its way, and the
            // sessions go with it.
            Err(_) => {
                answer_all(answers, &Reply::Dropped);
                false
            }
        }
    }

    /// The next write goes out before the last one's entries are applied: disk and state machine
    /// work side by side.
    fn perform(&mut self, work: Work) -> Result<(), DriverError> {
        if let Some(standing) = work.standing {
            self.stands(standing);
        }
        if let Some(persist) = work.persist {
            self.writing = true;
            let now = clock::boot();
            self.gate.started(Span(now.0));
            self.pace.writes(now);
            self.disk.persist(persist);
        }
        for committed in work.committed {
            self.apply(committed)?;
        }
        for read in work.reads {
            let leading = self.leading.as_mut();
            if !leading.is_some_and(|leading| leading.confirmed(&read, &mut self.replica)) {
                self.reading.released(read, &self.state);
            }
        }
        Ok(())
    }

    fn stands(&mut self, standing: Standing) {
        if self.leading.as_ref().is_some_and(|leading| leading.leads_in(standing)) {
            return;
        }
        let leads = standing.role == Role::Leader;
        self.leading = leads.then(|| Leading::new(standing.term, self.replica.status().last));
        for (_, answers) in self.waiters.abandon() {
            answer_all(answers, &Reply::Dropped);
        }
        if leads {
            self.reading.ask_again(&mut self.replica);
        } else {
            self.intake.refuse();
        }
    }

    fn apply(&mut self, committed: Committed) -> Result<(), DriverError> {
        let Committed { index, term, body } = committed;
        self.applied.clear();
        let is_data = matches!(body, Body::Data(_));
        let mut size = 0;
        if let Body::Membership(membership) = &body {
            self.membership = membership.clone();
        }
        if let Body::Data(bytes) = body {
            size = bytes.len();
            let batch = stored::decode_batch(&bytes)
                .map_err(|error| DriverError::Entry { index, why: error.to_string() })?;
            let position = Position { index, term };
            if let Some(leading) = &mut self.leading {
                leading.committed(position, &batch);
            }
            let begun = clock::boot();
            self.state.apply(position, batch, &mut self.applied);
            self.pace.applied(begun, clock::boot());
        }
        self.applied_to = index;
        self.snapshots.applied(index, term, size);
        self.replica.applied(index);
        // A read that came before the first entry of a term waits for that, not for a tick.
        self.reading.ask_again(&mut self.replica);
        for (fate, answers) in self.waiters.applied(term, index, !is_data) {
            match fate {
                Fate::Applied => {
                    let replies = self.applied.replies.drain(..);
                    answers.into_iter().zip(replies).for_each(|(to, reply)| answer_one(to, reply));
                }
                Fate::Dropped | Fate::Unknown => answer_all(answers, &Reply::Dropped),
            }
        }
        if let Some(leading) = &mut self.leading {
            leading.applied(index, &self.applied.effects, &self.state);
        }
        for effect in self.applied.effects.drain(..) {
            if let Effect::Event(event) = effect {
                self.watchers.tell(event);
            }
        }
        Ok(())
    }
}

fn answer_all(answers: Vec<Answer>, reply: &Reply) {
    answers.into_iter().for_each(|answer| answer_one(answer, reply.clone()));
}

fn answer_one(answer: Answer, reply: Reply) {
    if let Some(answer) = answer {
        // Whoever asked may have gone away.
        let _ = answer.send(reply);
    }
}
