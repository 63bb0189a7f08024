//! The spawn threads: they take jobs from one queue and hand back processes that have begun.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::epoll;
use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::bounds::SPAWN_THREADS;
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

pub type Finished = (u32, Result<Begun, NotStarted>);

/// The queue and its threads.
pub struct Spawners {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<VecDeque<Job>>,
    ready: Condvar,
    finished: Mutex<Vec<Finished>>,
    epoll: Arc<OwnedFd>,
    /// Rung for starts that failed; those that succeeded are found when the loop turns anyway.
    bell: Arc<OwnedFd>,
    null: OwnedFd,
    attributes: sys::Attributes,
    files: FileLimit,
}

impl Spawners {
    pub fn start(epoll: Arc<OwnedFd>, bell: Arc<OwnedFd>) -> io::Result<Self> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let Some(attributes) = sys::Attributes::new() else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            finished: Mutex::default(),
            epoll,
            bell,
            null,
            attributes,
            files: FileLimit::of_this_process(),
        });
        for number in 0..SPAWN_THREADS {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("spawn-{number}"))
                .stack_size(128 << 10)
                .spawn(move || shared.serve())?;
        }
        Ok(Spawners { shared })
    }

    pub fn push(&self, job: Job) {
        lock(&self.shared.queue).push_back(job);
        self.shared.ready.notify_one();
    }

    /// True if the job was still waiting: now it never begins.
    pub fn take_back(&self, slot: u32) -> bool {
        let mut queue = lock(&self.shared.queue);
        let before = queue.len();
        queue.retain(|job| job.slot != slot);
        queue.len() < before
    }

    pub fn finished(&self, into: &mut Vec<Finished>) {
        into.append(&mut lock(&self.shared.finished));
    }
}

impl Shared {
    fn serve(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let job = loop {
                if let Some(job) = queue.pop_front() {
                    break job;
                }
                queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            let begun = self.spawn(&job);
            // Under the lock, so that whoever hears of the end finds the beginning here.
            let mut finished = lock(&self.finished);
            let result = begun.and_then(|begun| self.await_end(begun, job.token));
            let failed = result.is_err();
            finished.push((job.slot, result));
            drop(finished);
            if failed {
                let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
            }
        }
    }

    fn spawn(&self, job: &Job) -> Result<Begun, NotStarted> {
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
            Ok(pidfd) => Ok(Begun { pid, pidfd, pipes: [stdout, stderr], guard, wall_us, boot_us }),
            Err(errno) => Err(give_up(pid, guard, errno)),
        }
    }

    /// Before its task, so that no moment of the task is without one.
    fn guard(&self, job: &Job) -> Result<Option<Guard>, NotStarted> {
        let Some((mark, fence)) = &job.guarded else { return Ok(None) };
        let guard = Guard::start(&self.attributes, mark, *fence, self.null.as_fd());
        guard.map(Some).map_err(|errno| NotStarted { step: StartStep::Guard, errno })
    }

    fn await_end(&self, begun: Begun, token: u64) -> Result<Begun, NotStarted> {
        let data = epoll::EventData::new_u64(token);
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        match epoll::add(&*self.epoll, &begun.pidfd, data, once) {
            Ok(()) => Ok(begun),
            Err(errno) => Err(give_up(begun.pid, begun.guard, errno)),
        }
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
fn give_up(pid: Pid, guard: Option<Guard>, errno: Errno) -> NotStarted {
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

/// A panic under one of these locks leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
