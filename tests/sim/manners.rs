//! The judge of a leader's manners: what it may say to a worker, and when.

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{Session, StreamNo, WorkerId};
use dagmar_common::lease::{FromWorker, Numbered, ToWorker};
use dagmar_coordinator_core::command::{Batch, Command};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::Facts;

/// What is on its way into the log about a worker.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    any: bool,
    /// It may end the worker's readiness.
    ends: bool,
}

/// Of one leader; a new one begins with new manners.
#[derive(Debug, Default)]
pub struct Manners {
    pub is_up: bool,
    /// Of its quorum rounds: how many were asked for, and the last that was answered.
    pub asked: u64,
    pub answered: u64,
    /// The round that a hello waits for, and its worker.
    hellos: BTreeMap<StreamNo, (WorkerId, u64)>,
    /// The round that a heartbeat waits for.
    beats: BTreeMap<(StreamNo, u64), u64>,
    sessions: BTreeMap<StreamNo, (WorkerId, Session)>,
    stale: BTreeSet<StreamNo>,
    pending: BTreeMap<WorkerId, Pending>,
    /// Heard since its last turn, if there was nothing else: whoever beats and is not ready.
    last_beat: Option<StreamNo>,
    heard: u32,
}

impl Manners {
    pub fn heard(&mut self, stream: StreamNo, message: &Numbered<FromWorker>) {
        self.heard += 1;
        match &message.message {
            FromWorker::Hello(hello) => {
                self.hellos.insert(stream, (hello.worker, self.asked + 1));
            }
            FromWorker::Heartbeat(_) => {
                self.beats.insert((stream, message.number), self.asked + 1);
                self.last_beat = Some(stream);
            }
            _ => {}
        }
    }

    pub fn heard_otherwise(&mut self) {
        self.heard += 1;
    }

    /// Before the leader's turn: what is under way then.
    pub fn looks<'a>(&mut self, under_way: impl Iterator<Item = &'a Command>) {
        self.pending.clear();
        for command in under_way {
            let Some((worker, ends)) = about(command) else { continue };
            let pending = self.pending.entry(worker).or_default();
            pending.any = true;
            pending.ends |= ends;
        }
    }

    pub fn says(&mut self, stream: StreamNo, message: &ToWorker, state: &impl Facts) {
        match message {
            ToWorker::HelloAnswer(answer) => {
                let Some((worker, round)) = self.hellos.remove(&stream) else {
                    panic!("stream {stream} is answered and said no hello");
                };
                assert!(self.is_up, "a hello is answered by a leader that is not up");
                assert!(self.answered >= round, "a hello is answered before its quorum round");
                let pending = self.pending.get(&worker).copied().unwrap_or_default();
                assert!(!pending.any, "a hello is answered while its worker's state may change");
                self.sessions.insert(stream, (worker, answer.session));
            }
            ToWorker::HeartbeatAcknowledged { number } => {
                let round = self.beats.get(&(stream, *number)).copied().unwrap_or(u64::MAX);
                assert!(self.answered >= round, "a heartbeat is answered before its quorum round");
                let Some((worker, session)) = self.sessions.get(&stream) else {
                    panic!("stream {stream} has no session and is acknowledged");
                };
                let ready = state.worker(*worker).and_then(|facts| facts.ready);
                assert_eq!(ready, Some(*session), "acknowledged on a session that is not ready");
                let pending = self.pending.get(worker).copied().unwrap_or_default();
                assert!(!pending.ends, "acknowledged while its readiness may end");
            }
            ToWorker::Stale => {
                self.stale.insert(stream);
            }
            _ => {}
        }
    }

    /// After the leader's turn: a heartbeat alone, of a worker that is not ready and about which
    /// nothing is under way, ended its stream.
    pub fn turned(&mut self, open: impl Fn(StreamNo) -> bool, state: &impl Facts) {
        let alone = self.last_beat.take().filter(|_| self.heard == 1);
        self.heard = 0;
        let Some(stream) = alone.filter(|stream| self.is_up && !self.stale.contains(stream)) else {
            return;
        };
        let Some((worker, session)) = self.sessions.get(&stream) else { return };
        let ready = state.worker(*worker).and_then(|facts| facts.ready);
        let is_pending = self.pending.get(worker).is_some_and(|pending| pending.any);
        let stays = ready != Some(*session) && !is_pending && open(stream);
        assert!(!stays, "stream {stream} of a worker that is not ready goes on");
    }
}

/// What the state may do with the readiness of workers; it holds over all leaders.
#[derive(Debug, Default)]
pub struct Readiness {
    before: BTreeMap<WorkerId, Option<Session>>,
}

impl Readiness {
    pub fn looks(&mut self, state: &impl Facts) {
        self.before = state.workers().map(|facts| (facts.id, facts.ready)).collect();
    }

    pub fn applied(&self, batch: &Batch, effects: &[Effect], state: &impl Facts) {
        for effect in effects {
            if let Effect::Start { worker, .. } = effect {
                let facts = state.worker_id(*worker).and_then(|id| state.worker(id));
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
