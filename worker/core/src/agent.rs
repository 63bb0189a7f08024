//! The agent: what it makes of each thing that happens, and what it says and does about it.

mod speech;

use std::sync::Arc;

use dagmar_common::graph::Function;
use dagmar_common::ids::{Fence, Incarnation, Session, StreamNo, WorkerId};
use dagmar_common::lease::{
    Begun, Ending, ExitReason, FromWorker, Hello, HelloAnswer, Numbered, Outcome, Start, ToWorker,
    Verdict,
};
use dagmar_common::limits::{
    EXCLUSIVE_FOR, EXCLUSIVE_LEFT_MIN, OUTCOME_BYTES_MAX, OUTCOMES_HELD_FOR,
};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, Now, WallTime};

use crate::admission::Admission;
use speech::Said;

use crate::held::{Held, Phase, Remembered, RememberedAs, TrialKey, Work};
use crate::stream::Stream;
use crate::turn::{Input, Leaving, Output, Stop};

/// Who this worker is and what it offers; fixed for one incarnation.
#[derive(Clone, Debug)]
pub struct Identity {
    pub worker: WorkerId,
    pub incarnation: Incarnation,
    pub name: String,
    pub cpu_millis: u32,
    /// Sorted by key.
    pub labels: Vec<(String, String)>,
}

/// Until when exclusive processes may live here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifeline {
    /// No heartbeat was acknowledged yet: none may begin.
    Never,
    Until(BootTime),
    /// This worker is in the process of its only coordinator: they die together.
    Endless,
}

/// One worker's side of the lease protocol, from its first hello to its last outcome.
#[derive(Debug)]
pub struct Agent {
    identity: Identity,
    now: Now,
    stream: Option<Stream>,
    held: Held,
    admission: Admission,
    said: Said,
    lifeline: Lifeline,
    /// Since when outcomes wait to be said.
    held_since: Option<BootTime>,
    /// A newer incarnation is known: nothing new is begun.
    stale: bool,
    rejoins: bool,
    /// Shared by every outcome that has no last lines.
    no_lines: Arc<str>,
}

impl Agent {
    pub fn new(identity: Identity) -> Self {
        let admission = Admission::new(identity.cpu_millis);
        Agent {
            identity,
            now: Now::default(),
            stream: None,
            held: Held::default(),
            admission,
            said: Said::default(),
            lifeline: Lifeline::Never,
            held_since: None,
            stale: false,
            rejoins: false,
            no_lines: Arc::from(""),
        }
    }

    /// Takes up what an earlier life of this worker recorded; before the first stream.
    pub fn remember(&mut self, records: impl IntoIterator<Item = Remembered>) {
        for record in records {
            let phase = match record.state {
                RememberedAs::Running { stopping } => Phase::Running { began: None, stopping },
                RememberedAs::Finished(outcome) => Phase::Finished(Box::new(outcome)),
                RememberedAs::Gone { started } => Phase::Gone { started },
            };
            let trial = TrialKey::new(record.run, record.path);
            let mut work = Work::new(Some(trial), record.cpu_millis, phase);
            work.recorded = true;
            let runs = work.is_running();
            if self.held.insert(record.fence, work) && runs {
                self.admission.take(record.cpu_millis);
            }
        }
    }

    /// All that happened since the last turn, and the time now. Drains `inputs`, appends to `out`.
    pub fn turn(&mut self, now: Now, inputs: &mut Vec<Input>, out: &mut Vec<Output>) {
        self.now = now;
        for input in inputs.drain(..) {
            self.take(input, out);
        }
        let lifeline = self.lifeline;
        let may = |start: &Start| !start.task.care.exclusive || lifeline.reaches(now.boot);
        while let Some(start) = self.admission.next(may) {
            if let Some(work) = self.held.get_mut(start.fence) {
                work.phase = Phase::HANDED_OVER;
                work.recorded = true;
            }
            out.push(Output::Run(start));
        }
        self.speak(out);
        if self.stale && self.held.is_empty() && !self.rejoins {
            self.rejoins = true;
            out.push(Output::Rejoin);
        }
    }

    /// When the next turn is due although nothing happens; None without a stream.
    pub fn wakes_at(&self) -> Option<BootTime> {
        let held = self.held_since.map(|since| since + OUTCOMES_HELD_FOR);
        let stream = self.stream.as_ref().map(Stream::wakes_at);
        held.into_iter().chain(stream).min()
    }

    /// Nothing is held: every outcome was answered and nothing waits or runs.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    fn take(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected { stream, born_ready } => self.connected(stream, born_ready, out),
            Input::Disconnected { stream } => {
                if self.is_current(stream) {
                    self.stream = None;
                }
            }
            Input::Received { stream, message } => {
                if self.is_current(stream) {
                    self.received(message, out);
                }
            }
            Input::ProcessStarted { fence, at } => self.process_started(fence, at),
            Input::ProcessEnded(outcome) => self.process_ended(outcome),
            Input::ProcessNotStarted { fence } => self.process_gone(fence, false),
            Input::ProcessStopped { fence } => {
                self.process_gone(fence, !lives(Mutant::KilledWasNotStarted));
            }
        }
    }

    fn is_current(&self, stream: StreamNo) -> bool {
        self.stream.as_ref().is_some_and(|current| current.number == stream)
    }

    /// From here on nothing is read from an older stream.
    fn connected(&mut self, number: StreamNo, born: Option<Session>, out: &mut Vec<Output>) {
        self.leave(Leaving::Replaced, out);
        if born.is_some() {
            self.lifeline = Lifeline::Endless;
        }
        let mut stream = Stream::open(number, born, self.now.boot);
        let mut held = Vec::new();
        for (fence, work) in self.held.iter_mut() {
            let state = work.phase.as_held();
            work.told_begun = work.is_running();
            if work.told_begun {
                stream.toggle_begun(fence);
            }
            held.push(dagmar_common::lease::Held { fence, state });
        }
        if born.is_none() {
            let me = self.identity.clone();
            let hello = Hello {
                worker: me.worker,
                incarnation: me.incarnation,
                name: me.name,
                cpu_millis: me.cpu_millis,
                labels: me.labels,
                held,
            };
            stream.send(FromWorker::Hello(hello), out);
        }
        self.stream = Some(stream);
    }

    fn leave(&mut self, why: Leaving, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream.take() {
            out.push(Output::Close { stream: stream.number, why });
        }
    }

    fn received(&mut self, message: Numbered<ToWorker>, out: &mut Vec<Output>) {
        let now = self.now.boot;
        let Some(stream) = &mut self.stream else { return };
        if !stream.receives(&message) {
            self.leave(Leaving::OutOfOrder, out);
            return;
        }
        match message.message {
            ToWorker::HelloAnswer(answer) => self.hello_answered(answer, out),
            ToWorker::HeartbeatAcknowledged { number } => {
                let sent = stream.acknowledged(number, now);
                sent.into_iter().for_each(|sent| self.extend(sent, out));
            }
            ToWorker::Start(starts) => {
                self.said.outcomes.reserve(starts.len());
                starts.into_iter().for_each(|start| self.start(start));
            }
            ToWorker::Recorded(fences) | ToWorker::Refused(fences) => self.answered(fences, out),
            ToWorker::Cancel(fences) => {
                fences.into_iter().for_each(|fence| self.cancel(fence, out));
            }
            ToWorker::Kill(fences) => fences.into_iter().for_each(|fence| self.kill(fence, out)),
            ToWorker::Recall(fences) => fences.into_iter().for_each(|fence| {
                self.give_back_queued(fence);
            }),
            ToWorker::Stale => self.become_stale(),
        }
    }

    /// A heartbeat sent then was acknowledged; an earlier one adds nothing.
    fn extend(&mut self, sent: BootTime, out: &mut Vec<Output>) {
        let since = if lives(Mutant::DeadlineFromAnswer) { self.now.boot } else { sent };
        let until = since + EXCLUSIVE_FOR;
        let is_later = match self.lifeline {
            Lifeline::Never => true,
            Lifeline::Until(before) => before < until,
            Lifeline::Endless => false,
        };
        if is_later {
            self.lifeline = Lifeline::Until(until);
            out.push(Output::Deadline(until));
        }
    }

    /// Keep needs nothing; all that is finished or gone is said now, whatever the verdict.
    fn hello_answered(&mut self, answer: HelloAnswer, out: &mut Vec<Output>) {
        if let Some(stream) = &mut self.stream {
            stream.answered(answer.session, self.now.boot);
        }
        for (fence, verdict) in answer.verdicts {
            match verdict {
                Verdict::Keep | Verdict::Report => {}
                Verdict::Kill => self.kill(fence, out),
                Verdict::Cancel => self.cancel(fence, out),
            }
        }
        // Whole, not added to: a verdict just above may have said one of them already.
        self.said = Said::default();
        let mut over = Vec::new();
        for (fence, work) in self.held.iter() {
            match work.phase {
                // Begun since the hello, which called it queued.
                Phase::Running { began: Some(at), .. } if !work.told_begun => {
                    self.said.begun.push(Begun { fence, at });
                }
                Phase::Queued | Phase::Running { .. } => {}
                _ => over.push(fence),
            }
        }
        over.into_iter().for_each(|fence| self.say(fence));
    }

    fn start(&mut self, start: Start) {
        let (fence, cpu_millis) = (start.fence, start.task.resources.cpu_millis);
        if self.held.get(fence).is_some() && !lives(Mutant::StartsSameFenceAgain) {
            // The same fence again is answered with what is known of it.
            self.say(fence);
            return;
        }
        if self.stale {
            self.held.insert(fence, Work::new(None, 0, Phase::Gone { started: false }));
            self.say(fence);
            return;
        }
        if start.task.function == Function::Noop {
            self.held.insert(fence, Work::new(None, 0, Phase::NoOp(self.now.wall)));
            self.say(fence);
            return;
        }
        let trial = TrialKey::of(&start.name);
        let others: Vec<Fence> = self.held.fences_of(&trial).collect();
        let is_older = others.last().is_some_and(|newest| *newest > fence);
        if is_older && !lives(Mutant::StartsOlderFence) {
            // A newer lease of this trial was here: this one is over, and must not begin.
            let work = Work::new(Some(trial), cpu_millis, Phase::Gone { started: false });
            self.held.insert(fence, work);
            self.say(fence);
            return;
        }
        for older in others {
            self.give_back_queued(older);
        }
        let has_process =
            self.held.running_of(&trial).is_some() && !lives(Mutant::StartsBesideProcess);
        self.held.insert(fence, Work::new(Some(trial.clone()), cpu_millis, Phase::Queued));
        if has_process {
            self.admission.stand_aside(trial, start);
        } else {
            self.admission.wait(start);
        }
    }

    /// Forgotten is only what was answered, and nothing that runs or waits: it is not over.
    fn answered(&mut self, mut fences: Vec<Fence>, out: &mut Vec<Output>) {
        fences.retain(|fence| {
            let over = self.held.get(*fence).is_some_and(|work| work.phase.is_over());
            over && self.held.remove(*fence).is_some_and(|work| work.recorded)
        });
        if !fences.is_empty() {
            out.push(Output::Forget(fences));
        }
    }

    fn cancel(&mut self, fence: Fence, out: &mut Vec<Output>) {
        match self.held.get(fence).map(|work| &work.phase) {
            Some(Phase::Running { .. }) => self.stop(fence, Stop::Cancelled, out),
            Some(Phase::Queued) => self.give_back_queued(fence),
            Some(_) => {}
            None => {
                // Its start never came, and never will: this incarnation can say so.
                self.held.insert(fence, Work::new(None, 0, Phase::Gone { started: false }));
                self.say(fence);
            }
        }
    }

    fn kill(&mut self, fence: Fence, out: &mut Vec<Output>) {
        match self.held.get(fence).map(|work| &work.phase) {
            Some(Phase::Running { .. }) => self.stop(fence, Stop::NotLeased, out),
            Some(Phase::Queued) => {
                self.admission.drop(fence);
                self.held.remove(fence);
            }
            // An outcome is kept until it is answered, and what is gone is answered too.
            Some(_) | None => {}
        }
    }

    /// Once for each reason; that the lease is not ours outweighs that its run was cancelled.
    fn stop(&mut self, fence: Fence, why: Stop, out: &mut Vec<Output>) {
        let Some(work) = self.held.get_mut(fence) else { return };
        let Phase::Running { stopping, .. } = &mut work.phase else { return };
        if stopping.is_none_or(|already| already < why) {
            *stopping = Some(why);
            out.push(Output::Stop { fence, why });
        }
    }

    fn give_back_queued(&mut self, fence: Fence) {
        let Some(work) = self.held.get_mut(fence) else { return };
        if matches!(work.phase, Phase::Queued) {
            work.phase = Phase::Gone { started: false };
            self.admission.drop(fence);
            self.say(fence);
        }
    }

    /// The queue is dropped unsaid: those leases ended with the newer incarnation's hello.
    fn become_stale(&mut self) {
        self.stale = true;
        let queued = |work: &Work| matches!(work.phase, Phase::Queued);
        let queued: Vec<Fence> =
            self.held.iter().filter(|(_, work)| queued(work)).map(|(fence, _)| fence).collect();
        for fence in queued {
            self.admission.drop(fence);
            self.held.remove(fence);
        }
    }

    fn process_started(&mut self, fence: Fence, at: WallTime) {
        let Some(work) = self.held.get_mut(fence) else { return };
        if let Phase::Running { began, .. } = &mut work.phase {
            *began = Some(at);
            self.said.begun.push(Begun { fence, at });
        }
    }

    fn process_ended(&mut self, mut outcome: Outcome) {
        let fence = outcome.fence;
        let Some(stopping) = self.leaves_executor(fence) else { return };
        match stopping {
            Some(Stop::NotLeased) if lives(Mutant::OurKillIsAnOutcome) => {}
            Some(Stop::NotLeased) => {
                let started = !lives(Mutant::KilledWasNotStarted);
                self.becomes(fence, Phase::Gone { started });
                return;
            }
            // Also one that exits 0 on TERM: what it left undone, nobody knows.
            Some(Stop::Cancelled) => outcome.ending = Ending::Cancelled,
            None => {}
        }
        if outcome.bytes() > OUTCOME_BYTES_MAX {
            outcome = too_large(outcome);
        }
        self.becomes(fence, Phase::Finished(Box::new(outcome)));
    }

    fn process_gone(&mut self, fence: Fence, started: bool) {
        if self.leaves_executor(fence).is_some() {
            self.becomes(fence, Phase::Gone { started });
        }
    }

    /// Why it was being stopped; its cpus are free. None if the executor had no such fence.
    fn leaves_executor(&mut self, fence: Fence) -> Option<Option<Stop>> {
        let work = self.held.get(fence)?;
        let Phase::Running { stopping, .. } = work.phase else { return None };
        self.admission.release(work.cpu_millis, work.trial.as_ref());
        Some(stopping)
    }

    fn becomes(&mut self, fence: Fence, phase: Phase) {
        if let Some(work) = self.held.get_mut(fence) {
            work.phase = phase;
            self.say(fence);
        }
    }

    /// What must hold between any two turns.
    pub fn check(&self) {
        self.held.check();
        let queued = self.held.iter().filter(|(_, work)| matches!(work.phase, Phase::Queued));
        let queued: Vec<Fence> = queued.map(|(fence, _)| fence).collect();
        let running = self.held.iter().filter(|(_, work)| work.is_running());
        self.admission.check(&queued, running.map(|(_, work)| work.cpu_millis));
        if let Some(stream) = &self.stream {
            let told = self.held.iter().filter(|(_, work)| work.told_begun);
            stream.check(told.fold(0, |sum, (fence, _)| sum ^ fence.hash()));
        }
        assert!(!self.stale || queued.is_empty(), "a stale worker has a queue");
        assert_eq!(self.admission.capacity_millis(), self.identity.cpu_millis);
    }
}

impl Lifeline {
    /// A process that begins now has time to be of use, and to be stopped.
    fn reaches(self, now: BootTime) -> bool {
        match self {
            _ if lives(Mutant::StartsWithoutDeadline) => true,
            Lifeline::Never => false,
            Lifeline::Until(until) => now + EXCLUSIVE_LEFT_MIN <= until,
            Lifeline::Endless => true,
        }
    }
}

/// What it wrote cannot be kept, so it did not succeed; what is known otherwise stays.
fn too_large(outcome: Outcome) -> Outcome {
    let bytes: usize = outcome.outputs.iter().map(|output| output.value.spelled().len()).sum();
    let why = format!("outputs of {bytes} bytes; all that a step writes may have 64 KiB");
    let ending = match outcome.ending {
        Ending::Succeeded => Ending::Failed(ExitReason::BadOutput),
        other => other,
    };
    Outcome { ending, outputs: Vec::new(), last_lines: why.into(), ..outcome }
}
