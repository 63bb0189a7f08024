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
    for slot in supervisor.tasks.slots() {
        // What waits in the queue never begins; what begins meanwhile is found below.
        if supervisor.spawners.take_back(slot) {
            supervisor.outstanding -= 1;
            supervisor.tasks.remove(slot);
        }
    }
    for task in supervisor.tasks.each() {
        if let Some(process) = &task.process {
            // Whole groups first: no fork escapes a signal to its group.
            process.signal(rustix::process::Signal::KILL);
        }
    }
    loop {
        supervisor.take_begun(clock::boot_us());
        for pid in family::descendants() {
            family::kill(pid);
        }
        let childless = loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if (childless && supervisor.outstanding == 0) || clock::boot_us() >= give_up_at {
            return;
        }
        std::thread::sleep(Duration::from_micros(KILLED_EVERY_US));
    }
}
