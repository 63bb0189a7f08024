//! Three replicas without a state machine: the world of the replica's own tests, lived here too.

#[path = "../../coordinator/replica/tests/world/mod.rs"]
mod world;

use world::{Disks, World};

/// Steps of 10 ms.
const STEPS: u32 = 3_000;

pub fn live(seed: u64) {
    let mut world = World::new(seed, 3, Disks::Honest);
    world.run(STEPS).and_then(|()| world.heal()).unwrap_or_else(|fault| panic!("{fault}"));
}
