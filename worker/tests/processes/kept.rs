//! A supervisor whose daemon is gone: tasks go on, are found again, and exclusive ones do not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use dagmar_common::graph::{Care, Task};
use dagmar_common::lease::Start;
use dagmar_common::time::BootTime;
use dagmar_supervisor::protocol::{Event, Held, Request, RequestBatch, Spawn};
use dagmar_supervisor::{clock, family, packed::Packed};
use dagmar_worker::supervisor::{Mark, Said, Supervisor, Tie, kill_marked, this_program};

use crate::world::{World, eventually, script};

/// The role of a daemon that will be killed: `__daemon ROOT MARK WAIT_MS`.
pub const DAEMON: &str = "__daemon";

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND_US: u64 = 1_000_000;
/// Of each daemon's supervisor; every task here wants 1,000.
const CPUS: u32 = 4_000;

/// A daemon that only passes on requests, and says in words what it hears.
struct Daemon {
    supervisor: Supervisor,
    heard: Receiver<String>,
    held: Vec<Held>,
}

impl Daemon {
    fn start(place: &Place) -> Self {
        let (tell, heard) = channel();
        let supervisor = Supervisor::start(
            &this_program(),
            place.mark.clone(),
            CPUS,
            &place.tie(),
            move |said| {
                word_of(said).map(|word| tell.send(word));
            },
        );
        Daemon { supervisor: supervisor.unwrap(), heard, held: Vec::new() }
    }

    fn adopt(place: &Place) -> Self {
        let (tell, heard) = channel();
        let adopted = Supervisor::adopt(place.mark.clone(), CPUS, &place.tie(), move |said| {
            word_of(said).map(|word| tell.send(word));
        });
        let (supervisor, held) = adopted.unwrap();
        Daemon { supervisor, heard, held }
    }

    fn asks(&self, requests: &[Request<'_>]) {
        let mut batch = RequestBatch::default();
        requests.iter().for_each(|request| batch.push(request));
        self.supervisor.send(&batch).unwrap();
    }

    fn spawns(&self, place: &Place, fence: u64, exclusive: bool, text: &str) {
        let (mut environment, mut words) = (Packed::new(), Packed::new());
        let (mut own, mut directory) = (Packed::new(), Packed::new());
        environment.push_entry("PATH", b"/usr/bin:/bin");
        own.push_entry("DAGMAR_FENCE", fence.to_string().as_bytes());
        ["/bin/sh", "-c", text].iter().for_each(|word| assert!(words.push(word.as_bytes())));
        directory.push(place.root.as_os_str().as_encoded_bytes());
        self.asks(&[
            Request::Environment { number: 1, over: None, entries: environment.view() },
            Request::Spawn(Spawn {
                fence,
                environment: 1,
                additions: own.view(),
                directory: directory.view(),
                words: words.view(),
                time_limit_us: None,
                grace_us: SECOND_US,
                output_max: 1 << 20,
                exclusive,
                cpu_millis: 1_000,
            }),
        ]);
    }

    /// Until `word` is heard; what came before it.
    #[track_caller]
    fn hears(&self, word: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(heard) if heard == word => return before,
                Ok(heard) => before.push(heard),
                Err(error) => panic!("{word}: {error}; heard {before:?}"),
            }
        }
    }

    /// One that has ended is among them if its supervisor has not looked since.
    fn listed(&self) -> Vec<u64> {
        let mut fences: Vec<u64> = self.held.iter().map(|held| held.fence).collect();
        fences.sort();
        fences
    }
}

fn word_of(said: Said<'_>) -> Option<String> {
    Some(match said {
        Said::Event(Event::Started(started)) => format!("started {}", started.fence),
        Said::Event(Event::Exited(exited)) => {
            format!("{} {:?} {:?}", exited.fence, exited.exit, exited.cause)
        }
        Said::Event(Event::Output { fence, bytes, .. }) => {
            format!("{fence} says {}", String::from_utf8_lossy(bytes).trim())
        }
        Said::Event(Event::NeverBegan { fence }) => format!("{fence} never began"),
        Said::Event(Event::Refused { fence, started }) => format!("{fence} refused {started}"),
        Said::Event(Event::NotStarted { fence, .. }) => format!("{fence} not started"),
        Said::Event(Event::Welcome { .. } | Event::Held(_)) | Said::Pause => return None,
        Said::Closed { .. } => "closed".into(),
        Said::Superseded => "superseded".into(),
    })
}

/// Where one supervisor is found, by all of its daemons.
struct Place {
    root: PathBuf,
    mark: Mark,
    wait: Duration,
}

impl Place {
    fn new(wait: Duration) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("dagmar-kept-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        Place { root, mark: Mark::random().unwrap(), wait }
    }

    fn tie(&self) -> Tie {
        Tie::Outlives { socket: self.root.join("socket"), wait: self.wait }
    }

    /// A daemon in a process of its own, with its tasks 1 (exclusive) to 3 at work.
    fn daemon(&self) -> Child {
        let wait = self.wait.as_millis().to_string();
        let child = Command::new("/proc/self/exe")
            .args([DAEMON, self.root.to_str().unwrap(), &self.mark.0, &wait])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let up = self.file("up");
        eventually("the daemon is up", || up.exists());
        child
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Processes of that trial, wherever they hide.
    fn alive(&self, fence: u64) -> usize {
        let ours = |pid: &u32| {
            let marks = family::marks_of(*pid);
            marks.fence == Some(fence)
                && marks.supervisor.as_deref() == Some(self.mark.0.as_bytes())
        };
        let lives = |pid: &u32| family::show(*pid).is_some_and(|shown| !shown.zombie);
        family::everyone().filter(ours).filter(lives).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        kill_marked(&self.mark, Duration::from_secs(5));
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub fn daemon(arguments: &[String]) -> ExitCode {
    let [root, mark, wait] = arguments else { return ExitCode::FAILURE };
    let wait = Duration::from_millis(wait.parse().unwrap());
    let place = Place { root: Path::new(root).to_owned(), mark: Mark(mark.clone()), wait };
    let daemon = Daemon::start(&place);
    daemon.asks(&[Request::Deadline { at_us: clock::boot_us() + 3_600 * SECOND_US }]);
    daemon.spawns(&place, 1, true, "(setsid sleep 1000 &); sleep 1000 & exec sleep 1000");
    daemon.spawns(&place, 2, false, "while [ ! -e go ]; do sleep 0.01; done; echo went; exit 7");
    daemon.spawns(&place, 3, false, "exec sleep 1000");
    for _ in 0..3 {
        assert!(daemon.heard.recv_timeout(PATIENCE).unwrap().starts_with("started "));
    }
    std::fs::File::create(place.file("up")).unwrap().flush().unwrap();
    std::thread::sleep(Duration::from_secs(1_000));
    std::mem::forget(place);
    ExitCode::SUCCESS
}

fn end(mut daemon: Child) {
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

pub fn a_killed_daemon_is_followed_by_another() {
    let place = Place::new(PATIENCE);
    end(place.daemon());
    // It ends, and says so, while nobody listens.
    std::fs::write(place.file("go"), "").unwrap();
    eventually("the second task has ended", || place.alive(2) == 0);
    let mut first = Daemon::adopt(&place);
    first.held.retain(|held| held.fence != 2);
    assert_eq!(first.listed(), [1, 3]);
    assert!(first.held.iter().all(|held| {
        held.began.is_some_and(|began| family::show(began.pid).is_some_and(|shown| !shown.zombie))
    }));
    assert_eq!(first.hears("2 Code(7) Itself"), ["2 says went"]);
    first.spawns(&place, 3, false, "touch twice");
    first.hears("3 refused true");
    drop(first);
    // Nobody has said that he has it where it is safe: the next one hears it again, once.
    let second = Daemon::adopt(&place);
    assert_eq!(second.listed(), [1, 3]);
    assert!(second.hears("2 Code(7) Itself").is_empty());
    second.asks(&[Request::Heard { fence: 2 }, Request::Kill { fence: 1 }]);
    second.hears("1 Signal(9) Killed");
    drop(second);
    let third = Daemon::adopt(&place);
    assert_eq!(third.listed(), [3]);
    assert_eq!(third.hears("1 Signal(9) Killed").len(), 0);
    third.supervisor.shut_down(Duration::from_secs(20));
    third.hears("3 Signal(15) Shutdown");
    assert_eq!(place.alive(3), 0);
    assert!(!place.file("twice").exists());
}

pub fn a_second_daemon_takes_over_from_the_first() {
    let place = Place::new(PATIENCE);
    let first = Daemon::start(&place);
    first.spawns(&place, 1, false, "exec sleep 1000");
    first.hears("started 1");
    let second = Daemon::adopt(&place);
    assert_eq!(second.listed(), [1]);
    first.hears("superseded");
    // Its words reach nobody: what it asks for now is never started.
    let mut batch = RequestBatch::default();
    batch.push(&Request::Kill { fence: 1 });
    let _ = first.supervisor.send(&batch);
    second.asks(&[Request::Stop { fence: 1, grace_us: SECOND_US }]);
    second.hears("1 Signal(15) Stopped");
    second.supervisor.shut_down(Duration::from_secs(1));
}

pub fn without_any_daemon_all_ends_in_time() {
    let place = Place::new(Duration::from_millis(300));
    end(place.daemon());
    eventually("the supervisor gave up", || (1..=3).all(|fence| place.alive(fence) == 0));
    let socket = place.file("socket");
    eventually("it is gone itself", || std::os::unix::net::UnixStream::connect(&socket).is_err());
}

pub fn an_exclusive_task_lives_under_its_deadline() {
    let place = Place::new(PATIENCE);
    let daemon = Daemon::start(&place);
    daemon.spawns(&place, 1, true, "touch began");
    daemon.hears("1 never began");
    daemon.asks(&[Request::Deadline { at_us: clock::boot_us() + SECOND_US - 1 }]);
    daemon.spawns(&place, 2, true, "touch began");
    daemon.hears("2 never began");
    daemon.asks(&[Request::Deadline { at_us: clock::boot_us() + 60 * SECOND_US }]);
    // An older one takes nothing back.
    daemon.asks(&[Request::Deadline { at_us: 1 }]);
    daemon.spawns(&place, 3, true, "trap '' TERM; touch up; while true; do sleep 0.1; done");
    daemon.spawns(&place, 4, false, "exec sleep 1000");
    daemon.hears("started 3");
    drop(daemon);
    let up = place.file("up");
    eventually("it is up", || up.exists());
    // The daemon that comes has less time for it, and dies before anybody acknowledged anything.
    let place_of_next = Place { root: place.root.clone(), mark: place.mark.clone(), ..place };
    let next = Daemon::adopt(&place_of_next);
    assert_eq!(next.listed(), [3, 4]);
    assert!(!place_of_next.file("began").exists());
    drop(next);
    assert!(place_of_next.alive(3) > 0, "its deadline lies ahead");
    let short = Place::new(PATIENCE);
    let daemon = Daemon::start(&short);
    daemon.asks(&[Request::Deadline { at_us: clock::boot_us() + 5 * SECOND_US }]);
    daemon.spawns(&short, 3, true, "trap '' TERM; touch up; while true; do sleep 0.1; done");
    daemon.spawns(&short, 4, false, "exec sleep 1000");
    daemon.hears("started 3");
    drop(daemon);
    eventually("it is killed although it ignores TERM", || short.alive(3) == 0);
    let mut next = Daemon::adopt(&short);
    next.held.retain(|held| held.fence != 3);
    assert_eq!(next.listed(), [4], "what is not exclusive goes on");
    next.hears("3 Signal(9) Deadline");
    next.supervisor.shut_down(Duration::from_secs(1));
}

/// What waits for cpus is listed as not begun, and looks at its deadline when it has them.
pub fn what_waits_is_found_too() {
    let place = Place::new(PATIENCE);
    let first = Daemon::start(&place);
    let deadline = clock::boot_us() + 3 * SECOND_US;
    first.asks(&[Request::Deadline { at_us: deadline }]);
    for fence in 1..=4 {
        first.spawns(&place, fence, false, "exec sleep 1000");
        first.hears(&format!("started {fence}"));
    }
    first.spawns(&place, 5, true, "touch began");
    first.spawns(&place, 6, false, "exec sleep 1000");
    // Both were read.
    first.spawns(&place, 6, false, "exec sleep 1000");
    first.hears("6 refused true");
    drop(first);
    let second = Daemon::adopt(&place);
    assert_eq!(second.listed(), [1, 2, 3, 4, 5, 6]);
    let waits = |held: &&Held| held.began.is_none();
    let waiting: Vec<u64> = second.held.iter().filter(waits).map(|held| held.fence).collect();
    assert!(waiting.contains(&5) && waiting.contains(&6) && waiting.len() == 2, "{waiting:?}");
    eventually("its deadline is over", || clock::boot_us() > deadline);
    second.asks(&[Request::Stop { fence: 1, grace_us: SECOND_US }]);
    second.hears("5 never began");
    second.hears("started 6");
    drop(second);
    let third = Daemon::adopt(&place);
    third.hears("5 never began");
    assert!(!place.file("began").exists());
    third.supervisor.shut_down(Duration::from_secs(20));
}

/// The same through the executor: stopped by us, so there is no outcome.
pub fn an_exclusive_trial_is_returned_at_its_deadline() {
    let place = Place::new(PATIENCE);
    let mut world = World::with(|config| config.tie = place.tie());
    world.run(&[exclusive(script(1, "touch began"))]);
    assert!(!world.returned(1), "nobody was heard yet");
    let until = |seconds| BootTime(clock::boot_us() + seconds * SECOND_US);
    world.executor().hold(until(5));
    world.run(&[exclusive(script(2, "exec sleep 1000")), script(3, "exec sleep 1000")]);
    world.begun(2);
    world.begun(3);
    assert!(world.returned(2));
    assert_eq!(world.alive().len(), 1);
    assert!(!world.file("began").exists());
    world.executor().shut_down();
    assert!(world.returned(3));
}

fn exclusive(mut start: Start) -> Start {
    let care = Care { exclusive: true, once: false };
    start.task = Arc::new(Task { care, ..(*start.task).clone() });
    start
}

/// Daemon and supervisor die at one moment: nobody is left who would hold a deadline.
pub fn an_exclusive_task_does_not_outlive_both() {
    let place = Place::new(PATIENCE);
    let daemon = place.daemon();
    let supervisor = family::tree(daemon.id()).into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"dagmar-supervisor\0")
    });
    let supervisor = supervisor.unwrap();
    eventually("the tree has grown", || place.alive(1) >= 3);
    // Stopped first, so that it cannot do what it would.
    let pid = family::to_pid(supervisor).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    end(daemon);
    family::kill(supervisor);
    eventually("no process of the exclusive task is left", || place.alive(1) == 0);
    assert_eq!(place.alive(3), 1, "the others wait to be swept");
    assert!(kill_marked(&place.mark, Duration::from_secs(5)) >= 2);
}
