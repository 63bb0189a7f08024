//! What an agent says in a turn: gathered, held back for a moment where that saves messages, sent.

use std::mem;

use dagmar_common::ids::Fence;
use dagmar_common::lease::{Begun, Ending, FromWorker, Outcome, Returned};
use dagmar_common::limits::{OUTCOMES_HELD_FOR, OUTCOMES_HELD_MAX, OUTCOMES_MESSAGE_BYTES_MAX};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::Span;

use super::Agent;
use crate::held::Phase;
use crate::stream::Stream;
use crate::turn::{Leaving, Output};

/// What one turn has to say, gathered into one message of each kind.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub begun: Vec<Begun>,
    pub outcomes: Vec<Outcome>,
    pub returned: Vec<Returned>,
}

impl Agent {
    /// Puts what is known of a fence that is over into this turn's messages. Before the hello is
    /// answered nothing is said: all of it is then.
    pub(super) fn say(&mut self, fence: Fence) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.is_answered()) else {
            return;
        };
        let Some(work) = self.held.get_mut(fence) else { return };
        match &work.phase {
            Phase::Queued | Phase::Running { .. } => return,
            Phase::Gone { .. } if lives(Mutant::GoneIsNotReturned) => return,
            Phase::Finished(outcome) => self.said.outcomes.push((**outcome).clone()),
            Phase::NoOp(began) => self.said.outcomes.push(Outcome {
                fence,
                ending: Ending::Succeeded,
                began: *began,
                took: Span::default(),
                outputs: Vec::new(),
                log: None,
                last_lines: self.no_lines.clone(),
            }),
            Phase::Gone { started } => {
                self.said.returned.push(Returned { fence, started: *started });
            }
        }
        if mem::take(&mut work.told_begun) {
            stream.toggle_begun(fence);
        }
    }

    /// In this order: what began, what ended, what is given back, then the sum of it.
    pub(super) fn speak(&mut self, out: &mut Vec<Output>) {
        let held_back = self.hold_back();
        let said = mem::take(&mut self.said);
        if self.stream.as_ref().is_some_and(|stream| stream.is_silent(self.now.boot)) {
            self.leave(Leaving::Silent, out);
        }
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.is_answered()) else {
            return;
        };
        let mut begun = said.begun;
        begun.retain(|one| {
            let Some(work) = self.held.get_mut(one.fence).filter(|work| work.is_running()) else {
                return false;
            };
            if !mem::replace(&mut work.told_begun, true) {
                stream.toggle_begun(one.fence);
            }
            true
        });
        if !begun.is_empty() {
            stream.send(FromWorker::Begun(begun), out);
        }
        if !said.outcomes.is_empty() {
            send_outcomes(stream, said.outcomes, out);
        }
        if !said.returned.is_empty() {
            stream.send(FromWorker::Returned(said.returned), out);
        }
        stream.beats(self.now.boot, out);
        self.said.outcomes = held_back;
    }

    /// While trials wait here for their turn, nothing starves if outcomes wait a moment: those of
    /// short processes then share one message and one entry of the log. No longer than the work
    /// that was granted ahead lasts, and never past a heartbeat, which counts them.
    fn hold_back(&mut self) -> Vec<Outcome> {
        let now = self.now.boot;
        if self.said.outcomes.is_empty() {
            self.held_since = None;
            return Vec::new();
        }
        let since = *self.held_since.get_or_insert(now);
        let beats = self.stream.as_ref().is_none_or(|stream| now >= stream.wakes_at());
        let few = self.said.outcomes.len() < OUTCOMES_HELD_MAX;
        if few && !beats && self.admission.has_waiting() && now < since + OUTCOMES_HELD_FOR {
            return mem::take(&mut self.said.outcomes);
        }
        self.held_since = None;
        Vec::new()
    }
}

/// As many messages as their size asks for; nearly always one.
fn send_outcomes(stream: &mut Stream, outcomes: Vec<Outcome>, out: &mut Vec<Output>) {
    let most = OUTCOMES_MESSAGE_BYTES_MAX;
    if outcomes.iter().map(Outcome::bytes).sum::<usize>() <= most {
        stream.send(FromWorker::Outcomes(outcomes), out);
        return;
    }
    let (mut part, mut bytes) = (Vec::new(), 0);
    for outcome in outcomes {
        let size = outcome.bytes();
        if bytes + size > most && !part.is_empty() {
            stream.send(FromWorker::Outcomes(mem::take(&mut part)), out);
            bytes = 0;
        }
        bytes += size;
        part.push(outcome);
    }
    stream.send(FromWorker::Outcomes(part), out);
}
