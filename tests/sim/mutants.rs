//! Mutants: each rule is taken away, and some judge must notice within a bounded number of seeds.
//!
//! `RUSTFLAGS="--cfg dagmar_mutants" CARGO_TARGET_DIR=target/mutants cargo test -p dagmar-tests
//! --test sim mutants -- --nocapture` prints the table; `DAGMAR_MUTANT=LocalRead` hunts one alone.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dagmar_common::mutant::{Mutant, with};

use crate::scenario::{agents, deposed, forgetful, hosts, streams, workers};
use crate::{cluster, replicas};

/// Where mutants are looked for: from one seed after the other, or in a history of their own.
#[derive(Clone, Copy)]
enum Ground {
    /// Three replicas (`coordinator/replica/tests/world`).
    Replicas,
    /// Whole lives of a cluster.
    Cluster,
    /// A history that was written down.
    Directed(fn()),
}

const CLUSTER_SEEDS: u64 = 150;

use Ground::{Cluster, Directed, Replicas};

/// The first that finds it ends the hunt.
fn grounds(mutant: Mutant) -> &'static [Ground] {
    match mutant {
        Mutant::SendBeforePersist | Mutant::DurableWithTheWriteBefore => &[Replicas],
        Mutant::LocalRead | Mutant::ReadContextAgain => &[Replicas],
        Mutant::DeposedBatchApplies => &[Directed(deposed::its_batch_is_dropped)],
        Mutant::ReadsBehindHello => {
            &[Directed(streams::what_comes_behind_a_hello_is_read_after_its_answer)]
        }
        Mutant::SumsNotCompared => &[Directed(streams::ends_that_count_otherwise_part)],
        Mutant::NumbersNotChecked => {
            &[Directed(streams::a_message_that_is_missing_ends_its_stream)]
        }
        Mutant::StaleIsNotTold => &[Directed(streams::an_older_incarnation_is_told)],
        Mutant::NoCrashLimit => &[Directed(workers::a_trial_that_fells_five_of_them_fails)],
        Mutant::RemovedDoesNotWait => {
            &[Directed(workers::a_removed_one_may_still_run_what_is_exclusive)]
        }
        Mutant::HelloClearsDrain => &[Directed(workers::a_drained_one_that_comes_again_is_drained)],
        Mutant::NewerDoesNotWait => {
            &[Directed(workers::one_that_comes_again_may_still_run_what_is_exclusive)]
        }
        Mutant::SuspendsAnySession => {
            &[Directed(workers::the_end_of_an_older_session_suspends_nobody)]
        }
        Mutant::OnceGrantedAhead => &[Directed(workers::what_may_run_once_is_not_granted_ahead)],
        Mutant::StartsSameFenceAgain => &[Directed(agents::the_same_fence_again_is_started_once)],
        Mutant::StartsOlderFence => &[Directed(agents::an_older_fence_is_not_started)],
        Mutant::StartsBesideProcess => {
            &[Directed(agents::a_newer_fence_waits_for_the_process_of_the_older)]
        }
        Mutant::OurKillIsAnOutcome => &[Directed(agents::its_own_kill_is_no_outcome)],
        Mutant::KilledWasNotStarted => &[Directed(agents::its_own_kill_is_no_outcome)],
        Mutant::DeadlineFromAnswer => {
            &[Directed(agents::a_deadline_counts_from_when_the_heartbeat_was_sent)]
        }
        Mutant::StartsWithoutDeadline => {
            &[Directed(agents::nothing_exclusive_begins_before_an_acknowledgement)]
        }
        Mutant::AnyoneReturns => &[Directed(workers::an_older_incarnation_returns_nothing)],
        Mutant::UnknownIsNotStarted => {
            &[Directed(workers::what_may_run_once_may_have_started_where_nobody_knows)]
        }
        Mutant::ReturnedIsRegained => {
            &[Directed(streams::what_a_lost_worker_returns_before_it_is_ready_it_does_not_get_back)]
        }
        Mutant::NotRegainedIsNotKilled => {
            &[Directed(workers::what_another_one_has_meanwhile_is_killed_where_it_runs)]
        }
        Mutant::RecallsForReserved => {
            &[Directed(workers::nothing_is_taken_back_for_room_that_is_kept_for_a_large_one)]
        }
        Mutant::ForgetsUnseen => &[Directed(forgetful::it_takes_no_more_part)],
        Mutant::NotReadyKeepsStream => {
            &[Directed(streams::one_that_is_not_ready_has_to_greet_again)]
        }
        // Rare in lives: it takes a host that is away for long over something exclusive.
        Mutant::NoDeadline => &[Cluster, Directed(hosts::nothing_exclusive_outlives_its_deadline)],
        Mutant::NoGuard => &[Cluster, Directed(hosts::nothing_exclusive_outlives_its_supervisor)],
        Mutant::UnreadRequestsLive => &[Cluster, Directed(hosts::what_nobody_read_is_never_done)],
        // The others the weather finds.
        _ => &[Cluster],
    }
}

impl Ground {
    /// More than any mutant needs; the tests of the grounds walk more without one.
    fn seeds(self) -> u64 {
        match self {
            Replicas => 100,
            Cluster => CLUSTER_SEEDS,
            Directed(_) => 1,
        }
    }

    fn live(self, seed: u64) {
        match self {
            Replicas => replicas::live(seed),
            Cluster => cluster::lives(seed),
            Directed(scenario) => scenario(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Replicas => "three replicas",
            Cluster => "cluster",
            Directed(_) => "directed",
        }
    }
}

/// Who noticed, and when.
struct Caught {
    ground: Ground,
    seeds: u64,
    judge: Panic,
}

/// The words of a judge, and where it stands.
#[derive(Clone, Default)]
struct Panic {
    place: String,
    says: String,
}

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// What a judge says goes into the table, not onto the terminal.
fn listen() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", in_its_tree(at.file()), at.line()));
        let payload = info.payload();
        let says = payload.downcast_ref::<String>().cloned();
        let says = says.or(payload.downcast_ref::<&str>().map(|says| (*says).to_owned()));
        let heard = Panic { place: place.unwrap_or_default(), says: says.unwrap_or_default() };
        LAST.set(Some(heard));
    }));
}

/// A file of another crate without the place where this machine keeps it.
fn in_its_tree(file: &str) -> &str {
    let kept = file.rsplit_once("/registry/src/").and_then(|(_, kept)| kept.split_once('/'));
    kept.map_or(file, |(_, file)| file)
}

fn hunt(mutant: Mutant) -> Option<Caught> {
    for ground in grounds(mutant).iter().copied() {
        for seed in 0..ground.seeds() {
            let lived = panic::catch_unwind(AssertUnwindSafe(|| {
                with(mutant, || ground.live(seed));
            }));
            if lived.is_err() {
                let judge = LAST.take().unwrap_or_default();
                return Some(Caught { ground, seeds: seed + 1, judge });
            }
        }
    }
    None
}

/// All of them, on as many threads as there are processors: a mutant lives on one thread only.
fn hunt_all(mutants: &[Mutant]) -> Vec<Option<Caught>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let hunters = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..hunters {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && at < mutants.len()
                {
                    let caught = hunt(mutants[at]);
                    found.lock().expect("nobody panics with it").push((at, caught));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panics with it");
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, caught)| caught).collect()
}

#[test]
fn each_is_caught() {
    let asked = std::env::var("DAGMAR_MUTANT").ok();
    let is_asked = |mutant: &Mutant| asked.as_ref().is_none_or(|name| *name == name_of(*mutant));
    let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(is_asked).collect();
    listen();
    let found = hunt_all(&mutants);
    let _ = panic::take_hook();
    println!("| mutant | the rule it breaks | found by | seeds | the judge |");
    println!("|---|---|---|---|---|");
    let mut at_large = Vec::new();
    for (mutant, caught) in mutants.iter().zip(found) {
        let rule = mutant.rule();
        let Some(Caught { ground, seeds, judge }) = caught else {
            at_large.push(*mutant);
            println!("| `{mutant:?}` | {rule} | - | - | **not caught** |");
            continue;
        };
        let says: String = judge.says.lines().next().unwrap_or("").chars().take(90).collect();
        let (ground, place) = (ground.name(), &judge.place);
        println!("| `{mutant:?}` | {rule} | {ground} | {seeds} | {says} (`{place}`) |");
    }
    assert!(at_large.is_empty(), "nobody notices {at_large:?}");
}

fn name_of(mutant: Mutant) -> String {
    format!("{mutant:?}")
}
