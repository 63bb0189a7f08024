//! The supervisor's client: starts or finds it, writes requests, hears events on its own thread.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dagmar_supervisor::family;
use dagmar_supervisor::protocol::{Event, Frames, Held, OnClose, Request, RequestBatch};
use rustix::process::WaitOptions;
use tracing::{debug, warn};

/// How long processes of a supervisor that died are looked for, killed and waited for.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);

/// A supervisor that does not answer by then hangs, and is no better than none.
const ADOPTED_WITHIN: Duration = Duration::from_secs(10);

/// A process that has closed its files is gone, at the latest, after this.
const DYING_WITHIN: Duration = Duration::from_millis(500);

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
    /// The last thing heard: another daemon is here, and what runs is its.
    Superseded,
}

/// A running supervisor. Dropped, it kills what it runs, or goes on without us, as it was told.
pub struct Supervisor {
    socket: UnixStream,
    /// Requests are written whole, one batch after another.
    writing: Mutex<()>,
    child: Mutex<Option<Child>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    closing: Arc<AtomicBool>,
    mark: Mark,
    outlives: bool,
}

/// What becomes of a supervisor, and of what it runs, without its daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It ends, and everything with it.
    Dies,
    /// It waits for so long for a daemon that comes to this socket.
    Outlives { socket: PathBuf, wait: Duration },
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
        tie: &Tie,
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
            .stdout(tie.listener()?)
            .stderr(Stdio::null())
            .spawn()?;
        debug!(pid = child.id(), "a supervisor is started");
        let hello = tie.hello(&mark, cpu_millis);
        let supervisor = Supervisor::over(
            ours,
            (Frames::default(), child.id()),
            (mark, tie),
            Some(child),
            listen,
        )?;
        supervisor.send(&hello)?;
        Ok(supervisor)
    }

    /// Finds the supervisor that an earlier daemon left at its socket, and what it holds. What
    /// ended meanwhile is told next, and again to later daemons until [`Request::Heard`].
    pub fn adopt(
        mark: Mark,
        cpu_millis: u32,
        tie: &Tie,
        listen: impl FnMut(Said<'_>) + Send + 'static,
    ) -> io::Result<(Self, Vec<Held>)> {
        let Tie::Outlives { socket, .. } = tie else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no supervisor outlives its daemon",
            ));
        };
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let ours = UnixStream::connect(socket)?;
        let mut hello = tie.hello(&mark, cpu_millis);
        hello.push(&Request::List);
        (&ours).write_all(hello.bytes())?;
        ours.set_read_timeout(Some(ADOPTED_WITHIN))?;
        let mut frames = Frames::default();
        let (pid, held) = await_held(&ours, &mut frames)?;
        ours.set_read_timeout(None)?;
        let supervisor = Supervisor::over(ours, (frames, pid), (mark, tie), None, listen)?;
        Ok((supervisor, held))
    }

    fn over(
        ours: UnixStream,
        heard: (Frames, u32),
        (mark, tie): (Mark, &Tie),
        child: Option<Child>,
        listen: impl FnMut(Said<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let socket = ours.try_clone()?;
        let (mark_too, closing_too) = (mark.clone(), closing.clone());
        let (outlives, (frames, pid)) = (*tie != Tie::Dies, heard);
        let reader = Reader { socket, frames, pid, outlives, mark: mark_too, closing: closing_too };
        let reader = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || reader.read(listen))?;
        Ok(Supervisor {
            socket: ours,
            writing: Mutex::default(),
            child: Mutex::new(child),
            reader: Mutex::new(Some(reader)),
            closing,
            mark,
            outlives,
        })
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
        if self.outlives {
            // The next daemon is its parent's heir; nothing of it is waited for here.
            let _ = self.socket.shutdown(Shutdown::Both);
            self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.join();
            return;
        }
        // It reads the end of the stream, kills, and closes its side when nothing is left.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.join();
    }
}

impl Tie {
    fn listener(&self) -> io::Result<Stdio> {
        let Tie::Outlives { socket, .. } = self else { return Ok(Stdio::null()) };
        // Nobody answers there any more: whoever starts a supervisor has looked.
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Stdio::from(OwnedFd::from(UnixListener::bind(socket)?)))
    }

    fn hello(&self, mark: &Mark, cpu_millis: u32) -> RequestBatch {
        let on_close = match self {
            Tie::Dies => OnClose::Kill,
            Tie::Outlives { wait, .. } => {
                OnClose::Keep { for_us: u64::try_from(wait.as_micros()).unwrap_or(u64::MAX - 1) }
            }
        };
        let mut hello = RequestBatch::default();
        hello.push(&Request::Hello { on_close, cpu_millis, mark: mark.0.as_bytes() });
        hello
    }
}

/// What a supervisor says first to a daemon that found it.
fn await_held(socket: &UnixStream, frames: &mut Frames) -> io::Result<(u32, Vec<Held>)> {
    let mut speaker = 0;
    let no_supervisor = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    loop {
        match frames.next_body().map(|body| body.map(Event::read)) {
            Ok(Some(Ok(Event::Held(held)))) => return Ok((speaker, held)),
            Ok(Some(Ok(Event::Welcome { pid }))) => {
                speaker = pid;
                continue;
            }
            Ok(Some(Ok(other))) => return Err(no_supervisor(format!("{other:?} before its list"))),
            Ok(Some(Err(malformed))) | Err(malformed) => {
                return Err(no_supervisor(malformed.to_string()));
            }
            Ok(None) => {}
        }
        match frames.read_from(socket) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

struct Reader {
    socket: UnixStream,
    frames: Frames,
    /// Of the supervisor, once it said so.
    pid: u32,
    outlives: bool,
    mark: Mark,
    closing: Arc<AtomicBool>,
}

impl Reader {
    fn read(mut self, mut listen: impl FnMut(Said<'_>)) {
        let mut frames = std::mem::take(&mut self.frames);
        // What came along with the list.
        let mut goes_on = self.take(&mut frames, &mut listen);
        listen(Said::Pause);
        while goes_on {
            match frames.read_from(&self.socket) {
                Ok(0) => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => {
                    warn!("cannot read from the supervisor: {errno}");
                    break;
                }
            }
            goes_on = self.take(&mut frames, &mut listen);
            listen(Said::Pause);
        }
        let asked = self.closing.load(Ordering::Relaxed);
        if !asked && self.outlives && self.is_alive() {
            warn!("another daemon took over the supervisor");
            listen(Said::Superseded);
            return;
        }
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

    /// One that has closed its files and is not gone yet is given a moment.
    fn is_alive(&self) -> bool {
        let give_up_at = Instant::now() + DYING_WITHIN;
        while Instant::now() < give_up_at {
            if family::show(self.pid).is_none_or(|shown| shown.zombie) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// False if the rest cannot be understood.
    fn take(&mut self, frames: &mut Frames, listen: &mut impl FnMut(Said<'_>)) -> bool {
        loop {
            match frames.next_body().map(|body| body.map(Event::read)) {
                Ok(None) => return true,
                Ok(Some(Ok(Event::Welcome { pid }))) => self.pid = pid,
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
