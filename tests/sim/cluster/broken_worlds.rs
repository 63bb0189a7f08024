//! Worlds that are wrong on purpose: what must hold of a whole life is seen not to.

use dagmar_common::time::Span;

use super::world::World;
use super::{agree, life, weather};

/// A machine that once decides otherwise: a draw that the seed does not know of.
#[test]
#[should_panic(expected = "the same seed gives another history")]
fn a_life_that_is_not_its_seeds() {
    let right = life(7, false);
    let mut other = World::new(7);
    other.air.random.below(2);
    other.live(weather(7));
    agree(&right, &other);
}

#[test]
#[should_panic(expected = "somebody is awake for nothing")]
fn a_world_whose_time_stands_still() {
    let mut world = World::new(1);
    world.nodes[0].machine.disk.dawdles = true;
    world.live(Span::from_secs(10));
}

/// Found by lives alone: these disks forget their last entry at some crashes.
#[test]
#[should_panic(expected = "log ends at")]
fn disks_that_forget() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.nodes.iter_mut().for_each(|node| node.machine.disk.forgets = true);
        world.live(Span::from_secs(60));
    }
}

/// What clients ask is never answered.
#[test]
#[should_panic(expected = "something is left undone: clients ask: [true")]
fn a_calm_that_does_not_come_to_its_end() {
    let mut world = World::new(1);
    world.deaf = true;
    world.live(Span::from_secs(10));
}

#[test]
#[should_panic(expected = "a stream ended in the calm")]
fn a_calm_in_which_a_worker_falls_asleep() {
    let mut world = World::new(1);
    world.live(Span::from_secs(10));
    world.stays_quiet(|world| {
        let until = world.air.now + Span::from_secs(60);
        world.stations.iter_mut().for_each(|station| station.paused_until = until);
    });
}
