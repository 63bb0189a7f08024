//! The words for a run of this directory whose stored bytes are not what was written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::EnvelopeError;
use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::store::StoreError;
use dagmar_worker::records::{FILE, NoteDamaged, note_beside};

use super::live::LOG;
use crate::render::text::shell_word;

/// The log of the run in `live_dir` cannot be believed. `place`: the file that shows it.
pub fn of_log(live_dir: &Path, place: &Path, why: impl Into<String>) -> Problem {
    let run = name(live_dir);
    Problem::new(Code::Damaged, format!("the log of {run} is damaged"))
        .at(place.display().to_string())
        .because(why)
        .because("nothing of it is believed; other runs here are not touched")
        .try_this(format!("restore {} from a backup, then dagmar resume {run}", live_dir.display()))
        .try_this(forget(live_dir))
}

/// Why the log of the run in `live_dir` cannot be opened.
pub fn of_store(live_dir: &Path, error: &StoreError) -> Problem {
    let run = name(live_dir);
    match error {
        StoreError::Corrupt { what, path, .. } => of_log(live_dir, path, what),
        StoreError::NoLog { path } => of_log(live_dir, path, "the log that was here is gone"),
        StoreError::Newer { what, path } => of_newer(&format!("the log of {run} was"), path, what),
        StoreError::Held { pid, .. } => {
            let who =
                pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            Problem::new(Code::StillRunning, format!("{who} has the log of {run} open"))
                .try_this("the same again in a moment")
        }
        StoreError::Io { what, path, source } => Problem::storage(what, path, source),
        StoreError::Exists { .. } | StoreError::Poisoned { .. } | StoreError::NotHeld { .. } => {
            Problem::new(Code::Internal, error.to_string())
        }
    }
}

/// The same for the directory of a store, where no more is known of the run.
pub fn of_store_directory(directory: &Path, why: impl Into<String>) -> Problem {
    of_log(directory.parent().unwrap_or(directory), directory, why)
}

/// What the worker noted of starts and ends cannot be believed. The log alone is enough to go on.
pub fn of_records(live_dir: &Path, error: &std::io::Error) -> Problem {
    let (run, path) = (name(live_dir), live_dir.join(FILE));
    if error.kind() != ErrorKind::InvalidData {
        return Problem::storage("read", &path, error);
    }
    if error.get_ref().is_some_and(|cause| cause.is::<NoteDamaged>()) {
        return of_note(live_dir);
    }
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<EnvelopeError>());
    if let Some(newer @ EnvelopeError::Newer { .. }) = cause {
        return of_newer(&format!("the worker's records of {run} were"), &path, newer);
    }
    let why = cause.map_or_else(|| error.to_string(), |cause| format!("a record {cause}"));
    let problem = Problem::new(Code::Damaged, format!("the worker's records of {run} are damaged"));
    let given_up = given_up(live_dir);
    let going_on = format!("mv {} {}", path_word(&path), path_word(&given_up));
    give_up_records(live_dir, problem.because(why), &going_on)
}

/// The records are whole; how long they were is not known any more.
fn of_note(live_dir: &Path) -> Problem {
    let (run, note) = (name(live_dir), note_beside(&live_dir.join(FILE)));
    Problem::new(Code::Damaged, format!("a note on the worker's records of {run} is damaged"))
        .at(note.display().to_string())
        .because("it says how long the records are, which are whole themselves")
        .try_this(format!("rm {}    then dagmar resume {run}", path_word(&note)))
}

/// The log says that something careful was leased, and nobody noted whether it began.
pub fn of_lost_records(live_dir: &Path) -> Problem {
    let run = name(live_dir);
    let problem = Problem::new(Code::Damaged, format!("the worker's records of {run} are gone"))
        .because("steps that may not run twice were given to it, and may have begun");
    give_up_records(live_dir, problem, &format!("touch {}", path_word(&given_up(live_dir))))
}

/// Somebody went on without the records, in the words of [`of_records`] or [`of_lost_records`].
pub fn is_given_up(live_dir: &Path) -> bool {
    given_up(live_dir).exists()
}

/// `going_on`: the command that makes [`is_given_up`] true.
fn give_up_records(live_dir: &Path, problem: Problem, going_on: &str) -> Problem {
    problem
        .at(live_dir.join(FILE).display().to_string())
        .because("they tell which steps began, and which ended just before the interruption")
        .try_this(format!("{going_on}    then dagmar resume {}", name(live_dir)))
        .try_this("such steps run again then, but those that may not: they fail as unknown")
}

fn path_word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

fn given_up(live_dir: &Path) -> PathBuf {
    live_dir.join(format!("{FILE}.damaged"))
}

fn of_newer(what: &str, path: &Path, why: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::Newer, format!("{what} written by a newer dagmar"))
        .at(path.display().to_string())
        .because(why.to_string())
        .try_this("go on with the program that wrote it, or a newer one")
}

/// What one attempt wrote cannot be read; `place` shows it.
pub fn of_output(place: &Path, code: Code, error: &dyn std::fmt::Display) -> Problem {
    let problem = Problem::new(code, "some output cannot be read")
        .at(place.display().to_string())
        .because(error.to_string())
        .because("what other steps wrote stands on stdout; how each step ended: dagmar show RUN");
    match code {
        Code::Newer => problem.try_this("look with the program that wrote it, or a newer one"),
        _ => problem,
    }
}

/// What to type to be rid of a directory for good.
pub fn forget(directory: &Path) -> String {
    format!("rm -r {}    to give the run up and free its name", path_word(directory))
}

fn name(live_dir: &Path) -> String {
    debug_assert!(!live_dir.ends_with(LOG), "the directory of a run, not of its store");
    live_dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
