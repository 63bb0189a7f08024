//! The supervisor's client: starts it, writes requests, hears events on a thread of its own.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dagmar_supervisor::family;
use dagmar_supervisor::protocol::{Event, Frames, OnClose, Request, RequestBatch};
use rustix::process::WaitOptions;
use tracing::warn;

/// How long processes of a supervisor that died are looked for, killed and waited for.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);

/// What a listener hears.
#[derive(Debug)]
pub enum Said<'a> {
    Event(Event<'a>),
    /// Nothing more has arrived: what was heard can be passed on.
    Pause,
    /// The last thing heard. Nothing that this supervisor started runs any more.
    Closed {
        asked: bool,
    },
}

/// A running supervisor. Dropped, it kills what it runs.
pub struct Supervisor {
    socket: UnixStream,
    /// Requests are written whole, one batch after another.
    writing: Mutex<()>,
    child: Mutex<Option<Child>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    closing: Arc<AtomicBool>,
    mark: Mark,
}

/// The mark that every process of one supervisor carries: random, so that it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(pub String);

impl Mark {
    pub fn random() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        Ok(Mark(text.trim().to_owned()))
    }
}

/// This very program, also where its file was replaced meanwhile.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

impl Supervisor {
    /// Starts `program` as supervisor of tasks that have `cpu_millis` together, and returns at
    /// once: requests may follow before it is up.
    pub fn start(
        program: &Path,
        mark: Mark,
        cpu_millis: u32,
        listen: impl FnMut(Said<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        // If the supervisor dies, its processes become ours, and can be found and ended.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg0("dagmar-supervisor")
            .arg(dagmar_supervisor::ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Whoever waits for the end of our own streams must not wait for it too.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let closing = Arc::new(AtomicBool::new(false));
        let reader =
            Reader { socket: ours.try_clone()?, mark: mark.clone(), closing: closing.clone() };
        let reader = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || reader.read(listen))?;
        let supervisor = Supervisor {
            socket: ours,
            writing: Mutex::default(),
            child: Mutex::new(Some(child)),
            reader: Mutex::new(Some(reader)),
            closing,
            mark: mark.clone(),
        };
        let mut hello = RequestBatch::default();
        let mark = mark.0.as_bytes();
        hello.push(&Request::Hello { on_close: OnClose::Kill, cpu_millis, mark });
        supervisor.send(&hello)?;
        Ok(supervisor)
    }

    /// An error means that the supervisor is gone; the listener hears of it too.
    pub fn send(&self, batch: &RequestBatch) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.socket).write_all(batch.bytes())
    }

    /// Stops everything, TERM first, and waits until nothing is left.
    pub fn shut_down(&self, grace: Duration) {
        self.closing.store(true, Ordering::Relaxed);
        let mut batch = RequestBatch::default();
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
        batch.push(&Request::Shutdown { grace_us });
        if self.send(&batch).is_ok() {
            self.join();
        }
    }

    fn join(&self) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Not from the listener itself, which may hold the last reference.
        if let Some(reader) = reader
            && reader.thread().id() != std::thread::current().id()
            && reader.join().is_err()
        {
            warn!("the listener of the supervisor panicked");
        }
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that ends as it should leaves nothing, and a search of /proc takes milliseconds.
        if let Some(mut child) = child
            && !child.wait().is_ok_and(|status| status.success())
        {
            kill_marked(&self.mark, SWEEP_WITHIN);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // It reads the end of the stream, kills, and closes its side when nothing is left.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.join();
    }
}

struct Reader {
    socket: UnixStream,
    mark: Mark,
    closing: Arc<AtomicBool>,
}

impl Reader {
    fn read(mut self, mut listen: impl FnMut(Said<'_>)) {
        let mut frames = Frames::default();
        loop {
            match frames.read_from(&self.socket) {
                Ok(0) => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => {
                    warn!("cannot read from the supervisor: {errno}");
                    break;
                }
            }
            if !self.take(&mut frames, &mut listen) {
                break;
            }
            listen(Said::Pause);
        }
        let asked = self.closing.load(Ordering::Relaxed);
        if !asked {
            warn!("the supervisor ended; killing what it ran");
            // It may live and only speak nonsense: then this ends it.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        while matches!(self.socket.read(&mut [0; 4096]), Ok(1..)) {}
        if !asked {
            kill_marked(&self.mark, SWEEP_WITHIN);
        }
        listen(Said::Closed { asked });
    }

    /// False if the rest cannot be understood.
    fn take(&self, frames: &mut Frames, listen: &mut impl FnMut(Said<'_>)) -> bool {
        loop {
            match frames.next_body().map(|body| body.map(Event::read)) {
                Ok(None) => return true,
                Ok(Some(Ok(event))) => listen(Said::Event(event)),
                Ok(Some(Err(malformed))) | Err(malformed) => {
                    warn!("the supervisor sent {malformed}");
                    return false;
                }
            }
        }
    }
}

/// Kills every process that carries `mark`, again until none is left; how many there were.
pub fn kill_marked(mark: &Mark, within: Duration) -> usize {
    let give_up_at = Instant::now() + within;
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let mut left = false;
        for root in family::everyone() {
            if family::marks_of(root).supervisor.as_deref() != Some(mark.0.as_bytes()) {
                continue;
            }
            for pid in family::tree(root) {
                left = true;
                killed.insert(pid);
                family::kill(pid);
            }
        }
        // Some may have become ours. One that does not end now is not waited for.
        for pid in killed.iter().copied().filter_map(family::to_pid) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if !left || Instant::now() >= give_up_at {
            return killed.len();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
