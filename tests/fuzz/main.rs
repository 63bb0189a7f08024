//! A little fuzzing with every `cargo test`: each target on mutations of its seeds, the same ones
//! each time, and no more memory than its input deserves.

mod memory;
mod mutations;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mutations::Mutations;
use targets::{ALL, Target};

/// Mutated inputs of each target; `DAGMAR_FUZZ_ROUNDS` asks for more.
const ROUNDS: u64 = 3_000;
/// No input that is tried here is a reason to ask for more at once.
const ALLOCATION_MAX: usize = 32 << 20;

fn walk(target: &Target) {
    let asked = std::env::var("DAGMAR_FUZZ_ROUNDS").ok();
    let rounds = asked.map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let seeds = (target.seeds)();
    let mut mutations = Mutations::new(seeds.clone());
    let seeds = seeds.into_iter().map(|seed| ("a seed".to_owned(), seed));
    let mutated = (0..rounds).map(|round| (format!("round {round}"), mutations.next()));
    for (name, input) in seeds.chain(mutated) {
        memory::forget();
        let checked = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        let largest = memory::largest();
        let shown = input.escape_ascii();
        if let Err(panic) = checked {
            eprintln!("{}, {name}: b\"{shown}\"", target.name);
            resume_unwind(panic);
        }
        let what = format!("{}, {name}: {largest} bytes at once for b\"{shown}\"", target.name);
        assert!(largest <= ALLOCATION_MAX, "{what}");
    }
}

/// A test for each, so that they run side by side and fail by name.
macro_rules! targets {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            let name = stringify!($name).trim_start_matches("any_");
            walk(ALL.iter().find(|target| target.name == name).expect("a target"));
        })+

        #[test]
        fn every_target_is_walked() {
            assert_eq!([$(stringify!($name)),+].len(), ALL.len());
        }
    };
}

targets!(
    any_entry,
    any_frame,
    any_graph,
    any_message,
    any_pipeline,
    any_record,
    any_segment,
    any_snapshot
);
