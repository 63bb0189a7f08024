//! All tasks, by slot and by fence, and when each of them has to be woken.

use std::collections::{BTreeSet, HashMap};

use crate::task::Task;

#[derive(Default)]
pub struct Table {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
    by_fence: HashMap<u64, u32>,
    alarms: BTreeSet<(u64, u32)>,
    exclusive: BTreeSet<u32>,
}

impl Table {
    pub fn insert(&mut self, task: Task) -> u32 {
        let (fence, exclusive) = (task.fence, task.exclusive);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize] = Some(task);
        self.by_fence.insert(fence, slot);
        if exclusive {
            self.exclusive.insert(slot);
        }
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Option<Task> {
        self.set_alarm(slot, None);
        let task = self.slots.get_mut(slot as usize)?.take()?;
        self.by_fence.remove(&task.fence);
        self.exclusive.remove(&slot);
        self.free.push(slot);
        Some(task)
    }

    pub fn get(&mut self, slot: u32) -> Option<&mut Task> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub fn slot_of(&self, fence: u64) -> Option<u32> {
        self.by_fence.get(&fence).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.by_fence.is_empty()
    }

    pub fn each(&self) -> impl Iterator<Item = &Task> {
        self.slots.iter().flatten()
    }

    pub fn has_exclusive(&self) -> bool {
        !self.exclusive.is_empty()
    }

    pub fn exclusive(&self) -> Vec<u32> {
        self.exclusive.iter().copied().collect()
    }

    pub fn slots(&self) -> Vec<u32> {
        self.by_fence.values().copied().collect()
    }

    pub fn set_alarm(&mut self, slot: u32, at: Option<u64>) {
        let Some(Some(task)) = self.slots.get_mut(slot as usize) else { return };
        if task.alarm == at {
            return;
        }
        if let Some(old) = task.alarm {
            self.alarms.remove(&(old, slot));
        }
        if let Some(at) = at {
            self.alarms.insert((at, slot));
        }
        task.alarm = at;
    }

    pub fn next_alarm(&self) -> Option<u64> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// One task that is due, its alarm taken.
    pub fn take_due(&mut self, now: u64) -> Option<u32> {
        let (at, slot) = *self.alarms.first()?;
        if at > now {
            return None;
        }
        self.set_alarm(slot, None);
        Some(slot)
    }
}
