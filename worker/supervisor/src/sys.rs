//! The few system calls that take unsafe code: posix_spawn, signal dispositions, closing files.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_char, c_int, c_short, pid_t};
use rustix::process::Pid;

use crate::packed::PackedView;

/// What every task process starts with: a process group of its own, no signal blocked, and none
/// ignored, whatever this process, the Rust runtime or a `nohup` before them ignores.
pub struct Attributes(libc::posix_spawnattr_t);

// SAFETY: filled once and only read afterwards; posix_spawn takes it const.
unsafe impl Send for Attributes {}
// SAFETY: as above.
unsafe impl Sync for Attributes {}

/// Signals that would end the supervisor before it has ended its tasks. It ends when its control
/// socket closes, and SIGKILL aside by nothing else.
const OUTLIVED: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

impl Attributes {
    /// None if there is no memory for it.
    pub fn new() -> Option<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: init fills `raw` or fails; both signal sets are filled before they are read.
        unsafe {
            if libc::posix_spawnattr_init(raw.as_mut_ptr()) != 0 {
                return None;
            }
            let mut raw = raw.assume_init();
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            libc::posix_spawnattr_setsigmask(&mut raw, &set);
            libc::sigfillset(&mut set);
            libc::posix_spawnattr_setsigdefault(&mut raw, &set);
            libc::posix_spawnattr_setpgroup(&mut raw, 0);
            let flags = libc::POSIX_SPAWN_SETPGROUP
                | libc::POSIX_SPAWN_SETSIGMASK
                | libc::POSIX_SPAWN_SETSIGDEF;
            libc::posix_spawnattr_setflags(&mut raw, flags as c_short);
            Some(Attributes(raw))
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and dropped once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// One process as the kernel is asked for it.
pub struct Spawn<'a> {
    pub program: &'a CStr,
    pub words: PackedView<'a>,
    /// All of them together.
    pub environment: [PackedView<'a>; 2],
    pub directory: &'a CStr,
    /// What become stdin, stdout and stderr; all of them above 2.
    pub files: [BorrowedFd<'a>; 3],
}

/// Starts it; the errno if that fails. The caller waits until the new process is in its exec.
pub fn spawn(attributes: &Attributes, spawn: &Spawn<'_>) -> Result<Pid, i32> {
    let words = pointers(&[spawn.words]);
    let environment = pointers(&spawn.environment);
    let mut actions = Actions::new()?;
    for (place, file) in spawn.files.iter().enumerate() {
        actions.duplicate(*file, place as c_int)?;
    }
    actions.change_directory(spawn.directory)?;
    let mut pid: pid_t = 0;
    // SAFETY: both lists end in a null pointer, and what they point into outlives the call, for
    // it is borrowed by `spawn`; actions and attributes are initialised.
    let errno = unsafe {
        libc::posix_spawn(
            &mut pid,
            spawn.program.as_ptr(),
            &actions.0,
            &attributes.0,
            words.as_ptr().cast(),
            environment.as_ptr().cast(),
        )
    };
    match (errno, Pid::from_raw(pid)) {
        (0, Some(pid)) => Ok(pid),
        (0, None) => Err(libc::EAGAIN),
        (errno, _) => Err(errno),
    }
}

/// One pointer for each text, and a null pointer behind them.
fn pointers(lists: &[PackedView<'_>]) -> Vec<*const c_char> {
    let mut pointers = Vec::with_capacity(64);
    pointers.extend(lists.iter().flat_map(|list| list.iter()).map(CStr::as_ptr));
    pointers.push(std::ptr::null());
    pointers
}

/// What the new process does before its exec.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> Result<Self, i32> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: init fills `raw` or fails.
        unsafe {
            succeeded(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
            Ok(Actions(raw.assume_init()))
        }
    }

    fn duplicate(&mut self, file: BorrowedFd<'_>, place: c_int) -> Result<(), i32> {
        // SAFETY: initialised in `new`.
        succeeded(unsafe {
            libc::posix_spawn_file_actions_adddup2(&mut self.0, file.as_raw_fd(), place)
        })
    }

    fn change_directory(&mut self, directory: &CStr) -> Result<(), i32> {
        // SAFETY: initialised in `new`; the path is copied.
        succeeded(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&mut self.0, directory.as_ptr())
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and dropped once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

fn succeeded(errno: c_int) -> Result<(), i32> {
    if errno == 0 { Ok(()) } else { Err(errno) }
}

/// From here on only the control socket and SIGKILL end this process. SIGCHLD gets its default
/// back: where a parent had it ignored, children would vanish with their exit status.
pub fn outlive_signals() {
    // SAFETY: no handler is installed, only dispositions change.
    unsafe {
        for signal in OUTLIVED {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Closes what was inherited beside stdin, stdout and stderr, so that no pipe or lock of another
/// program is held open here or in a task.
pub fn close_inherited() {
    // SAFETY: called first thing in `main`, before anything here owns a file above 2.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
