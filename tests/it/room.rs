//! A directory with pipelines and the real program at work in it, as a person's terminals have it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value as Json;

/// Whatever is waited for comes long before; beyond it a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The second step notes in `ran` that it runs, and waits for a file `go`.
pub const TWO_STEPS: &str = "
steps:
  one: {command: 'echo value=first >> $DAGMAR_OUTPUT; echo said by one'}
  two: {needs: [one], command: 'echo two >> ran; until [ -e go ]; do sleep 0.01; done'}
";

/// Everything in it, processes too, goes with it.
pub struct Room {
    dir: PathBuf,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A process of the program that goes on.
pub struct Working {
    child: Child,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
}

impl Room {
    pub fn new() -> Room {
        static ROOMS: AtomicU32 = AtomicU32::new(0);
        let number = ROOMS.fetch_add(1, Ordering::Relaxed);
        let name = format!("dagmar-it-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join("run")).expect("a temporary directory can be made");
        let dir = dir.canonicalize().expect("it is there");
        Room { dir }
    }

    /// With one pipeline, `pipeline.yaml`.
    pub fn with(pipeline: &str) -> Room {
        let room = Room::new();
        room.write("pipeline.yaml", pipeline);
        room
    }

    /// With two runs of [`TWO_STEPS`] or the like: `other` has ended, and `r` stands still, for its
    /// owner was killed during the second step. Whoever goes on with it is not held up.
    pub fn interrupted(pipeline: &str) -> Room {
        let room = Room::with(pipeline);
        room.write("go", "");
        assert_eq!(room.dagmar(&["run", "--run-id", "other"]).code, Some(0));
        room.remove("go");
        room.remove("ran");
        let owner = room.begin("r");
        until("the second step runs", || (room.read("ran") == "two\n").then_some(()));
        owner.signal(Signal::KILL);
        owner.end();
        room.until_nothing_runs();
        room.write("go", "");
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the room can be written");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("it is there");
    }

    /// Empty where there is no such file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Empty where there is no such file.
    pub fn read_bytes(&self, dir: &str, name: &str) -> Vec<u8> {
        fs::read(self.path(dir).join(name)).unwrap_or_default()
    }

    /// What lies in a directory, hidden names aside.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// The runs that have a live directory.
    pub fn live(&self) -> Vec<String> {
        self.names(".dagmar/live")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-dagmar"));
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env_remove("DAGMAR_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn dagmar(&self, arguments: &[&str]) -> Said {
        self.start(arguments).end()
    }

    pub fn start(&self, arguments: &[&str]) -> Working {
        let mut child = self.command(arguments).spawn().expect("the program starts");
        let (out, err) = (child.stdout.take(), child.stderr.take());
        Working { child, out: out.map(reader), err: err.map(reader) }
    }

    /// A live run under this name, taken up by its process.
    pub fn begin(&self, run: &str) -> Working {
        let working = self.start(&["run", "--run-id", run]);
        let log = self.path(&format!(".dagmar/live/{run}/log/log.redb"));
        until("the run begins", || log.exists().then_some(()));
        working
    }

    /// The run log; None where `show` fails.
    pub fn record(&self, run: &str) -> Option<Json> {
        let said = self.dagmar(&["show", run, "-o", "json"]);
        (said.code == Some(0)).then(|| serde_json::from_str(&said.out).expect("stdout is JSON"))
    }

    /// Processes at work in this room, zombies aside.
    pub fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let here = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&self.dir))
        };
        pids.filter(here).collect()
    }

    /// Those among them that a first argument tells apart.
    pub fn processes_of(&self, argument: &str) -> Vec<u32> {
        let is_one = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(argument.as_bytes())
        };
        self.processes().into_iter().filter(is_one).collect()
    }

    pub fn until_nothing_runs(&self) {
        until("no process is left", || self.processes().is_empty().then_some(()));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Only what a failed test left; by their ids, until nothing is.
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|pid| signal(pid, Signal::KILL));
            sleep(BETWEEN_LOOKS);
        }
        // What cannot be removed stays in the directory for such things.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Working {
    pub fn signal(&self, what: Signal) {
        signal(self.child.id(), what);
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub fn end(mut self) -> Said {
        let status = until("the process ends", || self.child.try_wait().expect("it is ours"));
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map_or_else(String::new, |reader| reader.join().expect("a reader reads"))
        };
        let (out, err) = (text(self.out.take()), text(self.err.take()));
        Said { code: status.code(), out, err }
    }
}

/// Ends a process by its id; one that is gone is as good.
pub fn signal(pid: u32, what: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, what);
    }
}

/// Looks again and again until there is something.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(BETWEEN_LOOKS);
    }
}

pub fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("examples").join(name).display().to_string()
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
