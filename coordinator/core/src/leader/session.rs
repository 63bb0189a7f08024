//! The leader's end of one stream: its numbers, what began over it, and what it has to say.

use std::collections::BTreeSet;

use dagmar_common::ids::{Fence, Incarnation, Session as SessionNo, StreamNo, WorkerId};
use dagmar_common::lease::{FromWorker, Heartbeat, Hello, Numbered, Start, ToWorker};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, WallTime};

use super::Output;
use crate::ask;

#[derive(Debug)]
pub(crate) struct Session {
    pub phase: Phase,
    pub heard: BootTime,
    received: u64,
    sent: u64,
    begun: ask::Begun,
    /// What had begun and was reported, until the log has it.
    unanswered: ask::Begun,
    begun_sum: u64,
    /// Heartbeats not acknowledged yet, with the round that each waits for.
    pub beats: Vec<(u64, u64)>,
    outbox: Vec<ToWorker>,
}

/// `Open → Greeted → Answered`; a stream never goes back.
#[derive(Debug)]
pub(crate) enum Phase {
    Open,
    Greeted(Box<Greeting>),
    Answered(Answered),
}

/// A hello that waits for its quorum round and for all that was proposed about its worker.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub hello: Hello,
    pub round: u64,
    /// The command was proposed once; if the state differs still, it was refused.
    pub is_proposed: bool,
    /// Not read before the answer.
    pub behind: Vec<Numbered<FromWorker>>,
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub number: SessionNo,
    pub worker: WorkerId,
    pub incarnation: Incarnation,
    /// Of an older incarnation: it may report, and gets nothing.
    pub is_stale: bool,
    /// Fences of the hello whose outcome or return must be applied before it is ready.
    pub expected: BTreeSet<Fence>,
    /// What it holds of leases that were taken from it, until it says that this is over.
    pub regains: BTreeSet<Fence>,
    pub is_ready_proposed: bool,
}

impl Session {
    pub fn open(now: BootTime) -> Self {
        Session {
            phase: Phase::Open,
            heard: now,
            received: 0,
            sent: 0,
            begun: ask::Begun::default(),
            unanswered: ask::Begun::default(),
            begun_sum: 0,
            beats: Vec::new(),
            outbox: Vec::new(),
        }
    }

    pub fn worker(&self) -> Option<(WorkerId, Incarnation)> {
        match &self.phase {
            Phase::Open => None,
            Phase::Greeted(greeting) => Some((greeting.hello.worker, greeting.hello.incarnation)),
            Phase::Answered(answered) => Some((answered.worker, answered.incarnation)),
        }
    }

    pub fn answered(&self) -> Option<&Answered> {
        match &self.phase {
            Phase::Answered(answered) => Some(answered),
            _ => None,
        }
    }

    pub fn answered_mut(&mut self) -> Option<&mut Answered> {
        match &mut self.phase {
            Phase::Answered(answered) => Some(answered),
            _ => None,
        }
    }

    /// It may be given work.
    pub fn is_current(&self) -> bool {
        self.answered().is_some_and(|answered| !answered.is_stale)
    }

    /// False where the message cannot be the next one of a sound stream.
    pub fn receives(&mut self, message: &Numbered<FromWorker>) -> bool {
        let is_hello = matches!(message.message, FromWorker::Hello(_));
        let is_open = matches!(self.phase, Phase::Open);
        let number = if is_hello { 0 } else { self.received + 1 };
        self.received = message.number;
        is_hello == is_open && (message.number == number || lives(Mutant::NumbersNotChecked))
    }

    pub fn has_begun(&mut self, fence: Fence, at: Option<WallTime>) {
        if self.begun.insert(fence, at) {
            self.begun_sum ^= fence.hash();
        }
    }

    /// Whoever looks meanwhile sees no step that waits again.
    pub fn shows_begun(&self, begun: &mut ask::Begun) {
        begun.extend(&self.begun);
        begun.extend(&self.unanswered);
    }

    pub fn reported(&mut self, fence: Fence) {
        if let Phase::Answered(answered) = &mut self.phase
            && !lives(Mutant::ReturnedIsRegained)
        {
            answered.regains.remove(&fence);
        }
        if self.begun.is_empty() {
            return;
        }
        let at = self.begun.at(fence);
        if self.begun.remove(fence) {
            self.begun_sum ^= fence.hash();
            self.unanswered.insert(fence, at);
        }
    }

    /// What began and was not reported, for whoever has to tell how far a lost worker came.
    pub fn take_begun(&mut self) -> ask::Begun {
        std::mem::take(&mut self.begun)
    }

    /// Both ends count alike. Numbers of messages stand in one order with the heartbeat, so what
    /// was sent is known here, and what was received can only be less than what went out.
    pub fn agrees(&self, heartbeat: &Heartbeat) -> bool {
        heartbeat.sent + 1 == self.received
            && heartbeat.received <= self.sent
            && (heartbeat.begun_sum == self.begun_sum || lives(Mutant::SumsNotCompared))
    }

    pub fn say(&mut self, message: ToWorker) {
        self.outbox.push(message);
    }

    pub fn say_start(&mut self, start: Start) {
        match self.outbox.last_mut() {
            Some(ToWorker::Start(starts)) => starts.push(start),
            _ => self.outbox.push(ToWorker::Start(vec![start])),
        }
    }

    /// The log has what was reported, or never will.
    pub fn answers(&mut self, kind: fn(Vec<Fence>) -> ToWorker, fence: Fence) {
        self.unanswered.remove(fence);
        self.say_fence(kind, fence);
    }

    /// Joins its like, if that was said last: what is said keeps its order.
    pub fn say_fence(&mut self, kind: fn(Vec<Fence>) -> ToWorker, fence: Fence) {
        let mut message = kind(Vec::new());
        if let Some(last) = self.outbox.last_mut()
            && std::mem::discriminant(last) == std::mem::discriminant(&message)
            && let Some(fences) = fences_in(last)
        {
            fences.push(fence);
        } else if let Some(fences) = fences_in(&mut message) {
            fences.push(fence);
            self.outbox.push(message);
        }
    }

    pub fn flush(&mut self, stream: StreamNo, out: &mut Vec<Output>) {
        for message in self.outbox.drain(..) {
            self.sent += 1;
            let message = Numbered { number: self.sent, message };
            out.push(Output::Send { stream, message });
        }
    }
}

fn fences_in(message: &mut ToWorker) -> Option<&mut Vec<Fence>> {
    match message {
        ToWorker::Recorded(fences)
        | ToWorker::Refused(fences)
        | ToWorker::Cancel(fences)
        | ToWorker::Kill(fences)
        | ToWorker::Recall(fences) => Some(fences),
        _ => None,
    }
}
