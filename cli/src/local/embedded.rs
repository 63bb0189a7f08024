//! The cluster of one live run in this process: one replica, one worker, joined by a channel.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use dagmar_common::ids::{Fence, Incarnation, Session, StreamNo, WorkerId};
use dagmar_common::lease::{Held, HeldAs, LogPlace, Numbered, ToWorker};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{Change, Detail, Stream};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator::clock;
use dagmar_coordinator::disk::Disk;
use dagmar_coordinator::driver::{Driver, DriverError, Parts, Snapshotting};
use dagmar_coordinator::handle::{Handle, Input};
use dagmar_coordinator::links::Links;
use dagmar_coordinator::services::{Here, Live, Logs, Runs};
use dagmar_coordinator_core::command::WorkerHello;
use dagmar_member::{FromStream, Member, MemberConfig, SHELL_STREAMS_FROM, SnapshotRule};
use dagmar_replica::ReplicaConfig;
use dagmar_worker::executor::process::Config;
use dagmar_worker::logs::segments::Segments;
use dagmar_worker::shell::{Said, Shell};
use dagmar_worker_core::Identity;

use super::store::{OpenLog, REPLICA};
use super::{damage, still};
use crate::wiring::{Engine, Opening};

/// Between two writes of what running tasks have said so far.
const CHECKPOINT_EVERY: Span = Span::from_secs(1);

/// So long a driver that has shut its door may take to say why.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

const SUPERVISOR_LOST: &str =
    "the supervisor process died, and what it ran with it; those steps run again if they may";

/// Set when the driver has ended, to what went wrong if anything did.
type Ended = OnceLock<Option<String>>;

/// Where a run lives, and what its tasks run in.
#[derive(Clone, Debug)]
pub struct Place {
    /// Of this run alone.
    pub directory: PathBuf,
    pub project: PathBuf,
}

/// A cluster at work. Dropped, it stops: what was acknowledged stays on the disk.
pub struct Embedded {
    handle: Handle,
    segments: Arc<Segments>,
    ended: Arc<Ended>,
    notices: Receiver<&'static str>,
    driver: Option<JoinHandle<()>>,
}

impl Embedded {
    pub fn open(place: &Place, opening: Opening) -> Result<Embedded, Problem> {
        let (handle, inputs) = Handle::new();
        let log = match opening {
            Opening::New => OpenLog::begin(&place.directory)?,
            Opening::Resume => {
                still::check_records(&place.directory)?;
                OpenLog::read(&place.directory)?
            }
        };
        let identity = identity(&log);
        let (cpus, incarnation) = (identity.cpu_millis / 1_000, identity.incarnation.number);
        tracing::debug!(?opening, cpus, incarnation, "its cluster opens");
        // The supervisor is this program again, small, however much this one holds.
        let config = Config::in_place(place.directory.clone(), place.project.clone());
        let waker = handle.clone();
        let wake = move || {
            // A driver that has stopped needs no waking.
            let _ = waker.wake();
        };
        let shell =
            Shell::start(identity.clone(), config, wake).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => damage::of_records(&place.directory, &error),
                _ => cannot_start("start its supervisor process", &error),
            })?;
        let segments = shell.processes().logs().clone();
        let gone = |fence: &Fence| Held { fence: *fence, state: HeldAs::Gone };
        let left = shell.processes().left().iter().map(gone).collect();
        let (sender, notices) = unbounded();
        let (links, worker) = (InProcess::new(shell, sender), introduction(identity, left));
        let ended = Arc::default();
        let driver = Work { log, handle: handle.clone(), inputs, links, worker };
        let driver = driver.start(&ended)?;
        Ok(Embedded { handle, segments, ended, notices, driver: Some(driver) })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends driver, disk and supervisor, in this order, and waits for each.
    pub fn stop(&mut self) {
        self.handle.stop();
        if let Some(driver) = self.driver.take()
            && driver.join().is_err()
        {
            self.ended.get_or_init(|| Some("its driver panicked".to_owned()));
        }
    }

    fn here(&self) -> Here {
        let ended = self.ended.clone();
        // Whoever asks has met a door that was shut, a moment before the driver said why.
        let broken = move || {
            let asked = Instant::now();
            while ended.get().is_none() && asked.elapsed() < LAST_WORD_WITHIN {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            ended.get().cloned().flatten()
        };
        let logs = WorkerLogs(self.segments.clone());
        Here::new(self.handle.clone(), Arc::new(logs), broken)
    }

    pub fn failure(&self) -> Option<String> {
        self.ended.get().cloned().flatten()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Engine for Embedded {
    fn runs(&self) -> Arc<dyn Runs> {
        Arc::new(self.here())
    }

    fn follow(&self, detail: Detail) -> Result<Receiver<Change>, Problem> {
        self.here().follow(detail)
    }

    fn notices(&self) -> Receiver<&'static str> {
        self.notices.clone()
    }

    fn kill(&self) {
        // The worker goes with the driver, and its supervisor kills what it runs.
        self.handle.stop();
    }

    fn close(mut self: Box<Self>) {
        self.stop();
    }
}

/// A worker's id is born with the log that it lives beside; each start is a new incarnation, and
/// its term is durable together with its hello.
fn identity(log: &OpenLog) -> Identity {
    Identity {
        worker: WorkerId(log.owner.storage.0),
        incarnation: Incarnation {
            number: log.recovered.hard_state.term.0 + 1,
            nonce: u64::from(std::process::id()),
        },
        name: "local".to_owned(),
        cpu_millis: cpu_millis(),
        labels: Vec::new(),
    }
}

/// What the worker of a local run offers.
pub fn cpu_millis() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cpus.saturating_mul(1_000)).unwrap_or(u32::MAX)
}

/// Everything that goes to the driver's thread.
struct Work {
    log: OpenLog,
    handle: Handle,
    inputs: Receiver<Input>,
    links: InProcess,
    worker: WorkerHello,
}

impl Work {
    fn start(self, ended: &Arc<Ended>) -> Result<JoinHandle<()>, Problem> {
        let ended = ended.clone();
        let drive = move || {
            let failure = self.drive().err().map(|error| error.to_string());
            // The only one who sets it before the driver is joined.
            let _ = ended.set(failure);
        };
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(drive);
        thread.map_err(|error| cannot_start("start a thread", &error))
    }

    fn drive(self) -> Result<(), DriverError> {
        let Work { log, handle, inputs, links, worker } = self;
        let OpenLog { log, snapshots, recovered, state, is_new, .. } = log;
        let now = clock::now();
        let seed = now.boot.0;
        let config = MemberConfig {
            replica: ReplicaConfig { id: REPLICA, seed, boot_nonce: seed },
            lost_after: None,
            within: Some(worker),
            snapshots: SnapshotRule::default(),
        };
        let member = Member::new(config, recovered, state, now)
            .map_err(|error| DriverError::Disk(error.to_string()))?;
        let disk = Disk::start(log, handle.clone()).map_err(DriverError::Links)?;
        let snapshots = Snapshotting::new(Box::new(snapshots), handle);
        let parts = Parts { member, disk, snapshots, waits_for_first: is_new, links };
        Driver::new(parts, inputs).run()
    }
}

/// The stream of a worker in this process.
struct InProcess {
    shell: Shell,
    notices: Sender<&'static str>,
    said: Vec<Said>,
    opened: Vec<StreamNo>,
    closed: Vec<StreamNo>,
    /// They meet over this one.
    stream: StreamNo,
    next_stream: u64,
    checkpoint: BootTime,
}

impl InProcess {
    fn new(shell: Shell, notices: Sender<&'static str>) -> InProcess {
        InProcess {
            shell,
            notices,
            said: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            stream: StreamNo(SHELL_STREAMS_FROM),
            next_stream: SHELL_STREAMS_FROM,
            checkpoint: clock::boot() + CHECKPOINT_EVERY,
        }
    }

    /// The agent left this stream, or the leader closed it: they meet again over another. Not if
    /// both did, and have met: each stream would drive out the one before it, for ever.
    fn ended(&mut self, stream: StreamNo) {
        if stream != self.stream {
            return;
        }
        self.next_stream += 1;
        self.stream = StreamNo(self.next_stream);
        self.opened.push(self.stream);
        self.shell.connected(self.stream, None);
    }
}

/// What stands of the worker in the first entry of each leadership; the first of them says what
/// was `left` by an earlier life.
fn introduction(identity: Identity, left: Vec<Held>) -> WorkerHello {
    WorkerHello {
        worker: identity.worker,
        incarnation: identity.incarnation,
        name: identity.name,
        cpu_millis: identity.cpu_millis,
        labels: identity.labels,
        held: left,
        born_ready: None,
        lost_after: None,
    }
}

impl Links for InProcess {
    fn born_ready(&mut self, stream: StreamNo, session: Session) {
        self.stream = stream;
        self.shell.connected(stream, Some(session));
    }

    fn send(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        self.shell.received(stream, message);
    }

    fn close(&mut self, stream: StreamNo) {
        self.shell.disconnected(stream);
        self.ended(stream);
    }

    fn exchange(&mut self, arrived: &mut Vec<(StreamNo, FromStream)>) -> io::Result<()> {
        let now = clock::now();
        self.shell.turn(now, &mut self.said)?;
        arrived.extend(self.opened.drain(..).map(|stream| (stream, FromStream::Opened)));
        for said in std::mem::take(&mut self.said) {
            match said {
                Said::Message { stream, message } => {
                    arrived.push((stream, FromStream::Message(message)));
                }
                Said::Left { stream } => self.closed.push(stream),
                Said::SupervisorLost => {
                    // Whoever does not follow its run does not read them.
                    let _ = self.notices.send(SUPERVISOR_LOST);
                }
            }
        }
        for stream in std::mem::take(&mut self.closed) {
            arrived.push((stream, FromStream::Closed));
            self.ended(stream);
        }
        if now.boot >= self.checkpoint {
            self.checkpoint = now.boot + CHECKPOINT_EVERY;
            self.shell.checkpoint();
        }
        Ok(())
    }

    fn wakes_at(&self) -> Option<BootTime> {
        Some(self.shell.wakes_at().map_or(self.checkpoint, |at| at.min(self.checkpoint)))
    }
}

/// The output of attempts, from the segments of the worker in this process.
struct WorkerLogs(Arc<Segments>);

impl Logs for WorkerLogs {
    fn read(
        &self,
        place: &LogPlace,
        take: &mut dyn FnMut(Stream, &[u8]) -> bool,
    ) -> Result<(), Problem> {
        super::logs::read(&self.0.directory(), place, take)
    }

    fn live(&self, fence: Fence, from: u64) -> Result<Option<Live>, Problem> {
        let live = self.0.read_live(fence, from, super::logs::PIECE_BYTES);
        let live = live.map_err(|error| super::logs::unreadable(&self.0.directory(), &error))?;
        Ok(live.map(|live| {
            let pieces = live.pieces.into_iter();
            let pieces = pieces.map(|(stream, bytes)| (super::logs::stream(stream), bytes));
            Live { pieces: pieces.collect(), next: live.next }
        }))
    }
}

const FEWER_PROCESSES: &str = "fewer processes of this user, or a higher `ulimit -u`";

fn cannot_start(what: &str, error: &io::Error) -> Problem {
    let problem = Problem::new(Code::Storage, format!("this process cannot {what}"))
        .because(error.to_string());
    match error.kind() {
        io::ErrorKind::WouldBlock => problem.try_this(FEWER_PROCESSES),
        // It was there and went away before its first word.
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            problem.because("it ended at once").try_this(FEWER_PROCESSES)
        }
        _ => problem,
    }
}
