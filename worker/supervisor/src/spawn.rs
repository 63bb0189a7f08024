//! One process from its request to its exec.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::clock;
use crate::environment::Environment;
use crate::files::FileLimit;
use crate::guard::Guard;
use crate::packed::{Packed, PackedView};
use crate::protocol::StartStep;
use crate::sys;

/// One process to start.
pub struct Job {
    pub slot: u32,
    pub cpu_millis: u32,
    /// A spawn thread stays with it for so long.
    pub stay_us: u64,
    /// Exclusive: mark and fence, for its guard.
    pub guarded: Option<(Vec<u8>, u64)>,
    /// What epoll says when the process has ended.
    pub token: u64,
    pub environment: Arc<Environment>,
    pub additions: Packed,
    pub directory: Packed,
    pub words: Packed,
}

/// A process that has begun.
pub struct Begun {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The reading ends of its stdout and stderr.
    pub pipes: [OwnedFd; 2],
    /// What was read from them already.
    pub early: [Vec<u8>; 2],
    pub guard: Option<Guard>,
    pub wall_us: i64,
    pub boot_us: u64,
}

/// Why none has.
#[derive(Clone, Copy, Debug)]
pub struct NotStarted {
    pub step: StartStep,
    pub errno: i32,
}

/// What all processes begin with.
pub struct Spawning {
    null: OwnedFd,
    attributes: sys::Attributes,
    files: FileLimit,
}

impl Spawning {
    pub fn new() -> io::Result<Self> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let Some(attributes) = sys::Attributes::new() else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        Ok(Spawning { null, attributes, files: FileLimit::of_this_process() })
    }

    pub fn spawn(&self, job: &Job) -> Result<Begun, NotStarted> {
        let Some(directory) = job.directory.view().iter().next() else {
            return Err(NotStarted { step: StartStep::Directory, errno: libc::ENOENT });
        };
        let (stdout, stdout_end) = pipe().map_err(no_files)?;
        let (stderr, stderr_end) = pipe().map_err(no_files)?;
        self.files.make_room(&stderr_end);
        let files = [self.null.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()];
        let guard = self.guard(job)?;
        let (wall_us, boot_us) = (clock::wall_us(), clock::boot_us());
        let pid = match self.exec(job, directory, files) {
            Ok(pid) => pid,
            Err(errno) => {
                guard.into_iter().for_each(Guard::release);
                return Err(could_not(directory, errno));
            }
        };
        self.files.restore_for(pid);
        if let Some(guard) = &guard {
            guard.watch(pid.as_raw_nonzero().get().unsigned_abs());
        }
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let (pipes, early) = ([stdout, stderr], Default::default());
                Ok(Begun { pid, pidfd, pipes, early, guard, wall_us, boot_us })
            }
            Err(errno) => Err(give_up(pid, guard, errno)),
        }
    }

    /// Before its task, so that no moment of the task is without one.
    fn guard(&self, job: &Job) -> Result<Option<Guard>, NotStarted> {
        let Some((mark, fence)) = &job.guarded else { return Ok(None) };
        let guard = Guard::start(&self.attributes, mark, *fence, self.null.as_fd());
        guard.map(Some).map_err(|errno| NotStarted { step: StartStep::Guard, errno })
    }

    fn exec(&self, job: &Job, directory: &CStr, files: [BorrowedFd<'_>; 3]) -> Result<Pid, i32> {
        let Some(word) = job.words.view().iter().next() else { return Err(libc::ENOENT) };
        let program = find(word, job.environment.path(), directory)?;
        let start = |program: &CStr, words: PackedView<'_>| {
            let environment = [job.environment.entries(), job.additions.view()];
            let spawn = sys::Spawn { program, words, environment, directory, files };
            sys::spawn(&self.attributes, &spawn)
        };
        match start(&program, job.words.view()) {
            // A script without its first line, as execvp takes it.
            Err(libc::ENOEXEC) => {
                let mut words = Packed::new();
                words.push(b"/bin/sh");
                words.push(program.to_bytes());
                for word in job.words.view().iter().skip(1) {
                    words.push(word.to_bytes());
                }
                start(c"/bin/sh", words.view())
            }
            result => result,
        }
    }
}

fn could_not(directory: &CStr, errno: i32) -> NotStarted {
    let step = match Path::new(OsStr::from_bytes(directory.to_bytes())).is_dir() {
        true => StartStep::Program,
        false => StartStep::Directory,
    };
    NotStarted { step, errno }
}

fn no_files(errno: Errno) -> NotStarted {
    NotStarted { step: StartStep::Pipes, errno: errno.raw_os_error() }
}

/// Ends a process whose end nobody could hear of. It is ours to reap, so the pid is its own.
pub fn give_up(pid: Pid, guard: Option<Guard>, errno: Errno) -> NotStarted {
    guard.into_iter().for_each(Guard::release);
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
    no_files(errno)
}

/// As execvp finds it, but in the PATH of the task: the first that can be executed; else EACCES
/// if there was one that cannot.
fn find(word: &CStr, path: &[u8], directory: &CStr) -> Result<CString, i32> {
    let name = word.to_bytes();
    if name.is_empty() {
        return Err(libc::ENOENT);
    }
    if name.contains(&b'/') {
        return Ok(word.to_owned());
    }
    let mut errno = libc::ENOENT;
    for entry in path.split(|byte| *byte == b':') {
        let mut candidate = Vec::with_capacity(64);
        // An empty or relative entry starts from where the task runs.
        if !entry.starts_with(b"/") {
            candidate.extend_from_slice(directory.to_bytes());
            candidate.push(b'/');
        }
        candidate.extend_from_slice(entry);
        candidate.push(b'/');
        candidate.extend_from_slice(name);
        let Ok(candidate) = CString::new(candidate) else { continue };
        match rustix::fs::access(&candidate, Access::EXEC_OK) {
            Ok(()) if Path::new(OsStr::from_bytes(candidate.to_bytes())).is_file() => {
                return Ok(candidate);
            }
            Ok(()) | Err(Errno::ACCESS) => errno = libc::EACCES,
            Err(_) => {}
        }
    }
    Err(errno)
}

/// The end that is read here does not block; the end that the task writes to does.
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read, write))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, path: &str) -> Result<String, i32> {
        let name = CString::new(name).unwrap();
        find(&name, path.as_bytes(), c"/usr").map(|path| path.into_string().unwrap())
    }

    #[test]
    fn programs_are_found_as_execvp_finds_them() {
        assert_eq!(found("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(found("env", "bin"), Ok("/usr/bin/env".into()));
        assert_eq!(found("./x", "/bin"), Ok("./x".into()));
        assert_eq!(found("no-such-program", "/bin:/usr/bin"), Err(libc::ENOENT));
        assert_eq!(found("bin", "/usr"), Err(libc::EACCES), "a directory is no program");
        assert_eq!(found("", "/bin"), Err(libc::ENOENT));
    }
}
