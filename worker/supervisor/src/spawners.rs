//! The spawn threads: each takes the next job that has its cpus, starts it, and stays with it for
//! as long as most tasks live; so the end of a short one is at once the beginning of the next.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

use crate::bounds::{EXCLUSIVE_LEFT_US, READ_BYTES, SPAWN_THREADS_SPARE};
use crate::clock;
use crate::family::Orphans;
use crate::places::Places;
use crate::protocol::Exit;
use crate::spawn::{Begun, Job, NotStarted, Spawning, give_up};
use crate::task::reap;

/// What became of a job.
pub enum Outcome {
    /// Its process goes on; epoll tells of its end.
    Lives(Begun),
    /// Its process has come and gone, its streams are closed, and nothing is left of it.
    Passed {
        begun: Begun,
        exit: Exit,
        at_us: u64,
    },
    NotStarted(NotStarted),
    /// Exclusive, and its deadline came too near while it waited for its cpus.
    TooLate,
}

pub struct Finished {
    pub slot: u32,
    pub outcome: Outcome,
}

pub struct Spawners {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    epoll: Arc<OwnedFd>,
    /// Rung when somebody may wait for what has finished.
    bell: Arc<OwnedFd>,
    spawning: Spawning,
    orphans: Orphans,
}

struct Queue {
    places: Places,
    /// Threads that have nothing to do.
    idle: usize,
    /// Jobs that a thread has, or that have finished and are not taken yet.
    taken: usize,
    finished: Vec<Finished>,
    /// Until then exclusive tasks may live.
    deadline: Option<u64>,
}

impl Spawners {
    pub fn start(epoll: Arc<OwnedFd>, bell: Arc<OwnedFd>) -> io::Result<Self> {
        let queue = Queue {
            places: Places::new(0),
            idle: 0,
            taken: 0,
            finished: Vec::new(),
            deadline: None,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            ready: Condvar::new(),
            epoll,
            bell,
            spawning: Spawning::new()?,
            orphans: Orphans::of_this_process(),
        });
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..cpus + SPAWN_THREADS_SPARE {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("spawn-{number}"))
                .stack_size(128 << 10)
                .spawn(move || shared.serve())?;
        }
        Ok(Spawners { shared })
    }

    /// Another daemon may offer another number.
    pub fn resize(&self, capacity_millis: u32) {
        self.change(|queue| queue.places.resize(capacity_millis));
    }

    pub fn push(&self, job: Job) {
        self.change(|queue| queue.places.wait(job));
    }

    /// The cpus of a process that lived.
    pub fn release(&self, cpu_millis: u32) {
        self.change(|queue| queue.places.release(cpu_millis));
    }

    /// True if it still waited: now it never begins.
    pub fn take_back(&self, slot: u32) -> bool {
        // It may have held back smaller ones.
        self.change(|queue| queue.places.take_back(slot))
    }

    /// The slots of all that waited.
    pub fn take_back_all(&self) -> Vec<u32> {
        lock(&self.shared.queue).places.take_back_all()
    }

    /// Exclusive tasks may live until then; an older word takes nothing back.
    pub fn extend(&self, deadline: u64) {
        let mut queue = lock(&self.shared.queue);
        queue.deadline = queue.deadline.max(Some(deadline));
    }

    pub fn deadline(&self) -> Option<u64> {
        lock(&self.shared.queue).deadline
    }

    pub fn finished(&self, into: &mut Vec<Finished>) {
        let mut queue = lock(&self.shared.queue);
        queue.taken -= queue.finished.len();
        into.append(&mut queue.finished);
    }

    /// Something finishes soon, or has.
    pub fn is_busy(&self) -> bool {
        let queue = lock(&self.shared.queue);
        queue.taken > 0 || queue.places.has_next()
    }

    /// Nothing starves if what is told of ends waits a little.
    pub fn is_well_fed(&self) -> bool {
        lock(&self.shared.queue).places.is_well_fed()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = lock(&self.shared.queue);
        let changed = change(&mut queue);
        self.shared.wake_one(&queue);
        changed
    }
}

impl Shared {
    fn serve(&self) {
        let mut waste = Vec::with_capacity(READ_BYTES);
        let mut queue = lock(&self.queue);
        loop {
            let Some(job) = queue.places.next() else {
                queue.idle += 1;
                queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
                continue;
            };
            queue.taken += 1;
            let in_time = job.guarded.is_none() || may_begin_exclusive(queue.deadline);
            // While nobody is idle the next job would wait for this one.
            let stay_us = if queue.idle > 0 { job.stay_us } else { 0 };
            self.wake_one(&queue);
            drop(queue);
            let outcome = match in_time {
                true => self.carry_out(&job, stay_us, &mut waste),
                false => Outcome::TooLate,
            };
            queue = lock(&self.queue);
            self.finish(&mut queue, &job, outcome);
        }
    }

    /// Whoever is woken wakes the next, as long as there is a job that can begin.
    fn wake_one(&self, queue: &Queue) {
        if queue.idle > 0 && queue.places.has_next() {
            self.ready.notify_one();
        }
    }

    fn carry_out(&self, job: &Job, stay_us: u64, waste: &mut Vec<u8>) -> Outcome {
        let begun = match self.spawning.spawn(job) {
            Ok(begun) => begun,
            Err(failure) => return Outcome::NotStarted(failure),
        };
        match stay_us {
            0 => Outcome::Lives(begun),
            _ => self.stay(begun, stay_us, waste),
        }
    }

    /// Waits for the end of a short process. One that leaves anything behind, a process or an open
    /// stream, is not reaped: then the loop settles it.
    fn stay(&self, mut begun: Begun, stay_us: u64, waste: &mut Vec<u8>) -> Outcome {
        if !ends_within(&begun.pidfd, stay_us) {
            return Outcome::Lives(begun);
        }
        let at_us = clock::boot_us();
        let mut closed = true;
        for (pipe, early) in begun.pipes.iter().zip(&mut begun.early) {
            closed &= read_to_end(pipe, early, waste);
        }
        // Whatever it has started and left lives on as an orphan, and so it stands in that list.
        let exit = if closed && self.orphans.are_none() { reap(&begun.pidfd) } else { None };
        match exit {
            Some(exit) => Outcome::Passed { begun, exit, at_us },
            None => Outcome::Lives(begun),
        }
    }

    /// Under the lock, so that whoever hears of an end finds the beginning here.
    fn finish(&self, queue: &mut Queue, job: &Job, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Lives(begun) => self.watch(begun, job.token),
            other => other,
        };
        let lives = matches!(outcome, Outcome::Lives(_));
        if !lives {
            queue.places.release(job.cpu_millis);
        }
        queue.finished.push(Finished { slot: job.slot, outcome });
        // Else the loop looks by itself before anything starves.
        if !lives && !queue.places.is_well_fed() {
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }

    fn watch(&self, begun: Begun, token: u64) -> Outcome {
        let data = epoll::EventData::new_u64(token);
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        match epoll::add(&*self.epoll, &begun.pidfd, data, once) {
            Ok(()) => Outcome::Lives(begun),
            Err(errno) => Outcome::NotStarted(give_up(begun.pid, begun.guard, errno)),
        }
    }
}

/// One that begins now has time to be of use, and to be stopped.
fn may_begin_exclusive(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|at| clock::boot_us().saturating_add(EXCLUSIVE_LEFT_US) <= at)
}

fn ends_within(pidfd: &OwnedFd, wait_us: u64) -> bool {
    let until = clock::boot_us() + wait_us;
    loop {
        let left = until.saturating_sub(clock::boot_us());
        let left = Timespec {
            tv_sec: (left / 1_000_000) as i64,
            tv_nsec: (left % 1_000_000 * 1_000) as i64,
        };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Of what lies in it, as much as a pipe holds; true once there is no writer any more.
fn read_to_end(pipe: &OwnedFd, early: &mut Vec<u8>, waste: &mut Vec<u8>) -> bool {
    while early.len() < READ_BYTES {
        waste.clear();
        match rustix::io::read(pipe.as_fd(), spare_capacity(waste)) {
            Ok(0) => return true,
            Ok(_) => early.extend_from_slice(waste),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    false
}

/// A panic under this lock leaves nothing half done.
fn lock(mutex: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
