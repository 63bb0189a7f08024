//! Linearizable reads that wait for their index; a dropped try is tried again.

use std::collections::BTreeMap;

use dagmar_common::ids::LogIndex;
use dagmar_replica::{Read, ReadFate, ReadId, Replica};

/// Who asked.
#[derive(Debug)]
pub enum Reader<L> {
    /// A leader, whether it still leads.
    Round(u64),
    Look(L),
}

#[derive(Debug)]
pub struct Reading<L> {
    waiting: BTreeMap<ReadId, Reader<L>>,
    /// Dropped for want of a leader; each try has a context of its own.
    again: Vec<Reader<L>>,
}

impl<L> Reading<L> {
    pub fn new() -> Self {
        Reading { waiting: BTreeMap::new(), again: Vec::new() }
    }

    pub fn ask(&mut self, replica: &mut Replica, reader: Reader<L>) {
        self.waiting.insert(replica.read(), reader);
    }

    /// With every tick and every entry, and when this replica begins to lead.
    pub fn ask_again(&mut self, replica: &mut Replica) {
        for reader in std::mem::take(&mut self.again) {
            self.ask(replica, reader);
        }
    }

    /// Everything that was committed when it was asked, up to the index, is applied.
    pub fn released(&mut self, read: Read) -> Option<(Reader<L>, LogIndex)> {
        let reader = self.waiting.remove(&read.id)?;
        match read.fate {
            ReadFate::Released { index } => Some((reader, index)),
            ReadFate::Dropped => {
                self.again.push(reader);
                None
            }
        }
    }

    /// Whoever waits or is asked again: whether it is a leader.
    #[cfg(test)]
    pub fn rounds(&self) -> Vec<bool> {
        let all = self.waiting.values().chain(&self.again);
        all.map(|reader| matches!(reader, Reader::Round(_))).collect()
    }

    /// They end with the leadership that asked for them.
    pub fn forget_rounds(&mut self) {
        self.waiting.retain(|_, reader| matches!(reader, Reader::Look(_)));
        self.again.retain(|reader| matches!(reader, Reader::Look(_)));
    }
}
