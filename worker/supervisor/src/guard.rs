//! The guard of an exclusive task: kills it if the supervisor dies, and does nothing else.
//!
//! It is this program once more, started before its task, and it reads a pipe whose other end only
//! the supervisor holds. When that closes nobody is left to stop the task at its deadline, so it
//! dies at once. Who left its group is found by its marks, as everywhere.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::bounds::{END_WITHIN_US, GUARD_EVERY_US, GUARD_LOOKS_US};
use crate::packed::{Packed, PackedView};
use crate::{clock, family, sys};

/// The second argument of a supervisor that is a guard: its mark and a fence follow.
pub const ARGUMENT: &str = "guard";

/// The supervisor's end of it. A guard whose supervisor dies finds this end closed.
pub struct Guard {
    pid: Pid,
    pipe: OwnedFd,
}

impl Guard {
    pub fn start(
        attributes: &sys::Attributes,
        mark: &[u8],
        fence: u64,
        null: BorrowedFd<'_>,
    ) -> Result<Self, i32> {
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (read, write) = pipe.map_err(Errno::raw_os_error)?;
        let mut words = Packed::new();
        let fence = fence.to_string();
        let argument = crate::ARGUMENT.as_bytes();
        for word in [b"dagmar-guard", argument, ARGUMENT.as_bytes(), mark, fence.as_bytes()] {
            words.push(word);
        }
        let pid = sys::spawn(
            attributes,
            &sys::Spawn {
                program: c"/proc/self/exe",
                words: words.view(),
                // Without marks: it must not find itself.
                environment: [PackedView::default(); 2],
                directory: c"/",
                files: [read.as_fd(), null, null],
            },
        )?;
        Ok(Guard { pid, pipe: write })
    }

    /// What it guards has begun. A guard that has died by somebody's hand hears nothing: the
    /// supervisor still holds the deadline.
    pub fn watch(&self, leader: u32) {
        let ticks = family::show(leader).map_or(0, |shown| shown.start_ticks);
        let mut name = Vec::from(leader.to_le_bytes());
        name.extend(ticks.to_le_bytes());
        let _ = rustix::io::write(&self.pipe, &name);
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Nothing is left to guard. It is killed before its pipe closes, and so kills nothing.
    pub fn release(self) {
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// Which trial, by mark and fence.
struct Guarded {
    mark: Vec<u8>,
    fence: u64,
    /// The pid and start of its leader, once it began.
    leader: Option<(u32, u64)>,
}

pub fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mark = arguments.next().map(OsString::into_vec);
    let fence = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(mark), Some(fence)) = (mark, fence) else { return ExitCode::from(2) };
    let mut said = Vec::new();
    // However it ends, nobody speaks any more.
    let _ = std::io::stdin().read_to_end(&mut said);
    let guarded = Guarded { mark, fence, leader: leader_in(&said) };
    let began = clock::boot_us();
    loop {
        let left = guarded.kill();
        let looked = clock::boot_us().saturating_sub(began);
        if looked >= END_WITHIN_US || !left && looked >= GUARD_LOOKS_US {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_micros(GUARD_EVERY_US));
    }
}

fn leader_in(said: &[u8]) -> Option<(u32, u64)> {
    let (pid, rest) = said.split_first_chunk()?;
    let (ticks, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*pid), u64::from_le_bytes(*ticks)))
}

impl Guarded {
    /// True if there was something to kill.
    fn kill(&self) -> bool {
        let mut left = false;
        if let Some((pid, ticks)) = self.leader
            && let Some(group) = family::to_pid(pid)
            && family::show(pid).is_some_and(|shown| shown.start_ticks == ticks && !shown.zombie)
        {
            left = true;
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        for root in family::everyone() {
            let marks = family::marks_of(root);
            if marks.fence != Some(self.fence) || marks.supervisor.as_ref() != Some(&self.mark) {
                continue;
            }
            left = true;
            family::tree(root).into_iter().for_each(family::kill);
        }
        left
    }
}
