//! What waits to be proposed: all that arrives while an entry is being written forms the next.

use std::collections::VecDeque;

use dagmar_common::limits::ENTRY_BYTES_MAX;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::Reply;

use super::answer_one;
use crate::handle::{Answer, Proposal};

#[derive(Default)]
pub struct Intake {
    waiting: VecDeque<Proposal>,
    /// Staged chunks go behind all other traffic.
    paced: VecDeque<Proposal>,
}

/// The commands of one entry and who waits for each.
#[derive(Default)]
pub struct Cut {
    pub commands: Vec<Command>,
    pub answers: Vec<Answer>,
}

impl Intake {
    pub fn put(&mut self, proposal: Proposal) {
        match proposal.command {
            Command::Stage { .. } => self.paced.push_back(proposal),
            _ => self.waiting.push_back(proposal),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.paced.is_empty()
    }

    /// Before everything that waits already, in this order.
    pub fn put_first(&mut self, commands: Vec<Command>) {
        for command in commands.into_iter().rev() {
            self.waiting.push_front(Proposal { command, answer: None });
        }
    }

    /// As much as one entry holds, in order; at most one staged chunk.
    pub fn cut(&mut self) -> Cut {
        let mut cut = Cut::default();
        let mut bytes = 0;
        while let Some(proposal) = self.waiting.front() {
            bytes += proposal.command.weight();
            if bytes > ENTRY_BYTES_MAX && !cut.commands.is_empty() {
                return cut;
            }
            cut.take(self.waiting.pop_front());
        }
        if let Some(proposal) = self.paced.front()
            && (cut.commands.is_empty() || bytes + proposal.command.weight() <= ENTRY_BYTES_MAX)
        {
            cut.take(self.paced.pop_front());
        }
        cut
    }

    /// Nobody here can propose: whoever waits asks the leader, with the same request.
    pub fn refuse(&mut self) {
        for proposal in self.waiting.drain(..).chain(self.paced.drain(..)) {
            answer_one(proposal.answer, Reply::Dropped);
        }
    }
}

impl Cut {
    fn take(&mut self, proposal: Option<Proposal>) {
        if let Some(Proposal { command, answer }) = proposal {
            self.commands.push(command);
            self.answers.push(answer);
        }
    }
}
