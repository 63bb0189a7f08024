//! Hosts whose daemon or supervisor is gone, and what may not go on there.

use dagmar_common::graph::Care;
use dagmar_common::limits::EXCLUSIVE_FOR;
use dagmar_common::time::{BootTime, Span};

use super::agents::start;
use crate::executor::Executor;
use crate::random::Random;

const NOW: BootTime = BootTime(1_000_000);
const EXCLUSIVE: Care = Care { exclusive: true, once: false };

/// Something exclusive was asked for, and takes longer than it may.
fn host(random: &mut Random) -> Executor {
    let mut executor = Executor::default();
    executor.holds(NOW + EXCLUSIVE_FOR);
    executor.run(start(EXCLUSIVE), NOW, random);
    executor.linger(Span::from_secs(150));
    assert!(executor.has_unread());
    executor
}

/// The same, once it runs.
fn busy_host(random: &mut Random) -> Executor {
    let mut executor = host(random);
    while !executor.runs_exclusive() {
        executor.advance(NOW, random);
    }
    executor
}

#[test]
pub fn nothing_exclusive_outlives_its_deadline() {
    let mut random = Random::new(1);
    let mut executor = busy_host(&mut random);
    executor.daemon_dies();
    executor.advance(NOW + EXCLUSIVE_FOR, &mut random);
    executor.advance(NOW + EXCLUSIVE_FOR + Span::from_secs(3), &mut random);
    assert_eq!(executor.exclusive().count(), 0, "nobody holds its deadline");
}

#[test]
pub fn nothing_exclusive_outlives_its_supervisor() {
    let mut executor = busy_host(&mut Random::new(1));
    executor.supervisor_dies();
    assert_eq!(executor.exclusive().count(), 0, "nobody is left who would stop it");
}

#[test]
pub fn what_nobody_read_is_never_done() {
    let mut executor = host(&mut Random::new(1));
    executor.daemon_dies();
    assert!(!executor.has_unread(), "a newer daemon knows nothing of it");
}
