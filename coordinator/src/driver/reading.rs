//! Linearizable reads that wait for their index; a dropped try is tried again.

use std::collections::BTreeMap;

use dagmar_coordinator_core::State;
use dagmar_replica::{Read, ReadFate, ReadId, Replica};

type Look = Box<dyn FnOnce(&State) + Send>;

#[derive(Default)]
pub struct Reading {
    waiting: BTreeMap<ReadId, Look>,
    /// Dropped for want of a leader; each try has a context of its own.
    again: Vec<Look>,
}

impl Reading {
    pub fn ask(&mut self, replica: &mut Replica, look: Look) {
        self.waiting.insert(replica.read(), look);
    }

    /// With every tick and every entry, and when this replica begins to lead.
    pub fn ask_again(&mut self, replica: &mut Replica) {
        for look in std::mem::take(&mut self.again) {
            self.ask(replica, look);
        }
    }

    /// Values and applied index are looked at under one borrow of the state.
    pub fn released(&mut self, read: Read, state: &State) {
        let Some(look) = self.waiting.remove(&read.id) else { return };
        match read.fate {
            ReadFate::Released { .. } => look(state),
            ReadFate::Dropped => self.again.push(look),
        }
    }
}
