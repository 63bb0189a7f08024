//! The leader alone, over the real state: what it proposes, says and closes, and when.

use dagmar_common::graph::{self, Function, Graph, NodeKind, Resources, SectionBuilder, Task};
use dagmar_common::ids::{Fence, Incarnation, RequestId, RunId, TaskNo};
use dagmar_common::lease::{Begun, Ending, Held, HeldAs, Hello, Outcome};
use dagmar_common::limits::HEARTBEAT_EVERY;
use dagmar_common::time::WallTime;
use dagmar_common::value::Value;

use super::*;
use crate::command::{Payload, Submit, WorkerHello};
use crate::effect::Applied;
use crate::{State, stored};

mod several;

const WORKER: WorkerId = WorkerId(7);

/// A leader with its state; what it proposes is applied only when the test says so.
struct Desk {
    leader: Leader,
    state: State,
    term: Term,
    index: u64,
    seconds: u64,
    proposed: Vec<Command>,
    rounds: Vec<u64>,
    streams: BTreeMap<u64, u64>,
    did: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        Desk {
            leader: Leader::new(Term(1), None),
            state: State::new(),
            term: Term(1),
            index: 0,
            seconds: 100,
            proposed: vec![Command::LeaderUp],
            rounds: Vec::new(),
            streams: BTreeMap::new(),
            did: Vec::new(),
        }
    }

    /// With a ready worker over stream 1.
    fn ready() -> Self {
        let mut desk = Desk::new();
        desk.apply();
        desk.greets(1, 1, &[]);
        desk.confirm();
        desk.apply();
        desk.apply();
        desk.did.clear();
        desk
    }

    fn now(&self) -> Now {
        Now { boot: BootTime(self.seconds * 1_000_000), log: LogTime(self.seconds * 1_000_000) }
    }

    fn turn(&mut self, inputs: Vec<Input>) {
        let (mut inputs, mut out) = (inputs, Vec::new());
        self.leader.turn(self.now(), &mut inputs, &self.state, &mut out);
        self.leader.check();
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(command) => {
                    self.did.push(format!("proposes {}", name_of(&command)));
                    self.proposed.push(command);
                }
                Output::Confirm { round } => self.rounds.push(round),
                Output::CloseStream { stream, why } => {
                    self.did.push(format!("closes {stream} {why:?}"));
                }
                Output::Send { stream, message } => {
                    self.did.push(format!("{stream}: {}", word_of(&message.message)));
                }
            }
        }
    }

    /// All that is proposed, as one entry.
    fn apply(&mut self) {
        let commands = std::mem::take(&mut self.proposed);
        self.apply_all(commands);
    }

    fn apply_all(&mut self, commands: Vec<Command>) {
        self.index += 1;
        let position = Position { index: LogIndex(self.index), term: self.term };
        let batch = Batch { term: self.term, at: self.now().log, wall: WallTime(0), commands };
        let (mut applied, mut out) = (Applied::default(), Vec::new());
        self.leader.committed(position, &batch);
        self.state.apply(position, batch, &mut applied);
        self.leader.applied(position.index, &applied.effects, &self.state, &mut out);
        self.leader.check();
        self.take(out);
    }

    fn confirm(&mut self) {
        let index = LogIndex(self.index);
        let rounds = std::mem::take(&mut self.rounds);
        self.turn(rounds.into_iter().map(|round| Input::Confirmed { round, index }).collect());
    }

    fn greets(&mut self, stream: u64, incarnation: u64, held: &[(u64, HeldAs)]) {
        self.greets_as(WORKER, stream, incarnation, held);
    }

    fn greets_as(
        &mut self,
        worker: WorkerId,
        stream: u64,
        incarnation: u64,
        held: &[(u64, HeldAs)],
    ) {
        let held = held.iter().map(|(fence, state)| Held { fence: Fence(*fence), state: *state });
        let hello = Hello {
            worker,
            incarnation: Incarnation { number: incarnation, nonce: 1 },
            name: "w".into(),
            cpu_millis: 2_000,
            labels: Vec::new(),
            held: held.collect(),
        };
        self.streams.insert(stream, 0);
        let message = Numbered { number: 0, message: FromWorker::Hello(hello) };
        let stream = StreamNo(stream);
        self.turn(vec![Input::StreamOpened { stream }, Input::Received { stream, message }]);
    }

    fn says(&mut self, stream: u64, message: FromWorker) {
        let input = self.word(stream, message);
        self.turn(vec![input]);
    }

    fn word(&mut self, stream: u64, message: FromWorker) -> Input {
        let number = self.streams.entry(stream).or_default();
        *number += 1;
        let message = Numbered { number: *number, message };
        Input::Received { stream: StreamNo(stream), message }
    }

    fn beats(&mut self, stream: u64, begun: &[u64]) {
        let sent = self.streams.get(&stream).copied().unwrap_or_default();
        let begun_sum = begun.iter().fold(0, |sum, fence| sum ^ Fence(*fence).hash());
        self.says(stream, FromWorker::Heartbeat(Heartbeat { received: 0, sent, begun_sum }));
    }

    fn passes(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.turn(Vec::new());
    }

    /// A run of no-ops side by side.
    fn submit(&mut self, steps: u32) {
        let submit = run_of(steps);
        self.apply_all(vec![Command::Submit(submit)]);
    }

    #[track_caller]
    fn check(&mut self, did: &str) {
        assert_eq!(std::mem::take(&mut self.did).join(", "), did);
    }
}

fn name_of(command: &Command) -> String {
    match command {
        Command::Hello(hello) => format!("Hello {}", hello.incarnation.number),
        Command::WorkerReady { regains, .. } if regains.is_empty() => "Ready".into(),
        Command::WorkerReady { regains, .. } => format!("Ready {regains:?}"),
        Command::WorkerSuspended { .. } => "Suspended".into(),
        Command::WorkerLost { started, unsent, .. } => format!("Lost {started:?} {unsent:?}"),
        Command::Outcomes { outcomes, .. } => format!("Outcomes {}", outcomes.len()),
        Command::Returned { returned, .. } => format!("Returned {}", returned.len()),
        other => format!("{other:?}"),
    }
}

fn word_of(message: &ToWorker) -> String {
    let list = |fences: &[Fence]| format!("{:?}", fences.iter().map(|f| f.0).collect::<Vec<_>>());
    match message {
        ToWorker::HelloAnswer(answer) => {
            let one = |(fence, verdict): &(Fence, _)| format!(" {fence}={verdict:?}");
            format!("answer{}", answer.verdicts.iter().map(one).collect::<String>())
        }
        ToWorker::HeartbeatAcknowledged { number } => format!("acknowledged {number}"),
        ToWorker::Start(starts) => {
            format!("start {}", list(&starts.iter().map(|start| start.fence).collect::<Vec<_>>()))
        }
        ToWorker::Recorded(fences) => format!("recorded {}", list(fences)),
        ToWorker::Refused(fences) => format!("refused {}", list(fences)),
        ToWorker::Cancel(fences) => format!("cancel {}", list(fences)),
        ToWorker::Kill(fences) => format!("kill {}", list(fences)),
        ToWorker::Recall(fences) => format!("recall {}", list(fences)),
        ToWorker::Stale => "stale".into(),
    }
}

fn run_of(steps: u32) -> Submit {
    let mut graph = Graph { name: "g".into(), ..Graph::default() };
    graph.tasks.push(Task {
        function: Function::Noop,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    });
    let mut section = SectionBuilder::default();
    for step in 0..steps {
        section.node(&format!("s{step}"), NodeKind::Task(TaskNo(0)), true);
    }
    graph.sections.push(section.finish());
    Submit {
        request: RequestId(1),
        run: RunId::new("r"),
        generated: false,
        tag: String::new(),
        graph: Payload::Inline(graph::encode(&graph.finish())),
        parameters: Payload::Inline(stored::encode_parameters(&[])),
        context: Value::from_loose("{}"),
    }
}

fn outcome(fence: u64) -> Outcome {
    Outcome {
        fence: Fence(fence),
        ending: Ending::Succeeded,
        began: WallTime(0),
        took: Span(1),
        outputs: Vec::new(),
        log: None,
        last_lines: "".into(),
    }
}

fn outcomes(fences: &[u64]) -> FromWorker {
    FromWorker::Outcomes(fences.iter().map(|fence| outcome(*fence)).collect())
}

#[test]
fn a_leader_that_waits_for_its_first_entry_is_not_awake_for_it() {
    let mut desk = Desk::new();
    desk.turn(Vec::new());
    assert!(desk.leader.wakes_at() > desk.now().boot + HEARTBEAT_EVERY);
    desk.apply();
    assert!(desk.leader.wakes_at() <= desk.now().boot + HEARTBEAT_EVERY);
}

#[test]
fn a_hello_waits_for_its_round_its_leader_and_its_command() {
    let mut desk = Desk::new();
    desk.greets(1, 1, &[]);
    desk.check("");
    desk.apply();
    desk.check("");
    desk.confirm();
    desk.check("proposes Hello 1");
    desk.apply();
    desk.check("proposes Ready, 1: answer");
    desk.apply();
    desk.submit(2);
    desk.check("1: start [1, 2]");
}

#[test]
fn what_is_finished_is_recorded_before_the_worker_is_ready_again() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.check("1: start [1, 2]");
    desk.greets(2, 1, &[(1, HeldAs::Finished)]);
    desk.check("");
    desk.confirm();
    // The start of 2 got lost with its stream.
    desk.check("2: answer 1=Report, 2: start [2]");
    desk.says(2, outcomes(&[1]));
    desk.check("proposes Outcomes 1");
    desk.apply();
    desk.check("proposes Ready, 2: recorded [1]");
}

#[test]
fn a_hello_is_not_answered_while_something_about_its_worker_is_under_way() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.says(1, outcomes(&[1]));
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.greets(2, 1, &[(1, HeldAs::Finished), (2, HeldAs::Running)]);
    desk.confirm();
    desk.check("1: start [1, 2], proposes Outcomes 1");
    desk.apply();
    desk.check("2: answer 1=Report 2=Keep");
}

#[test]
fn what_is_cancelled_is_never_started_again() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    let (request, run) = (RequestId(2), RunId::new("r"));
    desk.apply_all(vec![Command::Cancel { request, run, reason: "enough".into() }]);
    desk.greets(2, 1, &[(1, HeldAs::Running)]);
    desk.confirm();
    desk.check("1: start [1, 2], proposes Ready, 2: answer 1=Cancel, 2: cancel [2]");
    desk.says(2, FromWorker::Returned(vec![Returned { fence: Fence(2), started: false }]));
    desk.apply();
    desk.check("proposes Returned 1, 2: recorded [2]");
}

#[test]
fn outcomes_of_one_turn_become_one_command_and_never_too_large_a_one() {
    let mut desk = Desk::ready();
    let inputs = (1..=3).map(|fence| desk.word(1, outcomes(&[fence]))).collect();
    desk.turn(inputs);
    desk.check("proposes Outcomes 3");
    let large = |fence| Outcome { last_lines: "x".repeat(60 << 10).into(), ..outcome(fence) };
    desk.says(1, FromWorker::Outcomes((4..=6).map(large).collect()));
    desk.check("proposes Outcomes 2, proposes Outcomes 1");
    let larger = Outcome { last_lines: "x".repeat(70 << 10).into(), ..outcome(7) };
    desk.says(1, FromWorker::Outcomes(vec![larger]));
    desk.check("closes 1 TooMuch");
}

#[test]
fn a_heartbeat_is_acknowledged_after_a_round_that_began_behind_it() {
    let mut desk = Desk::ready();
    desk.passes(5);
    desk.beats(1, &[]);
    desk.check("");
    desk.beats(1, &[]);
    // The round counts for the first alone.
    desk.confirm();
    desk.check("1: acknowledged 1");
    desk.passes(1);
    desk.confirm();
    desk.check("1: acknowledged 2");
}

#[test]
fn nothing_is_acknowledged_while_its_readiness_is_about_to_end() {
    let mut desk = Desk::ready();
    desk.passes(10);
    desk.check("proposes Suspended");
    desk.beats(1, &[]);
    desk.confirm();
    desk.check("");
    desk.apply();
    desk.beats(1, &[]);
    desk.check("closes 1 NotReady");
}

#[test]
fn sums_that_differ_end_the_stream() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.says(1, FromWorker::Begun(vec![Begun { fence: Fence(1), at: WallTime(0) }]));
    desk.beats(1, &[1]);
    desk.check("1: start [1, 2]");
    desk.says(1, outcomes(&[1]));
    desk.beats(1, &[1]);
    desk.check("proposes Outcomes 1, closes 1 Disagrees");
}

#[test]
fn a_broken_stream_suspends_unless_its_worker_is_back_in_time() {
    let mut desk = Desk::ready();
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.passes(1);
    desk.check("");
    desk.greets(2, 1, &[]);
    desk.passes(2);
    desk.check("");
    desk.confirm();
    desk.apply();
    desk.check("proposes Ready, 2: answer");
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(2) }]);
    desk.passes(2);
    desk.check("proposes Suspended");
}

#[test]
fn a_worker_away_too_long_loses_its_leases() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.says(1, FromWorker::Begun(vec![Begun { fence: Fence(1), at: WallTime(0) }]));
    desk.turn(vec![Input::StreamClosed { stream: StreamNo(1) }]);
    desk.passes(2);
    desk.apply();
    desk.check("1: start [1, 2], proposes Suspended");
    desk.passes(299);
    desk.check("");
    desk.passes(6);
    desk.check("proposes Lost [Fence(1)] []");
    desk.passes(6);
    desk.check("");
    desk.apply();
    desk.passes(6);
    desk.check("");
}

#[test]
fn a_newer_incarnation_makes_the_older_one_stale() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.greets(2, 2, &[]);
    desk.confirm();
    desk.check("1: start [1, 2], proposes Hello 2");
    desk.apply();
    desk.apply();
    desk.check("proposes Ready, 1: stale, 2: answer, 2: start [3, 4]");
    // What it gives back is not its own any more; what it finished may still count.
    desk.says(1, FromWorker::Returned(vec![Returned { fence: Fence(2), started: false }]));
    desk.says(1, outcomes(&[1]));
    desk.check("1: refused [2], proposes Outcomes 1");
    desk.apply();
    desk.check("1: refused [1], 2: refused [1]");
}

#[test]
fn effects_of_an_earlier_reign_are_not_performed() {
    let mut desk = Desk::ready();
    desk.submit(2);
    desk.check("1: start [1, 2]");
    // Another leader of the same state, before its own first entry.
    let older = std::mem::replace(&mut desk.leader, Leader::new(Term(2), None));
    drop(older);
    desk.apply_all(vec![Command::Outcomes { worker: WORKER, outcomes: vec![outcome(1)] }]);
    desk.check("");
    desk.term = Term(2);
    desk.greets(2, 1, &[(1, HeldAs::Finished), (2, HeldAs::Running)]);
    desk.check("");
    desk.apply_all(vec![Command::LeaderUp]);
    desk.check("");
    desk.confirm();
    desk.check("2: answer 1=Report 2=Keep");
    desk.says(2, outcomes(&[1]));
    desk.apply();
    desk.check("proposes Outcomes 1, proposes Ready, 2: recorded [1]");
}

#[test]
fn a_worker_born_ready_is_given_work_by_the_first_entry() {
    let mut desk = Desk::new();
    let (stream, incarnation) = (StreamNo(1), Incarnation { number: 1, nonce: 1 });
    let session = desk.leader.born_ready(desk.now(), stream, WORKER, incarnation);
    desk.proposed.push(Command::Hello(WorkerHello {
        worker: WORKER,
        incarnation,
        name: "w".into(),
        cpu_millis: 2_000,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(session),
        lost_after: None,
    }));
    desk.proposed.push(Command::Submit(run_of(2)));
    desk.apply();
    desk.check("1: start [1, 2]");
    desk.passes(5);
    desk.beats(1, &[]);
    desk.confirm();
    desk.check("1: acknowledged 1");
}

#[test]
fn a_command_that_is_not_taken_ends_the_streams_of_its_worker() {
    let mut desk = Desk::ready();
    desk.says(1, outcomes(&[1]));
    let command = desk.proposed.pop().expect("the outcomes");
    desk.turn(vec![Input::NotProposed(command)]);
    desk.check("proposes Outcomes 1, closes 1 NotProposed");
}
