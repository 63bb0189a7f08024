//! One entry into the state, and what it led to out of it; or a whole state in its place.

use dagmar_common::time::BootTime;
use dagmar_coordinator_core::command::Position;
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::stored;
use dagmar_replica::waiters::Fate;
use dagmar_replica::{Body, Committed};

use crate::member::Member;
use crate::output::{Entry, Halt, Output};
use crate::snapshots::Brought;

/// An entry that is applied, and whose effects are not handed out yet.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    begun: BootTime,
    is_batch: bool,
    /// Proposed by this very leadership, which alone performs it.
    is_own: bool,
}

impl<T, L> Member<T, L> {
    /// The next committed entry.
    pub(crate) fn apply(&mut self) -> bool {
        let Some(Committed { index, term, body }) = self.committed.pop_front() else {
            return false;
        };
        self.applied.clear();
        let position = Position { index, term };
        let mut entry = Entry { position, bytes: None };
        let mut fresh = Fresh { begun: self.now.boot, is_batch: false, is_own: false };
        match body {
            Body::Data(bytes) => {
                let batch = match stored::decode_batch(&bytes) {
                    Ok(batch) => batch,
                    Err(error) => {
                        self.halt(Halt::Entry { index, why: error.to_string() });
                        return true;
                    }
                };
                if let Some(leading) = &mut self.leading {
                    leading.committed(position, &batch);
                    fresh.is_own = batch.term == leading.term();
                }
                self.state.apply(position, batch, &mut self.applied);
                self.snapshots.applied(bytes.len());
                fresh.is_batch = true;
                entry.bytes = Some(bytes);
            }
            Body::Nothing => {}
            Body::Membership(membership) => {
                self.membership = membership;
                self.snapshots.members_changed();
            }
        }
        self.place = position;
        self.is_full = false;
        self.replica.applied(index);
        // A read that came before the first entry of a term waits for that, not for a tick.
        self.reading.ask_again(&mut self.replica);
        self.fresh = Some(fresh);
        self.outputs.push_back(Output::Applied(entry));
        true
    }

    /// Whoever waited for the entry hears of it, and effects become messages.
    pub(crate) fn spread(&mut self) -> bool {
        let Some(Fresh { begun, is_batch, is_own }) = self.fresh.take() else { return false };
        let Position { index, term } = self.place;
        if is_batch {
            self.pace.applied(begun, self.now.boot);
        }
        for (fate, tickets) in self.waiters.applied(term, index, !is_batch) {
            match fate {
                Fate::Applied => {
                    let replies = tickets.into_iter().zip(self.applied.replies.drain(..));
                    self.outputs.extend(replies.filter_map(|(ticket, reply)| {
                        Some(Output::Reply { ticket: ticket?, reply })
                    }));
                }
                Fate::Dropped | Fate::Unknown => self.drop_all(tickets),
            }
        }
        if let Some(leading) = &mut self.leading {
            leading.applied(index, &self.applied.effects, &self.state);
        }
        self.carry();
        if is_own {
            for effect in &self.applied.effects {
                if let Effect::Archive { run } = effect {
                    self.outputs.push_back(Output::Archive { run: *run });
                }
            }
        }
        true
    }

    /// From here on the state is the leader's; what became of what waited before is not known.
    pub(crate) fn install(&mut self) -> bool {
        let Some(Brought { meta, state }) = self.installed.take() else { return false };
        self.state = state;
        self.applied.clear();
        self.place = Position { index: meta.index, term: meta.term };
        self.membership = meta.membership.clone();
        self.snapshots.installed();
        self.replica.applied(meta.index);
        for (_, tickets) in self.waiters.passed(meta.index) {
            self.drop_all(tickets);
        }
        self.outputs.push_back(Output::Installed(meta));
        true
    }
}
