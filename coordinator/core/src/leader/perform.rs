//! Effects about workers, turned into messages for the streams that live.

use dagmar_common::ids::{Fence, StreamNo, WorkerId, WorkerNo};
use dagmar_common::lease::ToWorker;
use dagmar_common::mutant::{Mutant, lives};

use super::Leader;
use super::facts::Facts;
use crate::effect::Effect;

impl Leader {
    pub(super) fn perform(&mut self, effects: &[Effect], state: &impl Facts) {
        // Effects come in long rows for one worker: it is looked up once a row.
        let mut last: Option<(WorkerNo, WorkerId)> = None;
        let mut find = |number: WorkerNo| match last {
            Some((known, id)) if known == number => Some(id),
            _ => {
                let id = state.worker_id(number)?;
                last = Some((number, id));
                Some(id)
            }
        };
        for effect in effects {
            match *effect {
                Effect::Start { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.start(id, worker, fence, state);
                    }
                }
                Effect::Recall { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.tell_current(id, ToWorker::Recall, fence);
                    }
                }
                Effect::Cancel { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.tell_current(id, ToWorker::Cancel, fence);
                    }
                }
                Effect::Kill { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.tell_current(id, ToWorker::Kill, fence);
                    }
                }
                Effect::Recorded { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.tell_all(id, ToWorker::Recorded, fence);
                    }
                }
                Effect::Refused { worker, fence } => {
                    if let Some(id) = find(worker) {
                        self.tell_all(id, ToWorker::Refused, fence);
                    }
                }
                Effect::Stale { worker } => {
                    if let Some(id) = find(worker) {
                        self.tell_stale(id, state);
                    }
                }
                Effect::Event(_) | Effect::Archive { .. } => {}
            }
        }
    }

    /// The newest stream over which this worker may be given work.
    pub(super) fn current_stream(&self, worker: WorkerId) -> Option<StreamNo> {
        let streams = self.workers.get(&worker)?.streams.iter().rev();
        let is_current = |stream: &StreamNo| {
            self.sessions.get(stream).is_some_and(|session| session.is_current())
        };
        streams.copied().find(is_current)
    }

    fn start(&mut self, worker: WorkerId, number: WorkerNo, fence: Fence, state: &impl Facts) {
        let Some(stream) = self.current_stream(worker) else {
            self.workers.entry(worker).or_default().unsent.insert(fence);
            return;
        };
        // None: the same entry ended it again.
        let Some(start) = state.start(number, fence) else { return };
        if let Some(session) = self.sessions.get_mut(&stream) {
            session.say_start(start);
            self.talking.insert(stream);
        }
    }

    fn tell_current(&mut self, worker: WorkerId, kind: fn(Vec<Fence>) -> ToWorker, fence: Fence) {
        let Some(stream) = self.current_stream(worker) else { return };
        if let Some(session) = self.sessions.get_mut(&stream) {
            session.say_fence(kind, fence);
            self.talking.insert(stream);
        }
    }

    /// An answer is for whoever reported, and only the log knows who did: all hear it.
    fn tell_all(&mut self, worker: WorkerId, kind: fn(Vec<Fence>) -> ToWorker, fence: Fence) {
        let Some(known) = self.workers.get(&worker) else { return };
        for stream in &known.streams {
            let Some(session) = self.sessions.get_mut(stream) else { continue };
            if session.answered().is_some() {
                session.answers(kind, fence);
                self.talking.insert(*stream);
            }
        }
    }

    fn tell_stale(&mut self, worker: WorkerId, state: &impl Facts) {
        let Some(facts) = state.worker(worker) else { return };
        let Some(known) = self.workers.get(&worker) else { return };
        for stream in &known.streams {
            let Some(session) = self.sessions.get_mut(stream) else { continue };
            let Some(answered) = session.answered_mut() else { continue };
            let is_over = facts.is_removed || answered.incarnation != facts.incarnation;
            if is_over && !answered.is_stale && !lives(Mutant::StaleIsNotTold) {
                answered.is_stale = true;
                session.say(ToWorker::Stale);
                self.reporting.remove(stream);
                self.talking.insert(*stream);
            }
        }
    }
}
