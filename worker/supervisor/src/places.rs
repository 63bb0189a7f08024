//! The cpus of this supervisor, and the jobs that wait for them in the order they were asked for.
//!
//! A job that does not fit holds back every later one that wants cpus too, so that a stream of
//! small ones never starves a big one.

use std::collections::VecDeque;

use crate::bounds::FED_ROUNDS;
use crate::spawn::Job;

pub struct Places {
    capacity_millis: u32,
    used_millis: u64,
    waiting: VecDeque<Job>,
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

    pub fn wait(&mut self, job: Job) {
        self.waiting_millis += u64::from(job.cpu_millis);
        self.waiting.push_back(job);
    }

    /// The first that can begin now; its cpus are taken.
    pub fn next(&mut self) -> Option<Job> {
        let job = self.remove(self.first_that_fits()?)?;
        self.used_millis += u64::from(job.cpu_millis);
        Some(job)
    }

    pub fn has_next(&self) -> bool {
        self.first_that_fits().is_some()
    }

    /// What wants more than there is runs alone: it was granted when there was more, for nobody is
    /// granted what its worker never had.
    fn first_that_fits(&self) -> Option<usize> {
        let used = self.used_millis + u64::from(self.waiting.front()?.cpu_millis);
        match self.used_millis == 0 || used <= u64::from(self.capacity_millis) {
            true => Some(0),
            false => self.waiting.iter().position(|job| job.cpu_millis == 0),
        }
    }

    pub fn release(&mut self, cpu_millis: u32) {
        self.used_millis -= u64::from(cpu_millis);
    }

    /// True if it still waited here: now it never begins.
    pub fn take_back(&mut self, slot: u32) -> bool {
        let place = self.waiting.iter().position(|job| job.slot == slot);
        place.and_then(|place| self.remove(place)).is_some()
    }

    /// The slots of all that waited.
    pub fn take_back_all(&mut self) -> Vec<u32> {
        self.waiting_millis = 0;
        self.waiting.drain(..).map(|job| job.slot).collect()
    }

    /// So much waits that no cpu is without work soon, even if nobody hears of any end.
    pub fn is_well_fed(&self) -> bool {
        let well = FED_ROUNDS * u64::from(self.capacity_millis);
        self.waiting_millis > 0 && self.waiting_millis >= well
    }

    fn remove(&mut self, place: usize) -> Option<Job> {
        let job = self.waiting.remove(place)?;
        self.waiting_millis -= u64::from(job.cpu_millis);
        Some(job)
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
            places.wait(Job {
                slot: slot as u32,
                cpu_millis: *need,
                stay_us: 0,
                guarded: None,
                token: 0,
                environment,
                additions: packed(),
                directory: packed(),
                words: packed(),
            });
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
        assert!(!places.is_well_fed(), "two rounds wait");
        places.resize(1_000);
        assert!(places.is_well_fed(), "four rounds wait");
        places.resize(2_000);
        assert!(!places.take_back(0), "it has begun");
        assert!(places.take_back(1));
        assert!(!places.take_back(1));
        check(&mut places, &[2]);
        assert_eq!(places.take_back_all(), [3]);
        places.release(1_000);
        check(&mut places, &[]);
    }
}
