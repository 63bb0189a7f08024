//! The end of a supervisor: no process that it started, and none of theirs, outlives it.

use std::time::Duration;

use rustix::process::WaitOptions;

use crate::bounds::{END_WITHIN_US, KILLED_EVERY_US};
use crate::clock;
use crate::family;
use crate::serve::Supervisor;

/// Kills everything below this process, again until nothing is left: whoever forks meanwhile
/// leaves its children to us, and the next round finds them.
pub fn kill_everything(supervisor: &mut Supervisor) {
    let give_up_at = clock::boot_us() + END_WITHIN_US;
    supervisor.closing = true;
    // What waits never begins; what begins meanwhile is found below.
    for slot in supervisor.spawners.take_back_all() {
        supervisor.tasks.remove(slot);
    }
    for task in supervisor.tasks.each() {
        if let Some(process) = &task.process {
            // Whole groups first: no fork escapes a signal to its group.
            process.signal(rustix::process::Signal::KILL);
        }
    }
    loop {
        supervisor.take_begun(clock::boot_us());
        // Asked first, so that an end with nothing left costs no search.
        if (is_childless() && !supervisor.spawners.is_busy()) || clock::boot_us() >= give_up_at {
            return;
        }
        family::descendants().into_iter().for_each(family::kill);
        std::thread::sleep(Duration::from_micros(KILLED_EVERY_US));
    }
}

/// Reaps whatever has ended.
fn is_childless() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}
