//! The cpus of this supervisor, and the jobs that wait for them in the order they were asked for.
//!
//! A job that does not fit holds back every later one that wants cpus too, so that a stream of
//! small ones never starves a big one.

use std::collections::VecDeque;

use crate::spawn::Job;

pub struct Places {
    capacity_millis: u32,
    used_millis: u64,
    waiting: VecDeque<(u32, Job)>,
    waiting_millis: u64,
}

impl Places {
    pub fn new(capacity_millis: u32) -> Self {
        Places { capacity_millis, used_millis: 0, waiting: VecDeque::new(), waiting_millis: 0 }
    }

    /// Another daemon may offer another number.
    pub fn resize(&mut self, capacity_millis: u32) {
        self.capacity_millis = capacity_millis;
    }

    pub fn wait(&mut self, cpu_millis: u32, job: Job) {
        self.waiting_millis += u64::from(cpu_millis);
        self.waiting.push_back((cpu_millis, job));
    }

    /// The first that can begin now; its cpus are taken. What wants more than there is runs alone:
    /// it was granted when there was more, for nobody is granted what its worker never had.
    pub fn next(&mut self) -> Option<Job> {
        let (first, _) = self.waiting.front()?;
        let used = self.used_millis + u64::from(*first);
        let fits = self.used_millis == 0 || used <= u64::from(self.capacity_millis);
        let place = if fits { 0 } else { self.waiting.iter().position(|(need, _)| *need == 0)? };
        let (need, job) = self.remove(place)?;
        self.used_millis += u64::from(need);
        Some(job)
    }

    pub fn release(&mut self, cpu_millis: u32) {
        self.used_millis -= u64::from(cpu_millis);
    }

    /// True if it still waited here: now it never begins.
    pub fn take_back(&mut self, slot: u32) -> bool {
        let place = self.waiting.iter().position(|(_, job)| job.slot == slot);
        place.and_then(|place| self.remove(place)).is_some()
    }

    /// The slots of all that waited.
    pub fn take_back_all(&mut self) -> Vec<u32> {
        self.waiting_millis = 0;
        self.waiting.drain(..).map(|(_, job)| job.slot).collect()
    }

    /// As much waits as can run at once.
    pub fn another_round_waits(&self) -> bool {
        self.waiting_millis > 0 && self.waiting_millis >= u64::from(self.capacity_millis)
    }

    fn remove(&mut self, place: usize) -> Option<(u32, Job)> {
        let removed = self.waiting.remove(place)?;
        self.waiting_millis -= u64::from(removed.0);
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::environment::Environments;
    use crate::packed::{Packed, PackedView};

    /// Places for two cpus at which jobs of these needs wait, each in the slot of its number.
    fn with(needs: &[u32]) -> Places {
        let mut environments = Environments::default();
        environments.define(1, None, PackedView::default());
        let mut places = Places::new(2_000);
        for (slot, need) in needs.iter().enumerate() {
            let environment = Arc::clone(environments.get(1).unwrap());
            let packed = Packed::new;
            places.wait(
                *need,
                Job {
                    slot: slot as u32,
                    guarded: None,
                    token: 0,
                    environment,
                    additions: packed(),
                    directory: packed(),
                    words: packed(),
                },
            );
        }
        places
    }

    #[track_caller]
    fn check(places: &mut Places, begin: &[u32]) {
        let begun: Vec<u32> = std::iter::from_fn(|| places.next()).map(|job| job.slot).collect();
        assert_eq!(begun, begin);
    }

    #[test]
    fn what_does_not_fit_waits_in_order_and_what_wants_nothing_begins() {
        let mut places = with(&[1_000, 500, 1_000, 0, 250, 9_000]);
        check(&mut places, &[0, 1, 3]);
        places.release(500);
        check(&mut places, &[2]);
        places.release(1_000);
        check(&mut places, &[4]);
        places.release(1_000);
        check(&mut places, &[]);
        places.release(250);
        check(&mut places, &[5]);
        places.release(9_000);
        assert_eq!((places.used_millis, places.waiting_millis), (0, 0));
    }

    #[test]
    fn another_number_of_cpus_counts_from_then_on() {
        let mut places = with(&[2_000, 9_000, 1_000, 1_000]);
        check(&mut places, &[0]);
        places.resize(1_000);
        places.release(2_000);
        check(&mut places, &[1]);
        places.resize(10_000);
        check(&mut places, &[2]);
        places.release(9_000);
        check(&mut places, &[3]);
    }

    #[test]
    fn what_is_taken_back_never_begins_and_holds_nobody_back() {
        let mut places = with(&[1_000, 2_000, 1_000, 1_000]);
        check(&mut places, &[0]);
        assert!(places.another_round_waits());
        assert!(!places.take_back(0), "it has begun");
        assert!(places.take_back(1));
        assert!(!places.take_back(1));
        check(&mut places, &[2]);
        assert!(!places.another_round_waits(), "one cpu waits where two are");
        assert_eq!(places.take_back_all(), [3]);
        places.release(1_000);
        check(&mut places, &[]);
    }
}
