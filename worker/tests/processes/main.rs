//! Real processes under a real supervisor: what tasks get, what they may do, and how all ends.
//!
//! The test is its own supervisor and its own victim: it executes itself in these roles.

#![allow(clippy::unwrap_used)]

mod exporting;
mod kept;
mod killed;
mod misbehaving;
mod ordinary;
mod waiting;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Run one after another: most of them look at all processes of the machine.
const TESTS: &[(&str, fn())] = &[
    ("commands_are_run", ordinary::commands_are_run),
    (
        "a_script_stops_at_its_first_failing_line",
        ordinary::a_script_stops_at_its_first_failing_line,
    ),
    ("the_environment_is_what_was_promised", ordinary::the_environment_is_what_was_promised),
    ("outputs_come_from_their_file", ordinary::outputs_come_from_their_file),
    ("bad_outputs_fail_the_trial", ordinary::bad_outputs_fail_the_trial),
    ("a_script_leaves_what_it_exports", exporting::a_script_leaves_what_it_exports),
    ("a_script_is_asked_however_it_ends", exporting::a_script_is_asked_however_it_ends),
    ("a_script_has_its_own_trap_too", exporting::a_script_has_its_own_trap_too),
    ("a_script_says_what_it_always_said", exporting::a_script_says_what_it_always_said),
    (
        "a_script_that_cannot_tell_runs_all_the_same",
        exporting::a_script_that_cannot_tell_runs_all_the_same,
    ),
    ("what_cannot_start_says_why", ordinary::what_cannot_start_says_why),
    ("logs_are_read_live_and_after", ordinary::logs_are_read_live_and_after),
    ("a_fence_is_started_once", ordinary::a_fence_is_started_once),
    ("many_at_once_are_all_told", ordinary::many_at_once_are_all_told),
    ("a_time_limit_ends_a_trial", ordinary::a_time_limit_ends_a_trial),
    ("a_cancelled_trial_may_tidy_up", ordinary::a_cancelled_trial_may_tidy_up),
    ("a_cancel_takes_back_what_waits", ordinary::a_cancel_takes_back_what_waits),
    ("no_more_run_at_once_than_there_are_cpus", waiting::no_more_run_at_once_than_there_are_cpus),
    ("what_waits_begins_in_its_turn", waiting::what_waits_begins_in_its_turn),
    (
        "what_waits_is_taken_back_and_its_time_does_not_run",
        waiting::what_waits_is_taken_back_and_its_time_does_not_run,
    ),
    ("a_shutdown_begins_nothing_that_waits", waiting::a_shutdown_begins_nothing_that_waits),
    ("files_are_raised_for_us_alone", ordinary::files_are_raised_for_us_alone),
    ("whoever_ignores_term_is_killed", misbehaving::whoever_ignores_term_is_killed),
    ("nobody_outlives_its_trial", misbehaving::nobody_outlives_its_trial),
    ("a_held_pipe_holds_up_nothing", misbehaving::a_held_pipe_holds_up_nothing),
    ("a_reader_of_its_output_may_finish", misbehaving::a_reader_of_its_output_may_finish),
    ("too_much_output_is_counted", misbehaving::too_much_output_is_counted),
    ("closed_streams_are_fine", misbehaving::closed_streams_are_fine),
    ("its_directory_may_vanish", misbehaving::its_directory_may_vanish),
    ("a_fork_bomb_is_ended", misbehaving::a_fork_bomb_is_ended),
    ("a_killed_worker_leaves_no_process", killed::a_killed_worker_leaves_no_process),
    ("a_killed_supervisor_leaves_no_process", killed::a_killed_supervisor_leaves_no_process),
    ("a_sweep_ends_what_both_left", killed::a_sweep_ends_what_both_left),
    ("a_shutdown_returns_what_ran", killed::a_shutdown_returns_what_ran),
    ("a_killed_daemon_is_followed_by_another", kept::a_killed_daemon_is_followed_by_another),
    ("a_second_daemon_takes_over_from_the_first", kept::a_second_daemon_takes_over_from_the_first),
    ("without_any_daemon_all_ends_in_time", kept::without_any_daemon_all_ends_in_time),
    (
        "an_exclusive_task_lives_under_its_deadline",
        kept::an_exclusive_task_lives_under_its_deadline,
    ),
    (
        "an_exclusive_trial_is_returned_at_its_deadline",
        kept::an_exclusive_trial_is_returned_at_its_deadline,
    ),
    ("an_exclusive_task_does_not_outlive_both", kept::an_exclusive_task_does_not_outlive_both),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(dagmar_supervisor::ARGUMENT) => return dagmar_supervisor::main(),
        Some(kept::DAEMON) => return kept::daemon(&arguments[1..]),
        Some(killed::VICTIM) => return killed::victim(&arguments[1..]),
        _ => {}
    }
    let list = arguments.iter().any(|argument| argument == "--list");
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| {
        let fits = |filter: &&String| if exact { *filter == name } else { name.contains(*filter) };
        filters.is_empty() || filters.iter().any(fits)
    };
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        if list {
            println!("{name}: test");
        } else if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed.push(name);
        }
    }
    if !list {
        // As cargo's own runner closes, so that whoever counts results counts these too.
        let (verdict, count) = (if failed.is_empty() { "ok" } else { "FAILED" }, failed.len());
        println!("\ntest result: {verdict}. {passed} passed; {count} failed\n");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
