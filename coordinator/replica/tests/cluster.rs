//! Three replicas in one thread, from a seed: crashes, loss, partitions, slow disks, snapshots.

mod world;

use world::{Disks, World};

/// Steps of 10 ms: half a minute of faults for each seed.
const STEPS: u32 = 3_000;

#[test]
fn nothing_acknowledged_is_lost_and_no_two_replicas_differ() {
    let mut totals = world::Totals::default();
    for seed in 0..200 {
        let mut world = World::new(seed, 3, Disks::Honest);
        world.run(STEPS).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        world.heal().unwrap_or_else(|fault| panic!("seed {seed}, healed: {fault}"));
        totals.add(&world.totals);
    }
    // What never happened was never tested.
    assert!(totals.acknowledged > 50_000, "{totals:?}");
    assert!(totals.crashes > 1_000 && totals.partitions > 500, "{totals:?}");
    assert!(totals.elections > 500 && totals.installs > 20, "{totals:?}");
    assert!(totals.reads > 10_000 && totals.dropped > 100, "{totals:?}");
}

#[test]
fn equal_seeds_give_equal_histories() {
    let history = |seed| {
        let mut world = World::new(seed, 3, Disks::Honest);
        world.run(STEPS).unwrap();
        (world.totals, world.digest())
    };
    for seed in 1_000..1_005 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
    assert_ne!(history(1_000).1, history(1_001).1);
}

#[test]
fn disks_that_lie_are_found_out() {
    let found = (0..60).filter(|seed| {
        let mut world = World::new(*seed, 3, Disks::Lying);
        world.run(STEPS).and_then(|()| world.heal()).is_err()
    });
    assert!(found.count() > 20, "this test would not see a lost write");
}
