//! How many files this process may hold open: raised when they run short, for it alone.
//!
//! Each task that runs takes three. A limit passes to every child, and posix_spawn cannot change
//! it, so a child is given the first one back at once, while its program is being loaded.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Resource, Rlimit};

/// Files beside a new one that may be opened before the next look: by all spawn threads, and by
/// the loop.
const SPARE: u64 = 32;

pub struct FileLimit {
    first: Rlimit,
    raised: AtomicBool,
}

impl FileLimit {
    pub fn of_this_process() -> Self {
        let first = rustix::process::getrlimit(Resource::Nofile);
        FileLimit { first, raised: AtomicBool::new(false) }
    }

    /// Raises the limit when `newest` comes near it: files are numbered from below.
    pub fn make_room(&self, newest: &OwnedFd) {
        let number = u64::from(newest.as_raw_fd().unsigned_abs());
        let short = self.first.current.is_some_and(|most| number + SPARE >= most);
        if short && !self.raised.swap(true, Ordering::Relaxed) {
            let raised = Rlimit { current: self.first.maximum, ..self.first };
            // Allowed to everyone; if not, a start that finds no file says so.
            let _ = rustix::process::setrlimit(Resource::Nofile, raised);
        }
    }

    /// Gives `pid`, which has just begun, the limit that it would have had.
    pub fn restore_for(&self, pid: Pid) {
        if self.raised.load(Ordering::Relaxed) {
            // It may have changed its user, or be gone: then it keeps what it has.
            let _ = rustix::process::prlimit(Some(pid), Resource::Nofile, self.first);
        }
    }
}
