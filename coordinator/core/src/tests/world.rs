//! One state machine and one pretended worker: what the tests play with.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::graph::{self, Graph};
use dagmar_common::ids::{
    Fence, Incarnation, LogIndex, RequestId, RunId, RunNo, Session, Term, WorkerId,
};
use dagmar_common::lease::{
    Ending, ExitReason, Held, HeldAs, Outcome, Output, OutputWay, Returned, Start,
};
use dagmar_common::record::{NodeStatus, RunStatus};
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;

use crate::State;
use crate::ask::{Reason, why};
use crate::command::{Batch, Command, Payload, Position, Submit, WorkerHello};
use crate::effect::{Applied, Effect, Event, Reply};
use crate::stored;

pub const WORKER: WorkerId = WorkerId(7);

pub struct World {
    pub state: State,
    /// Restored from the state's own snapshot now and then; it must do the same ever after.
    pub twin: State,
    entries: u64,
    pub time: u64,
    pub applied: Applied,
    /// What the worker was told to run and has not answered.
    pub running: BTreeMap<Fence, Start>,
    /// Of the newest status of each node, by path.
    pub statuses: BTreeMap<(RunNo, String), NodeStatus>,
    pub ended: BTreeMap<RunNo, RunStatus>,
    /// What each task that began saw, by path.
    pub seen: BTreeMap<String, BTreeMap<String, String>>,
    pub cancels: Vec<Fence>,
    pub answers: Vec<(Fence, bool)>,
    requests: u128,
    lives: u64,
    graphs: BTreeMap<RunNo, Graph>,
}

impl World {
    /// A leader is up, and one worker is born ready.
    pub fn new(cpus: u32) -> Self {
        let mut world = World::empty();
        world.apply(vec![Command::LeaderUp, Command::Hello(hello(WORKER, 1, cpus))]);
        world
    }

    pub fn empty() -> Self {
        World {
            state: State::new(),
            twin: State::new(),
            entries: 0,
            time: 0,
            applied: Applied::default(),
            running: BTreeMap::new(),
            statuses: BTreeMap::new(),
            ended: BTreeMap::new(),
            seen: BTreeMap::new(),
            cancels: Vec::new(),
            answers: Vec::new(),
            requests: 0,
            lives: 1,
            graphs: BTreeMap::new(),
        }
    }

    pub fn apply(&mut self, commands: Vec<Command>) -> Vec<Reply> {
        let index = LogIndex(self.state.last_applied().0 + 1);
        let (term, at) = (Term(1), LogTime(self.time));
        let wall = WallTime(1_700_000_000_000_000 + self.time as i64);
        let batch = Batch { term, at, wall, commands };
        let mut bytes = Vec::new();
        stored::encode_batch(&batch, &mut bytes);
        let read = stored::decode_batch(&bytes).expect("what was written can be read");
        assert_eq!(read, batch);
        let position = Position { index, term };
        self.state.apply(position, read.clone(), &mut self.applied);
        self.follow(position, read);
        if let Err(broken) = self.state.check() {
            panic!("after entry {index}: {broken}");
        }
        self.watch();
        self.applied.replies.clone()
    }

    /// The twin applies the same; sometimes it is made anew.
    fn follow(&mut self, position: Position, batch: Batch) {
        let mut applied = Applied::default();
        self.twin.apply(position, batch, &mut applied);
        assert_eq!(applied.replies, self.applied.replies, "entry {}", position.index);
        assert_eq!(applied.effects, self.applied.effects, "entry {}", position.index);
        self.entries += 1;
        if Fence(self.entries).hash().is_multiple_of(4) {
            let chunks = snapshot(&mut self.state);
            assert!(chunks == snapshot(&mut self.twin), "the twin's bytes differ");
            self.twin = State::restore(&chunks).expect("a snapshot can be restored");
            assert!(chunks == snapshot(&mut self.twin), "the restored bytes differ");
        }
    }

    fn watch(&mut self) {
        for effect in &self.applied.effects {
            match effect {
                Effect::Start { worker, fence } => {
                    let start = self.state.start_message(*worker, *fence);
                    let start = start.expect("a grant can be started");
                    let seen = start.scope.flatten().into_iter();
                    let seen = seen.map(|(name, value)| (name.to_string(), value.spelled().into()));
                    self.seen.insert(start.name.path.to_string(), seen.collect());
                    self.running.insert(*fence, start);
                }
                Effect::Cancel { fence, .. } => self.cancels.push(*fence),
                Effect::Recorded { fence, .. } => self.answers.push((*fence, true)),
                Effect::Refused { fence, .. } => self.answers.push((*fence, false)),
                Effect::Event(Event::Node { run, section, node, indices, status, .. }) => {
                    let Some(graph) = self.graphs.get(run) else { continue };
                    let path = graph.path(*section, *node, indices);
                    self.statuses.insert((*run, path), *status);
                }
                Effect::Event(Event::RunEnded { run, status, .. }) => {
                    self.ended.insert(*run, *status);
                }
                _ => {}
            }
        }
    }

    pub fn submit(&mut self, graph: &Graph, parameters: &[(&str, &str)]) -> RunNo {
        let number = RunNo(self.state.last_run.0 + 1);
        self.graphs.insert(number, graph.clone());
        let submit = self.submission(&format!("run-{number}"), graph, parameters);
        let replies = self.apply(vec![Command::Submit(submit)]);
        let run = RunId::new(&format!("run-{number}"));
        assert_eq!(replies, [Reply::Submitted { run, number }]);
        self.settle();
        number
    }

    /// Everything that the worker was told to run has begun.
    pub fn why(&self, run: RunNo, path: Option<&str>) -> Vec<Reason> {
        why(&self.state, &self.running.keys().copied().collect(), run, path)
    }

    pub fn submission(&mut self, run: &str, graph: &Graph, given: &[(&str, &str)]) -> Submit {
        self.requests += 1;
        let values = given.iter().map(|(name, text)| (Arc::from(*name), Value::from_loose(text)));
        let parameters: Vec<_> = values.collect();
        Submit {
            request: RequestId(self.requests),
            run: RunId::new(run),
            generated: false,
            tag: String::new(),
            graph: Payload::Inline(graph::encode(graph)),
            parameters: Payload::Inline(stored::encode_parameters(&parameters)),
            context: Value::from_loose("{}"),
        }
    }

    /// Gives the agenda its turns.
    pub fn settle(&mut self) {
        while self.state.has_agenda() {
            self.apply(vec![Command::Continue]);
        }
    }

    /// The fence under which `path` runs.
    #[track_caller]
    pub fn fence(&self, path: &str) -> Fence {
        let mut found = self.running.iter().filter(|(_, start)| &*start.name.path == path);
        match found.next_back() {
            Some((fence, _)) => *fence,
            None => panic!("{path} does not run; {:?} do", self.paths()),
        }
    }

    pub fn paths(&self) -> Vec<&str> {
        self.running.values().map(|start| &*start.name.path).collect()
    }

    #[track_caller]
    pub fn succeed(&mut self, path: &str, outputs: &[(&str, &str)]) {
        let fence = self.fence(path);
        self.end(fence, Ending::Succeeded, outputs);
    }

    #[track_caller]
    pub fn fail(&mut self, path: &str) {
        let fence = self.fence(path);
        self.end(fence, Ending::Failed(ExitReason::Code(1)), &[("lost", "1")]);
    }

    pub fn end(&mut self, fence: Fence, ending: Ending, outputs: &[(&str, &str)]) {
        let outcome = outcome(fence, ending, outputs);
        self.running.remove(&fence);
        self.apply(vec![Command::Outcomes { worker: WORKER, outcomes: vec![outcome] }]);
        self.settle();
    }

    pub fn give_back(&mut self, fence: Fence) {
        self.running.remove(&fence);
        let returned = vec![Returned { fence, started: false }];
        let incarnation = life(self.lives);
        self.apply(vec![Command::Returned { worker: WORKER, incarnation, returned }]);
        self.settle();
    }

    /// The supervisor died under what runs at `path`.
    #[track_caller]
    pub fn lose(&mut self, path: &str) {
        let fence = self.fence(path);
        self.running.remove(&fence);
        let returned = vec![Returned { fence, started: true }];
        let incarnation = life(self.lives);
        self.apply(vec![Command::Returned { worker: WORKER, incarnation, returned }]);
        self.settle();
    }

    /// The worker's process died with all that it held and had begun, and another one takes its
    /// place.
    pub fn restart_worker(&mut self, cpus: u32) {
        self.lives += 1;
        let begun = std::mem::take(&mut self.running).into_keys();
        let mut hello = hello(WORKER, self.lives, cpus);
        hello.held = begun.map(|fence| Held { fence, state: HeldAs::Gone }).collect();
        self.apply(vec![Command::LeaderUp, Command::Hello(hello)]);
        self.settle();
    }

    pub fn cancel(&mut self, run: RunNo) {
        self.requests += 1;
        let request = RequestId(self.requests);
        let run = RunId::new(&format!("run-{run}"));
        self.apply(vec![Command::Cancel { request, run, reason: "enough".into() }]);
        self.settle();
    }

    /// Ends what runs, oldest first, until nothing runs: tasks named in `failing` fail, others
    /// write what `writes` says of them.
    pub fn play(&mut self, failing: &[&str], writes: &[(&str, &str, &str)]) {
        while let Some((fence, start)) = self.running.first_key_value() {
            let (fence, path) = (*fence, start.name.path.to_string());
            let last = path.rsplit('.').next().unwrap_or(&path);
            if failing.contains(&&*path) || failing.contains(&last) {
                self.end(fence, Ending::Failed(ExitReason::Code(1)), &[]);
                continue;
            }
            let said = |name: &str| name == path || name == last;
            let own = writes.iter().filter(|(by, ..)| said(by));
            let own: Vec<_> = own.map(|(_, name, value)| (*name, *value)).collect();
            self.end(fence, Ending::Succeeded, &own);
        }
    }

    /// Every node that was heard of: `a✓ b– c✗`, by path.
    pub fn shape(&self, run: RunNo) -> String {
        let of_run = self.statuses.iter().filter(|((number, _), _)| *number == run);
        let signs = of_run.map(|((_, path), status)| format!("{path}{}", sign(*status)));
        signs.collect::<Vec<_>>().join(" ")
    }

    pub fn sees(&self, path: &str, name: &str) -> Option<String> {
        let start = &self.running[&self.fence(path)];
        start.scope.get(name).map(|value| value.spelled().to_owned())
    }
}

pub fn snapshot(state: &mut State) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let written = state.freeze().write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    written.expect("memory takes what it is given");
    chunks
}

pub fn life(number: u64) -> Incarnation {
    Incarnation { number, nonce: 1 }
}

pub fn hello(worker: WorkerId, incarnation: u64, cpus: u32) -> WorkerHello {
    WorkerHello {
        worker,
        incarnation: life(incarnation),
        name: format!("w{}", worker.0),
        cpu_millis: cpus * 1_000,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(Session(incarnation)),
        lost_after: None,
    }
}

pub fn outcome(fence: Fence, ending: Ending, outputs: &[(&str, &str)]) -> Outcome {
    let output = |(name, value): &(&str, &str)| Output {
        name: name.trim_start_matches('~').into(),
        value: Value::from_loose(value),
        // A tilde: exported in Magnus's way.
        way: if name.starts_with('~') { OutputWay::Variable } else { OutputWay::File },
    };
    Outcome {
        fence,
        ending,
        began: WallTime(1_700_000_000_000_000),
        took: Span(100),
        outputs: outputs.iter().map(output).collect(),
        log: None,
        last_lines: "".into(),
    }
}

pub fn sign(status: NodeStatus) -> char {
    match status {
        NodeStatus::Waiting => '.',
        NodeStatus::Ready => 'r',
        NodeStatus::Leased => 'l',
        NodeStatus::Succeeded => '✓',
        NodeStatus::Failed => '✗',
        NodeStatus::Skipped => '–',
        NodeStatus::Cancelled => '⊘',
    }
}
