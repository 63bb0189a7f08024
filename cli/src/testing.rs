//! What the tests of this crate share: a directory that goes away with them, and fixed records.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};

use dagmar_common::graph::{
    Command, Composite, CompositeMode, EdgeKind, Function, Graph, NodeKind, Resources,
    SectionBuilder, Shell, Task, encode,
};
use dagmar_common::ids::{CompositeNo, Digest, LogIndex, RequestId, RunId, SectionNo, TaskNo};
use dagmar_common::lease::ExitReason;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{
    Change, Detail, LogPiece, LogQuestion, Progress, Reason, StepProgress, Stream, choose,
};
use dagmar_common::record::{
    AttemptRecord, AttemptStatus, CodeIdentity, Counts, Entry, FrameRecord, NodeRecord, NodeStatus,
    RunRecord, RunStatus, RunSummary, Submission,
};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator::services::{Runs, Story};

/// 2025-11-20T12:02:11.869129Z.
pub const NOON: WallTime = WallTime(1_763_640_131_869_129);

pub fn summary(run: &str, status: RunStatus) -> RunSummary {
    RunSummary {
        run_id: RunId::new(run),
        tag: "weekly".to_owned(),
        pipeline: "hello.yaml".to_owned(),
        generation: 0,
        graph: Digest::of(b"graph"),
        status,
        reason: String::new(),
        submitted: NOON,
        ended: (status != RunStatus::Running).then_some(WallTime(NOON.0 + 1_200_000)),
        counts: Counts { succeeded: 3, failed: 1, ..Counts::default() },
    }
}

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dagmar-cli-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the temporary directory is no reason to fail a test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn code() -> CodeIdentity {
    CodeIdentity {
        since: NOON,
        identifier: "ff60e7fa379c38adaa03755977057cd10acc4baa".to_owned(),
        kind: "git".to_owned(),
        dependable: true,
        url: "https://example.org/house.git".to_owned(),
        message: String::new(),
    }
}

/// `extract`, a map `square` over it, and `total` that needs all of it.
pub fn graph() -> Graph {
    let script = |text: &str| Task {
        function: Function::Process(Command::Script { text: text.to_owned(), shell: Shell::Sh }),
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    };
    let mut root = SectionBuilder::default();
    let extract = root.node("extract", NodeKind::Task(TaskNo(0)), true);
    let square = root.node("square", NodeKind::Composite(CompositeNo(0)), true);
    let total = root.node("total", NodeKind::Stub, true);
    root.edge(extract, EdgeKind::Needs, square);
    root.edge(square, EdgeKind::Needs, total);
    let mut body = SectionBuilder::default();
    body.node("work", NodeKind::Task(TaskNo(1)), true);
    let mode = CompositeMode::Map {
        body: SectionNo(1),
        iterate_on: "items".to_owned(),
        iterate_as: "x".to_owned(),
        index_as: None,
        max_parallel: None,
    };
    Graph {
        name: "hello".to_owned(),
        tasks: vec![script("extract"), script("square")],
        composites: vec![Composite { mode }],
        sections: vec![root.finish(), body.finish()],
        ..Graph::default()
    }
    .finish()
}

pub fn graph_bytes() -> Bytes {
    encode(&graph()).into()
}

pub fn record() -> RunRecord {
    let values = vec![("items".into(), Value::from_loose("[1,2]"))];
    RunRecord {
        run_id: RunId::new("greedy-yonath-1608"),
        tag: "weekly".to_owned(),
        generation: 0,
        graph: Graph::hash(&graph_bytes()),
        status: RunStatus::Failed,
        reason: String::new(),
        submitted: NOON,
        ended: Some(WallTime(NOON.0 + 1_200_000)),
        parameters_at_start: values.clone(),
        parameters_at_end: values,
        context: Value::from_loose(r#"{"pipeline_file": "hello.yaml"}"#),
        counts: Counts { succeeded: 2, failed: 2, skipped: 1, ..Counts::default() },
        first_index: LogIndex(2),
        last_index: LogIndex(9),
    }
}

pub fn node(path: &str, status: NodeStatus) -> NodeRecord {
    NodeRecord {
        path: path.into(),
        status,
        reason: "".into(),
        attempts: Vec::new(),
        ended: Some(LogIndex(3)),
        outputs: Vec::new(),
        frames: 0,
    }
}

pub fn attempt(number: u32, reason: Option<ExitReason>, last_lines: &str) -> AttemptRecord {
    let status = if reason.is_some() { AttemptStatus::Failed } else { AttemptStatus::Succeeded };
    AttemptRecord {
        number,
        status,
        reason,
        began: WallTime(NOON.0 + 1_000),
        took: Span::from_millis(204),
        worker: "here".into(),
        log: None,
        last_lines: last_lines.into(),
        parameters: Vec::new(),
        granted: LogIndex(4),
        recorded: LogIndex(5),
    }
}

/// `square[1]` failed, so `total` had no input.
pub fn entries() -> Vec<Entry> {
    let frame = |path: &str, label: &str, status| {
        Entry::Frame(FrameRecord { path: path.into(), label: label.into(), status })
    };
    let done = NodeStatus::Succeeded;
    let failed = NodeStatus::Failed;
    let last_lines = "Traceback:\n  square.py:7\u{1b}[2J\nValueError: cannot parse row 2\n";
    vec![
        Entry::Node(NodeRecord { attempts: vec![attempt(1, None, "")], ..node("extract", done) }),
        Entry::Node(NodeRecord { frames: 2, ..node("square", failed) }),
        frame("square.0", "1", done),
        Entry::Node(NodeRecord {
            attempts: vec![attempt(1, None, "")],
            ..node("square.0.work", done)
        }),
        frame("square.1", "2", failed),
        Entry::Node(NodeRecord {
            attempts: vec![attempt(1, Some(ExitReason::Code(1)), last_lines)],
            ..node("square.1.work", failed)
        }),
        Entry::Node(NodeRecord {
            reason: "upstream failed: square".into(),
            ..node("total", NodeStatus::Skipped)
        }),
    ]
}

pub fn story_of(entries: Vec<Entry>) -> Story {
    let entries = Box::new(entries.into_iter().map(Ok));
    Story { record: record(), graph: graph_bytes(), entries }
}

/// Knows of one run, fixed; ends it when told.
#[derive(Default)]
pub struct FixedRuns {
    watchers: Mutex<Vec<Sender<Change>>>,
    cancelled: Mutex<Vec<String>>,
}

impl FixedRuns {
    pub fn end(&self, status: RunStatus) {
        for watcher in self.watchers.lock().unwrap().drain(..) {
            watcher.send(Change::Ended { at: NOON, status, reason: "".into() }).unwrap();
        }
    }

    pub fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().unwrap().clone()
    }
}

pub fn no_such_run(run: &str) -> Problem {
    Problem::new(Code::NotFound, format!("no run {run}")).at(run).try_this("dagmar ls")
}

fn known(run: &RunId) -> Result<(), Problem> {
    if *run == record().run_id { Ok(()) } else { Err(no_such_run(run.as_str())) }
}

impl Runs for FixedRuns {
    fn submit(&self, submission: Submission) -> Result<RunId, Problem> {
        Ok(submission.run)
    }

    fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        Ok(vec![RunSummary::of(&record(), "hello.yaml")])
    }

    fn story(&self, run: &RunId) -> Result<Story, Problem> {
        known(run)?;
        Ok(story_of(entries()))
    }

    fn progress(&self, run: &RunId, most: usize) -> Result<Progress, Problem> {
        known(run)?;
        let (steps, left_out) = choose(progress().steps.into_iter(), most);
        Ok(Progress { steps, left_out, ..progress() })
    }

    fn watch(&self, run: &RunId, _detail: Detail) -> Result<Receiver<Change>, Problem> {
        known(run)?;
        let (sender, receiver) = unbounded();
        sender.send(Change::Started { at: NOON }).unwrap();
        self.watchers.lock().unwrap().push(sender);
        Ok(receiver)
    }

    fn logs(
        &self,
        run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
        known(run)?;
        let (sender, receiver) = unbounded();
        let path = question.path.unwrap_or_else(|| "extract".into());
        for (stream, bytes) in [(Stream::Stdout, "one\n"), (Stream::Stderr, "two\n")] {
            let bytes = bytes.as_bytes().to_vec();
            sender.send(Ok(LogPiece { path: path.clone(), attempt: 1, stream, bytes })).unwrap();
        }
        Ok(receiver)
    }

    fn cancel(&self, run: &RunId, _request: RequestId, reason: &str) -> Result<(), Problem> {
        known(run)?;
        self.cancelled.lock().unwrap().push(reason.to_owned());
        Ok(())
    }

    fn why(&self, run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem> {
        known(run)?;
        let sentence = "waits for square".to_owned();
        let details = vec!["square is at work: 1 of 2 items".to_owned()];
        Ok(vec![Reason { path: path.unwrap_or_default().into(), sentence, details }])
    }
}

pub fn progress() -> Progress {
    let step = |name: &str, status, frames, frames_ended, millis: Option<u64>| StepProgress {
        name: name.into(),
        status,
        attempt: 1,
        began: Some(NOON),
        took: millis.map(Span::from_millis),
        frames,
        frames_ended,
        counts: Counts::default(),
        reason: "".into(),
    };
    let mut summary = summary("greedy-yonath-1608", RunStatus::Running);
    summary.counts = Counts { waiting: 1, active: 1, succeeded: 2, ..Counts::default() };
    let steps = vec![
        step("extract", NodeStatus::Succeeded, 0, 0, Some(404)),
        step("square", NodeStatus::Leased, 4, 3, None),
        StepProgress { attempt: 0, began: None, ..step("total", NodeStatus::Waiting, 0, 0, None) },
    ];
    Progress { summary, steps, left_out: 0 }
}
