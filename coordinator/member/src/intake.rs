//! What waits to be proposed: all that arrives while an entry is being written forms the next.

use std::collections::VecDeque;

use dagmar_common::limits::ENTRY_BYTES_MAX;
use dagmar_coordinator_core::command::Command;

/// A command, and who waits for its answer; a leader's own have nobody.
#[derive(Debug)]
pub struct Proposal<T> {
    pub command: Command,
    pub ticket: Option<T>,
}

#[derive(Debug)]
pub struct Intake<T> {
    waiting: VecDeque<Proposal<T>>,
    /// Staged chunks go behind all other traffic.
    paced: VecDeque<Proposal<T>>,
}

/// The commands of one entry and who waits for each.
#[derive(Debug)]
pub struct Cut<T> {
    pub commands: Vec<Command>,
    pub tickets: Vec<Option<T>>,
}

impl<T> Intake<T> {
    pub fn new() -> Self {
        Intake { waiting: VecDeque::new(), paced: VecDeque::new() }
    }

    pub fn put(&mut self, proposal: Proposal<T>) {
        match proposal.command {
            Command::Stage { .. } => self.paced.push_back(proposal),
            _ => self.waiting.push_back(proposal),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.paced.is_empty()
    }

    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.waiting.iter().chain(&self.paced).map(|proposal| &proposal.command)
    }

    /// Before everything that waits already, in this order.
    pub fn put_first(&mut self, commands: Vec<Command>) {
        for command in commands.into_iter().rev() {
            self.waiting.push_front(Proposal { command, ticket: None });
        }
    }

    /// An entry that the log had no room for: it goes before everything that came since.
    pub fn put_back(&mut self, cut: Cut<T>) {
        let Cut { commands, tickets } = cut;
        for (command, ticket) in commands.into_iter().zip(tickets).rev() {
            self.waiting.push_front(Proposal { command, ticket });
        }
    }

    /// As much as one entry holds, in order; at most one staged chunk.
    pub fn cut(&mut self) -> Cut<T> {
        let mut cut = Cut { commands: Vec::new(), tickets: Vec::new() };
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
    pub fn refuse(&mut self) -> impl Iterator<Item = T> {
        let all = self.waiting.drain(..).chain(self.paced.drain(..));
        all.filter_map(|proposal| proposal.ticket)
    }
}

impl<T> Cut<T> {
    fn take(&mut self, proposal: Option<Proposal<T>>) {
        if let Some(Proposal { command, ticket }) = proposal {
            self.commands.push(command);
            self.tickets.push(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use dagmar_common::ids::Digest;
    use dagmar_common::limits::STAGE_CHUNK_BYTES;
    use dagmar_coordinator_core::command::Part;

    use super::*;

    fn chunk(offset: u64) -> Command {
        let bytes = vec![0; STAGE_CHUNK_BYTES];
        Command::Stage { part: Part::Graph, digest: Digest::of(b""), offset, total: 1 << 20, bytes }
    }

    fn intake(commands: Vec<Command>) -> Intake<usize> {
        let mut intake = Intake::new();
        for (number, command) in commands.into_iter().enumerate() {
            intake.put(Proposal { command, ticket: Some(number) });
        }
        intake
    }

    fn cut(intake: &mut Intake<usize>) -> Vec<usize> {
        intake.cut().tickets.into_iter().flatten().collect()
    }

    #[test]
    fn staged_chunks_go_one_an_entry_and_behind_all_others() {
        let mut intake = intake(vec![chunk(0), chunk(1), Command::Continue, Command::Continue]);
        assert_eq!(cut(&mut intake), [2, 3, 0]);
        assert_eq!(cut(&mut intake), [1]);
        assert!(intake.is_empty() && cut(&mut intake).is_empty());
    }

    #[test]
    fn an_entry_that_was_refused_for_want_of_room_is_the_next_one() {
        let mut intake = intake(vec![Command::Continue, chunk(0)]);
        let refused = intake.cut();
        intake.put(Proposal { command: Command::Continue, ticket: Some(2) });
        intake.put_back(refused);
        assert_eq!(cut(&mut intake), [0, 1, 2]);
        intake.put_first(vec![Command::LeaderUp]);
        assert!(!intake.is_empty());
        assert_eq!(intake.refuse().count(), 0, "nobody waits for a leader's own");
    }
}
