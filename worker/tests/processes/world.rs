//! A worker's executor in a directory of its own, and words to run trials and look at the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use dagmar_common::graph::{Command, Function, Resources, Shell, Task};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo};
use dagmar_common::lease::{Outcome, Start, TrialName};
use dagmar_common::time::Span;
use dagmar_common::value::Value;
use dagmar_common::view::{Scope, View};
use dagmar_supervisor::family;
use dagmar_worker::executor::Report;
use dagmar_worker::executor::process::{Config, Processes};
use dagmar_worker::logs::{Stream, read};

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cpus of a world in which nothing waits for them.
pub const CPU_MILLIS: u32 = 1_000_000;

pub struct World {
    pub processes: Option<Processes>,
    pub root: PathBuf,
    reports: Receiver<Vec<Report>>,
    heard: Vec<Report>,
    /// In the environment of every process of this world.
    pub sign: String,
}

impl World {
    pub fn new() -> Self {
        World::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        World::of_cpus(CPU_MILLIS, change)
    }

    pub fn of_cpus(cpu_millis: u32, change: impl FnOnce(&mut Config)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let sign = format!("world-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(format!("dagmar-processes-{sign}"));
        std::fs::create_dir_all(root.join("here")).unwrap();
        let mut config = config(&root, &sign);
        change(&mut config);
        let (tell, reports) = channel();
        let processes = Processes::start(&config, cpu_millis, move |reports| {
            let _ = tell.send(reports);
        });
        World { processes: Some(processes.unwrap()), root, reports, heard: Vec::new(), sign }
    }

    pub fn executor(&self) -> &Processes {
        self.processes.as_ref().unwrap()
    }

    pub fn run(&mut self, starts: &[Start]) {
        let at_once = self.executor().run(starts);
        self.heard.extend(at_once);
    }

    /// The first report, now or later, that `wanted` takes.
    pub fn wait<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            for (place, report) in self.heard.iter().enumerate() {
                if let Some(found) = wanted(report) {
                    self.heard.remove(place);
                    return found;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let more = self.reports.recv_timeout(left);
            self.heard.extend(more.unwrap_or_else(|error| panic!("{error}: {:?}", self.heard)));
        }
    }

    pub fn begun(&mut self, fence: u64) {
        self.wait(|report| {
            matches!(report, Report::Begun(begun) if begun.fence.0 == fence).then_some(())
        });
    }

    pub fn outcome(&mut self, fence: u64) -> Outcome {
        self.wait(|report| match report {
            Report::Finished(outcome) if outcome.fence.0 == fence => Some(outcome.clone()),
            _ => None,
        })
    }

    /// Whether it had begun.
    pub fn returned(&mut self, fence: u64) -> bool {
        self.wait(|report| match report {
            Report::Returned { fence: found, started } if found.0 == fence => Some(*started),
            _ => None,
        })
    }

    /// Runs one script to its end.
    pub fn script(&mut self, fence: u64, text: &str) -> Outcome {
        self.run(&[script(fence, text)]);
        self.outcome(fence)
    }

    /// What both streams hold of it.
    pub fn log(&self, outcome: &Outcome) -> [String; 2] {
        let mut streams = [Vec::new(), Vec::new()];
        if let Some(place) = &outcome.log {
            let take = &mut |stream: Stream, bytes: &[u8]| {
                streams[stream as usize].extend_from_slice(bytes);
            };
            read::read(&self.root.join("logs"), outcome.fence, place, take).unwrap();
        }
        streams.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn alive(&self) -> Vec<u32> {
        alive(&self.sign)
    }

    pub fn nobody_is_left(&self) {
        nobody_is_left(&self.sign);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join("here").join(name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.processes.take());
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub fn config(root: &std::path::Path, sign: &str) -> Config {
    let mut config = Config::in_place(root.join("worker"), root.join("here"));
    config.root = root.to_owned();
    config.environment.push(("WORLD".into(), sign.into()));
    config.grace = Span::from_secs(20);
    config
}

/// Processes that carry `sign`, the supervisor itself aside, which gives it only to tasks.
pub fn alive(sign: &str) -> Vec<u32> {
    let entry = format!("WORLD={sign}");
    let carries = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
    };
    let all = family::everyone().filter(carries);
    all.filter(|pid| family::show(*pid).is_some_and(|shown| !shown.zombie)).collect()
}

/// Whether any process has this command line.
pub fn runs(command: &str) -> bool {
    family::everyone().any(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line == command.as_bytes()
    })
}

pub fn nobody_is_left(sign: &str) {
    eventually(&format!("no process of {sign} is left"), || alive(sign).is_empty());
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn script(fence: u64, text: &str) -> Start {
    start(fence, Command::Script { text: text.to_owned(), shell: Shell::Sh })
}

pub fn words(fence: u64, words: &[&str]) -> Start {
    start(fence, Command::Words(words.iter().map(|word| word.to_string()).collect()))
}

pub fn limited(mut start: Start, limit: Span) -> Start {
    let task = Task { time_limit: Some(limit), ..(*start.task).clone() };
    start.task = Arc::new(task);
    start
}

fn start(fence: u64, command: Command) -> Start {
    Start {
        fence: Fence(fence),
        name: TrialName {
            run: RunNo(1),
            run_id: RunId::new("calm-run"),
            tag: "nightly".into(),
            path: "square.2.step".into(),
            node: NodeNo(0),
            attempt: 1,
            indices: [2].into(),
            items: Arc::default(),
            granted: LogIndex(1),
        },
        task: Arc::new(Task {
            function: Function::Process(command),
            max_attempts: 1,
            backoff: None,
            time_limit: None,
            resources: Resources::default(),
            care: Default::default(),
        }),
        scope: Scope::default(),
    }
}

pub fn scope(values: &[(&str, &str)]) -> Scope {
    let values: BTreeMap<_, _> = values.iter().copied().collect();
    let overlay = values.into_iter().fold(View::default(), |view, (name, value)| {
        view.with(&Arc::from(name), 0, Value::from_loose(value))
    });
    Scope { overlay, base: None }
}
