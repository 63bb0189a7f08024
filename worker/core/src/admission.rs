//! The capacity of this worker, and the order in which leased trials are handed over to begin.
//!
//! Handed over is more than can run at once: the rest waits for cpus at the supervisor, so that
//! none idles while word of an end is on its way here. What waits here waits in one queue in the
//! order of fences, which is the order in which they were granted; a trial that does not fit
//! holds back every later one that needs a cpu too, so that a stream of small trials never
//! starves a big one. Priorities are the scheduler's matter: they are in the order already.
//! A trial that waits for an older process of its own stands aside and holds nobody back.

use std::collections::BTreeMap;

use dagmar_common::ids::Fence;
use dagmar_common::lease::Start;
use dagmar_common::limits::HANDED_AHEAD;

use crate::held::TrialKey;

#[derive(Debug)]
pub(crate) struct Admission {
    capacity_millis: u32,
    /// Of all that was handed over and is not gone.
    handed_millis: u64,
    waiting: BTreeMap<Fence, Start>,
    aside: BTreeMap<Fence, (TrialKey, Start)>,
}

impl Admission {
    pub fn new(capacity_millis: u32) -> Self {
        let (waiting, aside) = (BTreeMap::new(), BTreeMap::new());
        Admission { capacity_millis, handed_millis: 0, waiting, aside }
    }

    pub fn capacity_millis(&self) -> u32 {
        self.capacity_millis
    }

    pub fn wait(&mut self, start: Start) {
        self.waiting.insert(start.fence, start);
    }

    /// Trials wait for cpus, here or at the supervisor.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.handed_millis > u64::from(self.capacity_millis)
    }

    pub fn stand_aside(&mut self, trial: TrialKey, start: Start) {
        self.aside.insert(start.fence, (trial, start));
    }

    /// The first that `may` be handed over now; those that may not hold nobody back. One that
    /// needs care is handed over only where it begins at once: what waited at a supervisor that
    /// died may have begun, and a deadline may have passed meanwhile.
    pub fn next(&mut self, may: impl Fn(&Start) -> bool) -> Option<Start> {
        let fits = |start: &Start| {
            let need = self.need(start.task.resources.cpu_millis);
            let rounds = if start.task.care.is_none() { 1 + HANDED_AHEAD } else { 1 };
            let most = u64::from(self.capacity_millis) * u64::from(rounds);
            need == 0 || self.handed_millis + need <= most
        };
        let first = self.waiting.values().find(|start| may(start))?;
        let fence = if fits(first) {
            first.fence
        } else {
            let mut free = self.waiting.values().filter(|start| may(start));
            free.find(|start| start.task.resources.cpu_millis == 0)?.fence
        };
        let start = self.waiting.remove(&fence)?;
        self.take(start.task.resources.cpu_millis);
        Some(start)
    }

    /// Also for a process that an earlier life of this worker left running.
    pub fn take(&mut self, cpu_millis: u32) {
        self.handed_millis += self.need(cpu_millis);
    }

    /// The process is gone, and who waited for it is back in the queue.
    pub fn release(&mut self, cpu_millis: u32, trial: Option<&TrialKey>) {
        self.handed_millis -= self.need(cpu_millis);
        let Some(trial) = trial else { return };
        let next = self.aside.iter().find(|(_, (of, _))| of == trial).map(|(fence, _)| *fence);
        if let Some((_, start)) = next.and_then(|fence| self.aside.remove(&fence)) {
            self.wait(start);
        }
    }

    /// It leaves the queue without having begun.
    pub fn drop(&mut self, fence: Fence) {
        if self.waiting.remove(&fence).is_none() {
            self.aside.remove(&fence);
        }
    }

    /// What a trial that wants more than all can be given is all: it runs alone.
    fn need(&self, cpu_millis: u32) -> u64 {
        u64::from(cpu_millis.min(self.capacity_millis))
    }

    pub fn check(&self, queued: &[Fence], handed: impl Iterator<Item = u32>) {
        let mut waiting: Vec<Fence> =
            self.waiting.keys().chain(self.aside.keys()).copied().collect();
        waiting.sort();
        assert_eq!(waiting, queued, "the queue and the table differ");
        let used: u64 = handed.map(|millis| self.need(millis)).sum();
        assert_eq!(used, self.handed_millis, "cpus of what was handed over");
    }
}
