//! The loop of the supervisor: requests in, events out, processes and pipes and alarms between.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec};
use rustix::io::Errno;

use crate::bounds::{
    BUSY_FLUSH_US, LAZY_FLUSH_US, ORPHANS_EVERY_US, TURN_BYTES_MAX, TURN_EVERY_US,
};
use crate::clock;
use crate::control::End;
use crate::end;
use crate::environment::Environments;
use crate::family::Orphans;
use crate::fences::Started as StartedFences;
use crate::outgoing::Outgoing;
use crate::output::Turn;
use crate::protocol::{Event, Frames, OnClose, Stream};
use crate::spawn::{Begun, NotStarted};
use crate::spawners::{Finished, Outcome, Spawners};
use crate::table::Table;

/// What epoll calls the files that are no task's.
const CONTROL: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;
const LISTENER: u64 = u64::MAX - 2;

const CONTROL_READS: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// What epoll calls the files of a task: its slot, and which of them.
pub fn token(slot: u32, which: Which) -> u64 {
    u64::from(slot) << 2 | which as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Process = 0,
    Stdout = 1,
    Stderr = 2,
}

/// Everything a supervisor knows.
pub struct Supervisor {
    /// None while no daemon is here.
    pub(crate) control: Option<OwnedFd>,
    /// It was listed what runs, or came before anything could.
    pub(crate) is_listed: bool,
    /// Where another daemon may come.
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) on_close: OnClose,
    /// No daemon came until then: everything ends.
    pub(crate) gives_up_at: Option<u64>,
    /// Ends of tasks, by fence, that a later daemon may have to be told.
    pub(crate) unheard: BTreeMap<u64, End>,
    pub(crate) frames: Frames,
    /// The hello was read.
    pub(crate) greeted: bool,
    /// A shutdown was asked: nothing begins any more.
    pub(crate) closing: bool,
    pub(crate) environments: Environments,
    pub(crate) started: StartedFences,
    pub(crate) tasks: Table,
    pub(crate) spawners: Spawners,
    pub(crate) outgoing: Outgoing,
    pub(crate) orphans: Orphans,
    polling: Polling,
}

/// What the loop itself needs.
struct Polling {
    epoll: Arc<OwnedFd>,
    bell: Arc<OwnedFd>,
    finished: Vec<Finished>,
    /// Pipes that have something.
    readable: VecDeque<(u32, u64, Stream)>,
    waste: Vec<u8>,
    orphans_at: u64,
    control_ready: bool,
    /// Epoll is to tell when the control socket has room again.
    asks_for_room: bool,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The daemon is gone, or what it says is no message.
    Closed,
    /// It was asked, and every task has ended.
    Shutdown,
}

impl Supervisor {
    pub fn new(control: OwnedFd, listener: Option<OwnedFd>) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let bell = Arc::new(bell);
        rustix::io::ioctl_fionbio(&control, true)?;
        epoll::add(&*epoll, &control, EventData::new_u64(CONTROL), CONTROL_READS)?;
        epoll::add(&*epoll, &*bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        if let Some(listener) = &listener {
            rustix::io::ioctl_fionbio(listener, true)?;
            epoll::add(&*epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        }
        Ok(Supervisor {
            control: Some(control),
            is_listed: true,
            listener,
            on_close: OnClose::Kill,
            gives_up_at: None,
            unheard: BTreeMap::new(),
            frames: Frames::default(),
            greeted: false,
            closing: false,
            environments: Environments::default(),
            started: StartedFences::default(),
            tasks: Table::default(),
            spawners: Spawners::start(epoll.clone(), bell.clone())?,
            outgoing: Outgoing::default(),
            orphans: Orphans::of_this_process(),
            polling: Polling {
                epoll,
                bell,
                finished: Vec::new(),
                readable: VecDeque::new(),
                waste: Vec::new(),
                orphans_at: 0,
                control_ready: true,
                asks_for_room: false,
            },
        })
    }

    /// Until the daemon is gone; then every process that it had started is, too.
    pub fn run(mut self) -> Ending {
        let ending = self.turn_until_closed();
        end::kill_everything(&mut self);
        ending
    }

    fn turn_until_closed(&mut self) -> Ending {
        let mut events = Vec::with_capacity(256);
        loop {
            let timeout = self.timeout(clock::boot_us());
            match epoll::wait(
                &*self.polling.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return Ending::Closed,
            }
            let now = clock::boot_us();
            self.take_begun(now);
            for event in events.drain(..) {
                self.hear(event, now);
            }
            self.read_pipes(now);
            self.ring_alarms(now);
            // Last, so that no event of this turn meets a slot that was given anew.
            if self.polling.control_ready {
                self.polling.control_ready = false;
                if self.read_requests(now).is_err() && !self.lose_control(now) {
                    return Ending::Closed;
                }
            }
            self.stop_overdue(now);
            self.look_for_orphans(now);
            if self.flush(now).is_err() && !self.lose_control(now) {
                return Ending::Closed;
            }
            if self.gives_up_at.is_some_and(|at| now >= at) {
                return Ending::Closed;
            }
            if self.closing && self.tasks.is_empty() && self.outgoing.is_empty() {
                return Ending::Shutdown;
            }
        }
    }

    /// Room in the socket is asked for only while there is none: else every read of the daemon
    /// would wake this loop.
    fn flush(&mut self, now: u64) -> Result<(), Errno> {
        let Some(control) = &self.control else { return Ok(()) };
        self.outgoing.flush(now, control)?;
        let blocked = self.outgoing.is_blocked();
        if std::mem::replace(&mut self.polling.asks_for_room, blocked) == blocked {
            return Ok(());
        }
        let flags = if blocked { CONTROL_READS | EventFlags::OUT } else { CONTROL_READS };
        let data = EventData::new_u64(CONTROL);
        epoll::modify(&*self.polling.epoll, control, data, flags)
    }

    fn timeout(&self, now: u64) -> Option<Timespec> {
        let polling = &self.polling;
        let finished = self.spawners.is_busy().then_some(now + BUSY_FLUSH_US);
        let orphans = (!self.tasks.is_empty()).then_some(polling.orphans_at);
        let readable = (!polling.readable.is_empty() && !self.outgoing.is_full()).then_some(now);
        let exclusive = self.tasks.has_exclusive().then(|| self.spawners.deadline()).flatten();
        let deadline = exclusive.filter(|at| *at > now);
        let next = [finished, orphans, readable, self.tasks.next_alarm(), self.outgoing.due()];
        let next = next.into_iter().chain([deadline, self.gives_up_at]);
        let wait = next.flatten().min()?.saturating_sub(now).min(TURN_EVERY_US);
        Some(Timespec {
            tv_sec: (wait / 1_000_000) as i64,
            tv_nsec: (wait % 1_000_000 * 1_000) as i64,
        })
    }

    fn hear(&mut self, event: epoll::Event, now: u64) {
        // Packed in the kernel's struct, so copied out before use.
        let (data, flags) = (event.data, event.flags);
        match data.u64() {
            CONTROL => {
                if flags.intersects(EventFlags::OUT) && self.speaks() {
                    self.outgoing.unblock();
                }
                let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                self.polling.control_ready |= flags.intersects(read);
            }
            LISTENER => self.accept(),
            BELL => {
                let _ = rustix::io::read(&*self.polling.bell, &mut [0; 8]);
            }
            token => {
                let slot = (token >> 2) as u32;
                match token & 3 {
                    0 => self.leader_ended(slot, now),
                    1 => self.queue_pipe(slot, Stream::Stdout),
                    _ => self.queue_pipe(slot, Stream::Stderr),
                }
            }
        }
    }

    /// False if nothing could ever be heard of it.
    pub(crate) fn hear_control(&mut self, control: &OwnedFd) -> bool {
        let data = EventData::new_u64(CONTROL);
        if epoll::add(&*self.polling.epoll, control, data, CONTROL_READS).is_err() {
            return false;
        }
        self.polling.asks_for_room = false;
        // Something may have come before anybody looked.
        self.polling.control_ready = true;
        true
    }

    /// Takes what the spawn threads have done.
    pub(crate) fn take_begun(&mut self, now: u64) {
        let mut finished = std::mem::take(&mut self.polling.finished);
        self.spawners.finished(&mut finished);
        for Finished { slot, outcome } in finished.drain(..) {
            match outcome {
                Outcome::Lives(begun) => self.lives(slot, begun, now),
                Outcome::Passed { begun, exit, at_us } => {
                    self.begins(slot, begun, now);
                    self.leaves(slot, exit, at_us, now);
                }
                Outcome::NotStarted(failure) => self.not_started(slot, failure),
                Outcome::TooLate => self.never_began(slot),
            }
        }
        self.polling.finished = finished;
    }

    fn begins(&mut self, slot: u32, mut begun: Begun, now: u64) {
        let Some(task) = self.tasks.get(slot) else { return };
        let (fence, most, early) = (task.fence, task.output_max, std::mem::take(&mut begun.early));
        let process = task.begin(begun);
        let event = Event::Started(process.started(fence));
        self.outgoing.push_lazily(&event, now + LAZY_FLUSH_US);
        for (pipe, bytes) in process.pipes.iter_mut().zip(&early) {
            pipe.take(fence, most, bytes, self.outgoing.batch());
        }
    }

    fn lives(&mut self, slot: u32, begun: Begun, now: u64) {
        self.begins(slot, begun, now);
        let Some(task) = self.tasks.get(slot) else { return };
        let (due, asked) = (task.due(), task.asked.take());
        self.tasks.set_alarm(slot, due);
        self.watch(slot);
        if let Some(asked) = asked {
            self.ask(slot, asked, now);
        }
    }

    fn not_started(&mut self, slot: u32, failure: NotStarted) {
        let Some(task) = self.tasks.get(slot) else { return };
        if task.asked.is_some() {
            return self.never_began(slot);
        }
        let (fence, NotStarted { step, errno }) = (task.fence, failure);
        self.tasks.remove(slot);
        self.tell_end(End::NotStarted { fence, step, errno });
    }

    /// When something that was told now has to leave.
    pub(crate) fn flush_by(&self, now: u64) -> u64 {
        if self.spawners.is_well_fed() { now + BUSY_FLUSH_US } else { now }
    }

    pub(crate) fn watch(&mut self, slot: u32) {
        let Some(process) = self.tasks.get(slot).and_then(|task| task.process.as_mut()) else {
            return;
        };
        if std::mem::replace(&mut process.watched, true) {
            return;
        }
        for (pipe, which) in process.pipes.iter().zip([Which::Stdout, Which::Stderr]) {
            let Some(file) = pipe.file() else { continue };
            let data = EventData::new_u64(token(slot, which));
            // Fails only without memory; then the pipe is read at the end of its task.
            let _ = epoll::add(&*self.polling.epoll, file, data, EventFlags::IN | EventFlags::ET);
        }
    }

    fn queue_pipe(&mut self, slot: u32, stream: Stream) {
        let Some(task) = self.tasks.get(slot) else { return };
        let fence = task.fence;
        let Some(process) = &mut task.process else { return };
        let pipe = &mut process.pipes[stream as usize];
        if !std::mem::replace(&mut pipe.queued, true) {
            self.polling.readable.push_back((slot, fence, stream));
        }
    }

    fn read_pipes(&mut self, now: u64) {
        for _ in 0..self.polling.readable.len() {
            if self.outgoing.is_full() {
                return;
            }
            let Some((slot, fence, stream)) = self.polling.readable.pop_front() else { return };
            if self.tasks.get(slot).is_none_or(|task| task.fence != fence) {
                continue;
            }
            match self.read_pipe(slot, stream, TURN_BYTES_MAX, now) {
                Turn::More => self.polling.readable.push_back((slot, fence, stream)),
                Turn::Empty => self.unqueue(slot, stream),
                Turn::Closed => self.settle(slot, now),
            }
        }
    }

    fn unqueue(&mut self, slot: u32, stream: Stream) {
        if let Some(process) = self.tasks.get(slot).and_then(|task| task.process.as_mut()) {
            process.pipes[stream as usize].queued = false;
        }
    }

    pub(crate) fn read_pipe(&mut self, slot: u32, stream: Stream, budget: usize, now: u64) -> Turn {
        let by = self.flush_by(now);
        let Some(task) = self.tasks.get(slot) else { return Turn::Closed };
        let (fence, most) = (task.fence, task.output_max);
        let Some(process) = &mut task.process else { return Turn::Closed };
        let pipe = &mut process.pipes[stream as usize];
        let before = self.outgoing.batch_len();
        let turn = pipe.read(fence, most, budget, self.outgoing.batch(), &mut self.polling.waste);
        self.outgoing.grew_from(before, by);
        turn
    }

    fn ring_alarms(&mut self, now: u64) {
        while let Some(slot) = self.tasks.take_due(now) {
            let Some(task) = self.tasks.get(slot) else { continue };
            task.ring(now);
            let due = task.due();
            self.tasks.set_alarm(slot, due);
            self.settle(slot, now);
        }
    }

    fn look_for_orphans(&mut self, now: u64) {
        if now >= self.polling.orphans_at && !self.tasks.is_empty() {
            self.polling.orphans_at = now + ORPHANS_EVERY_US;
            self.sweep_orphans();
        }
    }
}
