//! Why a store does not do what it was asked, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("{}: another process{} has this log open; end it, or wait for it", .path.display(),
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held { path: PathBuf, pid: Option<u32> },
    #[error("{}: no log here; name the directory of one, or begin a new one", .path.display())]
    NoLog { path: PathBuf },
    #[error("{}: a log is here already; name another directory", .path.display())]
    Exists { path: PathBuf },
    #[error("{}: {what}; {next}", .path.display())]
    Corrupt { what: String, path: PathBuf, next: &'static str },
    #[error("{}: {what}; start the program that wrote it, or a newer one", .path.display())]
    Newer { what: String, path: PathBuf },
    #[error("{}: cannot {what}: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the store refuses to go on after its first error ({first}); start the process anew")]
    Poisoned { first: String },
    #[error("entries up to {asked} cannot go: snapshots hold only up to {held}; take one first")]
    NotHeld { asked: u64, held: u64 },
}

/// What to do about damage. Part of a log is worth nothing: it would forget what was promised.
const RESTORE: &str = "keep a copy of the directory; then restore it from a backup, or, where \
    other replicas are alive, remove this one and add a new one with an empty directory";

impl StoreError {
    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        StoreError::Corrupt { what: what.into(), path: path.into(), next: RESTORE }
    }

    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| StoreError::Io { what, path: path.into(), source }
    }
}
