//! A state machine on a desk: entries applied by hand, and what each of them granted.

use std::sync::Arc;

use dagmar_common::graph::{self, Care, Command as Line, Function, Graph, NodeKind};
use dagmar_common::graph::{Resources, SectionBuilder, Task};
use dagmar_common::ids::{Fence, Incarnation, LogIndex, RequestId, RunId, Session, TaskNo, Term};
use dagmar_common::ids::{WorkerId, WorkerNo};
use dagmar_common::lease::Held;
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{Batch, Command, Payload, Position, Submit, WorkerHello};
use dagmar_coordinator_core::effect::{Applied, Effect};
use dagmar_coordinator_core::{State, stored};

pub const LOST_AFTER: Span = Span::from_secs(60);

pub struct Desk {
    pub state: State,
    pub now: LogTime,
    /// What the last entry led to.
    pub applied: Applied,
    index: u64,
    sessions: u64,
    runs: u64,
}

impl Desk {
    pub fn new() -> Self {
        let (state, applied) = (State::new(), Applied::default());
        let mut desk = Desk { state, now: LogTime(1), applied, index: 0, sessions: 0, runs: 0 };
        desk.apply(vec![Command::LeaderUp]);
        desk
    }

    /// What was granted in the entry of these commands.
    pub fn apply(&mut self, commands: Vec<Command>) -> Vec<(WorkerNo, Fence)> {
        self.index += 1;
        let position = Position { index: LogIndex(self.index), term: Term(1) };
        let batch = Batch { term: Term(1), at: self.now, wall: WallTime(0), commands };
        self.applied.clear();
        self.state.apply(position, batch, &mut self.applied);
        let granted = self.applied.effects.iter().filter_map(|effect| match effect {
            Effect::Start { worker, fence } => Some((*worker, *fence)),
            _ => None,
        });
        granted.collect()
    }

    /// A worker greets with what it holds, and is ready.
    pub fn greets(
        &mut self,
        worker: WorkerId,
        number: u64,
        held: Vec<Held>,
    ) -> Vec<(WorkerNo, Fence)> {
        self.greets_with(worker, number, held, 1_000)
    }

    pub fn greets_with(
        &mut self,
        worker: WorkerId,
        number: u64,
        held: Vec<Held>,
        cpu_millis: u32,
    ) -> Vec<(WorkerNo, Fence)> {
        let incarnation = Incarnation { number, nonce: number };
        self.sessions += 1;
        let session = Session(self.sessions);
        let hello = WorkerHello {
            worker,
            incarnation,
            name: format!("worker-{}", worker.0),
            cpu_millis,
            labels: Vec::new(),
            held,
            born_ready: None,
            lost_after: Some(LOST_AFTER),
        };
        let ready = Command::WorkerReady { worker, incarnation, session, regains: Vec::new() };
        self.apply(vec![Command::Hello(hello), ready])
    }

    /// A run of one process.
    pub fn submits(&mut self, care: Care) -> Vec<(WorkerNo, Fence)> {
        self.submits_many(1, care)
    }

    /// A run of so many, none of which needs another.
    pub fn submits_many(&mut self, steps: u32, care: Care) -> Vec<(WorkerNo, Fence)> {
        self.submits_large(steps, care, 1_000)
    }

    /// Of which each needs so much.
    pub fn submits_large(
        &mut self,
        steps: u32,
        care: Care,
        cpu_millis: u32,
    ) -> Vec<(WorkerNo, Fence)> {
        self.runs += 1;
        self.apply(vec![Command::Submit(submission(self.runs, steps, care, cpu_millis))])
    }
}

/// A run of so many processes, none of which needs another.
pub fn submission(number: u64, steps: u32, care: Care, cpu_millis: u32) -> Submit {
    let mut graph = Graph { name: "desk".into(), ..Graph::default() };
    graph.tasks.push(Task {
        function: Function::Process(Line::Words(vec!["true".into()])),
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources { cpu_millis },
        care,
    });
    let mut section = SectionBuilder::default();
    for step in 0..steps {
        section.node(&format!("s{step}"), NodeKind::Task(TaskNo(0)), true);
    }
    graph.sections.push(section.finish());
    let none: [(Arc<str>, Value); 0] = [];
    Submit {
        request: RequestId(number.into()),
        run: RunId::new(&format!("run-{number}")),
        generated: false,
        tag: String::new(),
        graph: Payload::Inline(graph::encode(&graph.finish())),
        parameters: Payload::Inline(stored::encode_parameters(&none)),
        context: Value::from_loose("{}"),
    }
}

/// A state in which this worker alone is ready.
pub fn greeted(worker: WorkerId) -> State {
    let mut desk = Desk::new();
    desk.greets(worker, 1, Vec::new());
    desk.state
}
