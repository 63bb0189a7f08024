//! What waits to be proposed: all that arrives while an entry is being written forms the next.

use std::collections::VecDeque;

use dagmar_common::limits::ENTRY_BYTES_MAX;
use dagmar_coordinator_core::command::Command;

use super::around::Ticket;

pub struct Proposal {
    pub command: Command,
    pub ticket: Option<Ticket>,
}

#[derive(Default)]
pub struct Intake {
    waiting: VecDeque<Proposal>,
}

impl Intake {
    pub fn put(&mut self, proposal: Proposal) {
        self.waiting.push_back(proposal);
    }

    pub fn put_first(&mut self, commands: Vec<Command>) {
        for command in commands.into_iter().rev() {
            self.waiting.push_front(Proposal { command, ticket: None });
        }
    }

    /// As much as one entry holds, in order, and who waits for each.
    pub fn cut(&mut self) -> (Vec<Command>, Vec<Option<Ticket>>) {
        let (mut commands, mut tickets, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(proposal) = self.waiting.front() {
            bytes += proposal.command.weight();
            if bytes > ENTRY_BYTES_MAX && !commands.is_empty() {
                break;
            }
            if let Some(Proposal { command, ticket }) = self.waiting.pop_front() {
                commands.push(command);
                tickets.push(ticket);
            }
        }
        (commands, tickets)
    }

    pub fn refuse(&mut self) -> Vec<Ticket> {
        self.waiting.drain(..).filter_map(|proposal| proposal.ticket).collect()
    }
}
