//! The watch over workers: who is acknowledged, who is suspended, who is lost, which stream ends.
//!
//! Levels, not edges: the state's readiness is compared with the streams that live, after every
//! entry that may have changed it, whenever a stream ends, and every few seconds.

use dagmar_common::ids::{StreamNo, WorkerId};
use dagmar_common::lease::ToWorker;
use dagmar_common::limits::{HEARTBEAT_EVERY, HEARTBEATS_LATE, HELLO_BACK_WITHIN};
use dagmar_common::mutant::{Mutant, lives};

use super::facts::{Facts, WorkerFacts};
use super::known::Known;
use super::session::{Phase, Session};
use super::{Closing, Leader, Output};
use crate::command::Command;

impl Leader {
    /// A heartbeat is acknowledged once its round is settled, on the ready session alone, while
    /// nothing that ends this readiness is under way. Of several the last one is answered.
    pub(super) fn acknowledge(&mut self, state: &impl Facts) {
        let beating: Vec<StreamNo> = self.beating.iter().copied().collect();
        for stream in beating {
            let Some(session) = self.sessions.get_mut(&stream) else { continue };
            let settled = session.beats.iter().rposition(|beat| {
                self.rounds.is_settled(beat.1) || lives(Mutant::AcknowledgesWithoutRound)
            });
            let Some(place) = settled else { continue };
            let (number, _) = session.beats[place];
            session.beats.drain(..=place);
            if session.beats.is_empty() {
                self.beating.remove(&stream);
            }
            let Some(answered) = session.answered() else { continue };
            let ready = state.worker(answered.worker).and_then(|worker| worker.ready);
            let known = self.workers.get(&answered.worker);
            let ends = known.is_none_or(|known| known.ending > 0)
                && !lives(Mutant::AcknowledgesWhileEnding);
            let is_ready = ready == Some(answered.number) || lives(Mutant::AcknowledgesAnySession);
            if self.is_up && is_ready && !ends {
                session.say(ToWorker::HeartbeatAcknowledged { number });
                self.talking.insert(stream);
            }
        }
    }

    pub(super) fn look(&mut self, state: &impl Facts, out: &mut Vec<Output>) {
        if !self.is_up || self.now.boot < self.looks_at {
            return;
        }
        self.looks_at = self.now.boot + HEARTBEAT_EVERY;
        for worker in state.workers() {
            match worker.ready {
                Some(_) => self.look_at_ready(&worker, out),
                None => self.look_at_away(&worker, out),
            }
        }
        self.close_silent(state, out);
    }

    fn look_at_ready(&mut self, worker: &WorkerFacts, out: &mut Vec<Output>) {
        let Some(session) = worker.ready else { return };
        let known = self.workers.get(&worker.id);
        if known.is_some_and(Known::is_busy) || self.has_greeted(worker) {
            return;
        }
        let parted = known
            .and_then(|known| known.parted)
            .filter(|(parted, _)| *parted == session)
            .map(|(_, at)| at);
        let live = self.current_stream(worker.id).and_then(|stream| self.sessions.get(&stream));
        let live = live
            .filter(|live| live.answered().is_some_and(|answered| answered.number == session))
            .map(|live| live.heard + HEARTBEATS_LATE);
        let until = live.or(parted.map(|at| at + HELLO_BACK_WITHIN));
        match until {
            Some(until) if self.now.boot < until => self.looks_at = self.looks_at.min(until),
            _ => self.propose(Command::WorkerSuspended { worker: worker.id, session }, out),
        }
    }

    fn look_at_away(&mut self, worker: &WorkerFacts, out: &mut Vec<Output>) {
        let is_early = |at| self.now.log < at && !lives(Mutant::LostTooEarly);
        if worker.lost_at.is_none_or(is_early) {
            return;
        }
        // One that is here is about to be ready again, and keeps what it holds.
        let is_here = self.has_greeted(worker) || self.current_stream(worker.id).is_some();
        let known = self.workers.entry(worker.id).or_default();
        if is_here || known.is_busy() {
            return;
        }
        let started = known.begun.fences().collect();
        let unsent = known.unsent.iter().copied().collect();
        self.propose(Command::WorkerLost { worker: worker.id, started, unsent }, out);
    }

    /// Its hello waits for an answer.
    fn has_greeted(&self, worker: &WorkerFacts) -> bool {
        let greets = |stream: &StreamNo| {
            let session = self.sessions.get(stream).filter(|one| one.answered().is_none());
            session.and_then(Session::worker) == Some((worker.id, worker.incarnation))
        };
        self.workers.get(&worker.id).is_some_and(|known| known.streams.iter().any(greets))
    }

    /// A stream that says nothing and is nobody's ready session ends. A hello that waits for its
    /// answer is not silent: its worker gives up by itself.
    fn close_silent(&mut self, state: &impl Facts, out: &mut Vec<Output>) {
        let late = |session: &Session| self.now.boot >= session.heard + HEARTBEATS_LATE;
        let is_ready = |worker: WorkerId, number| {
            state.worker(worker).is_some_and(|facts| facts.ready == Some(number))
        };
        let is_silent = |session: &Session| match &session.phase {
            Phase::Open => late(session),
            Phase::Greeted(_) => false,
            Phase::Answered(answered) => {
                late(session) && !is_ready(answered.worker, answered.number)
            }
        };
        let silent: Vec<StreamNo> = self
            .sessions
            .iter()
            .filter(|(_, session)| is_silent(session))
            .map(|(stream, _)| *stream)
            .collect();
        silent.into_iter().for_each(|stream| self.close(stream, Closing::Silent, out));
    }

    pub(super) fn close_all_of(&mut self, worker: WorkerId, out: &mut Vec<Output>) {
        let streams = self.workers.get(&worker).map(|known| known.streams.clone());
        for stream in streams.into_iter().flatten() {
            self.close(stream, Closing::NotProposed, out);
        }
    }

    pub(super) fn close(&mut self, stream: StreamNo, why: Closing, out: &mut Vec<Output>) {
        if self.sessions.contains_key(&stream) {
            self.forget(stream);
            out.push(Output::CloseStream { stream, why });
        }
    }

    /// The stream is gone; what is known of its worker stays.
    pub(super) fn forget(&mut self, stream: StreamNo) {
        let Some(mut session) = self.sessions.remove(&stream) else { return };
        for set in [&mut self.greeted, &mut self.reporting, &mut self.beating, &mut self.talking] {
            set.remove(&stream);
        }
        let Some((worker, _)) = session.worker() else { return };
        let known = self.workers.entry(worker).or_default();
        known.streams.retain(|other| *other != stream);
        if let Some(number) = session.answered().filter(|one| !one.is_stale).map(|one| one.number) {
            known.parted = Some((number, self.now.boot));
            known.begun = session.take_begun();
            self.looks_at = self.now.boot;
        }
    }

    /// What must hold between any two turns.
    pub fn check(&self) {
        for (stream, session) in &self.sessions {
            let greeted = matches!(session.phase, Phase::Greeted(_));
            assert_eq!(greeted, self.greeted.contains(stream), "greeted {stream}");
            let reports =
                session.answered().is_some_and(|one| !one.is_stale && !one.is_ready_proposed);
            assert_eq!(reports, self.reporting.contains(stream), "reporting {stream}");
            assert_eq!(!session.beats.is_empty(), self.beating.contains(stream), "beats {stream}");
            if let Some((worker, _)) = session.worker() {
                let known = self.workers.get(&worker);
                assert!(known.is_some_and(|known| known.streams.contains(stream)));
            }
        }
        for known in self.workers.values() {
            assert!(known.ending <= known.proposed);
            assert!(known.outcomes.is_empty() && known.returned.is_empty());
            assert!(known.streams.iter().all(|stream| self.sessions.contains_key(stream)));
        }
        assert!(self.talking.is_empty() && self.speaking.is_empty());
    }
}
