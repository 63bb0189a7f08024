//! The judge of a leader's manners: what it may say to a worker, and when.

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{LogIndex, Session, StreamNo, WorkerId};
use dagmar_common::lease::{FromWorker, Numbered, ToWorker};
use dagmar_coordinator_core::command::{Batch, Command};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::Facts;
use dagmar_member::FromStream;

/// Something is on its way into the log about a worker.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// It may end the worker's readiness.
    ends: bool,
}

/// Of one leader; a new one begins with new manners.
#[derive(Debug, Default)]
pub struct Manners {
    pub is_up: bool,
    /// Of its quorum rounds: how many were asked for, and the last that was answered.
    pub rounds: (u64, u64),
    /// The round that a hello waits for, and its worker.
    hellos: BTreeMap<StreamNo, (WorkerId, u64)>,
    /// The round that a heartbeat waits for.
    beats: BTreeMap<(StreamNo, u64), u64>,
    sessions: BTreeMap<StreamNo, (WorkerId, Session)>,
    stale: BTreeSet<StreamNo>,
    /// Workers about whom something is written and not applied yet.
    written: BTreeMap<LogIndex, Vec<(WorkerId, bool)>>,
    pending: BTreeMap<WorkerId, Pending>,
    /// Heard since its last turn, if there was nothing else: whoever beats and is not ready.
    last_beat: Option<StreamNo>,
    heard: u32,
}

impl Manners {
    pub fn born_ready(&mut self, stream: StreamNo, worker: WorkerId, session: Session) {
        self.sessions.insert(stream, (worker, session));
    }

    pub fn heard(&mut self, stream: StreamNo, what: &FromStream) {
        self.heard += 1;
        match what {
            FromStream::Message(Numbered { message: FromWorker::Hello(hello), .. }) => {
                self.hellos.insert(stream, (hello.worker, self.rounds.0 + 1));
            }
            FromStream::Message(Numbered { number, message: FromWorker::Heartbeat(_) }) => {
                self.beats.insert((stream, *number), self.rounds.0 + 1);
                self.last_beat = Some(stream);
            }
            FromStream::Closed => self.closed(stream),
            _ => {}
        }
    }

    pub fn closed(&mut self, stream: StreamNo) {
        self.sessions.remove(&stream);
        self.hellos.remove(&stream);
    }

    /// An entry of its own is written, and not yet applied.
    pub fn writes(&mut self, index: LogIndex, batch: &Batch) {
        self.written.insert(index, batch.commands.iter().filter_map(about).collect());
    }

    pub fn applied(&mut self, index: LogIndex) {
        self.written = self.written.split_off(&LogIndex(index.0 + 1));
    }

    /// Before whatever the leader does next: what is under way then, with what waits to be
    /// proposed.
    pub fn looks<'a>(&mut self, waiting: impl Iterator<Item = &'a Command>) {
        self.pending.clear();
        let written = self.written.values().flatten().copied();
        for (worker, ends) in written.chain(waiting.filter_map(about)) {
            self.pending.entry(worker).or_default().ends |= ends;
        }
    }

    pub fn says(&mut self, stream: StreamNo, message: &ToWorker, state: &impl Facts) {
        let (_, answered) = self.rounds;
        match message {
            ToWorker::HelloAnswer(answer) => {
                let Some((worker, round)) = self.hellos.remove(&stream) else {
                    panic!("stream {stream} is answered and said no hello");
                };
                assert!(self.is_up, "a hello is answered by a leader that is not up");
                assert!(answered >= round, "a hello is answered before its quorum round");
                let is_pending = self.pending.contains_key(&worker);
                assert!(!is_pending, "a hello is answered while its worker's state may change");
                self.sessions.insert(stream, (worker, answer.session));
            }
            ToWorker::HeartbeatAcknowledged { number } => {
                let round = self.beats.get(&(stream, *number)).copied().unwrap_or(u64::MAX);
                assert!(answered >= round, "a heartbeat is answered before its quorum round");
                let Some((worker, session)) = self.sessions.get(&stream) else {
                    panic!("stream {stream} has no session and is acknowledged");
                };
                let ready = state.worker(*worker).and_then(|facts| facts.ready);
                assert_eq!(ready, Some(*session), "acknowledged on a session that is not ready");
                let ends = self.pending.get(worker).is_some_and(|pending| pending.ends);
                assert!(!ends, "acknowledged while its readiness may end");
            }
            ToWorker::Stale => {
                self.stale.insert(stream);
            }
            _ => {}
        }
    }

    /// After the leader's turn: a heartbeat alone, of a worker that is not ready and about which
    /// nothing is under way, ended its stream.
    pub fn turned(&mut self, state: &impl Facts) {
        let alone = self.last_beat.take().filter(|_| self.heard == 1);
        self.heard = 0;
        let Some(stream) = alone.filter(|stream| self.is_up && !self.stale.contains(stream)) else {
            return;
        };
        let Some((worker, session)) = self.sessions.get(&stream) else { return };
        let ready = state.worker(*worker).and_then(|facts| facts.ready);
        let stays = ready != Some(*session) && !self.pending.contains_key(worker);
        assert!(!stays, "stream {stream} of a worker that is not ready goes on");
    }
}

/// What the state may do with the readiness of workers; it holds over all leaders.
#[derive(Debug, Default)]
pub struct Readiness {
    before: BTreeMap<WorkerId, Option<Session>>,
    drained: BTreeSet<WorkerId>,
}

impl Readiness {
    pub fn looks(&mut self, state: &impl Facts) {
        self.before = state.workers().map(|facts| (facts.id, facts.ready)).collect();
    }

    pub fn applied(&mut self, batch: &Batch, effects: &[Effect], state: &impl Facts) {
        for command in &batch.commands {
            match command {
                Command::Drain { worker, is_on: false } => self.drained.remove(worker),
                Command::Drain { worker, .. } if state.worker(*worker).is_some() => {
                    self.drained.insert(*worker)
                }
                _ => continue,
            };
        }
        for effect in effects {
            if let Effect::Start { worker, .. } = effect {
                let id = state.worker_id(*worker);
                let drains = id.is_some_and(|id| self.drained.contains(&id));
                assert!(!drains, "worker {worker:?} drains and is granted a lease");
                let facts = id.and_then(|id| state.worker(id));
                let is_ready = facts.is_some_and(|facts| facts.ready.is_some());
                assert!(is_ready, "worker {worker:?} is not ready and is granted a lease");
            }
        }
        for command in &batch.commands {
            let Command::WorkerSuspended { worker, session } = command else { continue };
            let of_it = |other: &&Command| about(other).is_some_and(|(id, _)| id == *worker);
            let is_alone = batch.commands.iter().filter(of_it).count() == 1
                && !batch.commands.contains(&Command::LeaderUp);
            let before = self.before.get(worker).copied().flatten();
            if is_alone && before.is_some_and(|before| before != *session) {
                let ready = state.worker(*worker).and_then(|facts| facts.ready);
                assert_eq!(ready, before, "the end of another session suspends this one");
            }
        }
    }
}

/// The worker that a command is about, and whether it may end that worker's readiness.
fn about(command: &Command) -> Option<(WorkerId, bool)> {
    match command {
        Command::Hello(hello) => Some((hello.worker, true)),
        Command::WorkerSuspended { worker, .. }
        | Command::WorkerLost { worker, .. }
        | Command::RemoveWorker { worker } => Some((*worker, true)),
        Command::WorkerReady { worker, .. }
        | Command::Outcomes { worker, .. }
        | Command::Returned { worker, .. } => Some((*worker, false)),
        _ => None,
    }
}
