//! The agent alone: what it says and does for each thing that a leader or a process can bring.

use std::sync::Arc;

use dagmar_common::graph::{Command, Function, Resources, Task};
use dagmar_common::ids::{Fence, Incarnation, LogIndex, NodeNo, RunId, RunNo, Session, StreamNo};
use dagmar_common::lease::{
    Ending, ExitReason, FromWorker, HelloAnswer, Numbered, Outcome, Output as Written, OutputWay,
    Start, ToWorker, TrialName, Verdict,
};
use dagmar_common::limits::{HANDED_AHEAD, OUTCOMES_HELD_FOR};
use dagmar_common::time::{BootTime, Now, Span, WallTime};
use dagmar_common::value::Value;

use super::*;

mod exclusive;

const OTHERS: std::ops::Range<u64> = 91..91 + HANDED_AHEAD as u64;

/// One agent of two cpus, with a leader played by the test.
struct Desk {
    agent: Agent,
    seconds: u64,
    stream: u64,
    told: u64,
    /// What it did, in words.
    did: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        let agent = Agent::new(Identity {
            worker: Default::default(),
            incarnation: Incarnation { number: 1, nonce: 1 },
            name: "desk".into(),
            cpu_millis: 2_000,
            labels: Vec::new(),
        });
        Desk { agent, seconds: 0, stream: 0, told: 0, did: Vec::new() }
    }

    fn ready() -> Self {
        let mut desk = Desk::new();
        desk.connect(Some(Session(1)));
        desk.check("");
        desk
    }

    /// With all handed over that is handed over ahead: two cpus are left until others wait.
    fn busy() -> Self {
        let mut desk = Desk::ready();
        let others = OTHERS.map(|fence| process(fence, &format!("o{fence}"), 2_000));
        desk.told(ToWorker::Start(others.collect()));
        desk.did.clear();
        desk
    }

    fn others_are_gone(&mut self) {
        OTHERS.for_each(|fence| self.hears(Input::ProcessStopped { fence: Fence(fence) }));
        self.told(ToWorker::Recorded(OTHERS.map(Fence).collect()));
        self.did.clear();
    }

    fn connect(&mut self, born_ready: Option<Session>) {
        (self.stream, self.told) = (self.stream + 1, 0);
        self.hears(Input::Connected { stream: StreamNo(self.stream), born_ready });
    }

    fn hears(&mut self, input: Input) {
        self.turn(vec![input]);
    }

    fn turn(&mut self, mut inputs: Vec<Input>) {
        let boot = BootTime(self.seconds * 1_000_000);
        let mut out = Vec::new();
        self.agent.turn(Now { boot, wall: WallTime(7) }, &mut inputs, &mut out);
        self.agent.check();
        self.did.extend(out.iter().map(describe));
    }

    fn input(&mut self, message: ToWorker) -> Input {
        self.told += 1;
        let message = Numbered { number: self.told, message };
        Input::Received { stream: StreamNo(self.stream), message }
    }

    fn told(&mut self, message: ToWorker) {
        let input = self.input(message);
        self.hears(input);
    }

    fn answered(&mut self, verdicts: &[(u64, Verdict)]) {
        let verdicts = verdicts.iter().map(|(fence, verdict)| (Fence(*fence), *verdict)).collect();
        self.told(ToWorker::HelloAnswer(HelloAnswer { session: Session(2), verdicts }));
    }

    fn passes(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.turn(Vec::new());
    }

    fn ends(&mut self, fence: u64, ending: Ending) {
        self.hears(Input::ProcessEnded(outcome(fence, ending)));
    }

    #[track_caller]
    fn check(&mut self, did: &str) {
        assert_eq!(std::mem::take(&mut self.did).join(", "), did);
    }
}

fn describe(output: &Output) -> String {
    match output {
        Output::Send { message, .. } => match &message.message {
            FromWorker::Hello(hello) => {
                let held =
                    hello.held.iter().map(|held| format!(" {}={:?}", held.fence, held.state));
                format!("hello{}", held.collect::<String>())
            }
            FromWorker::Heartbeat(_) => "beat".into(),
            FromWorker::Begun(begun) => {
                format!("begun {:?}", begun.iter().map(|one| one.fence.0).collect::<Vec<_>>())
            }
            FromWorker::Outcomes(outcomes) => {
                let one = |outcome: &Outcome| format!(" {}:{:?}", outcome.fence, outcome.ending);
                format!("outcomes{}", outcomes.iter().map(one).collect::<String>())
            }
            FromWorker::Returned(returned) => {
                let one = returned.iter().map(|one| format!(" {}:{}", one.fence, one.started));
                format!("returned{}", one.collect::<String>())
            }
        },
        Output::Close { why, .. } => format!("leaves {why:?}"),
        Output::Run(start) => format!("runs {}", start.fence),
        Output::Stop { fence, why } => format!("stops {fence} {why:?}"),
        Output::Forget(fences) => {
            format!("forgets {:?}", fences.iter().map(|fence| fence.0).collect::<Vec<_>>())
        }
        Output::Rejoin => "rejoins".into(),
        Output::Deadline(at) => format!("until {}.{}", at.0 / 1_000_000, at.0 / 100_000 % 10),
    }
}

fn outcome(fence: u64, ending: Ending) -> Outcome {
    Outcome {
        fence: Fence(fence),
        ending,
        began: WallTime(1),
        took: Span(1),
        outputs: Vec::new(),
        log: None,
        last_lines: "".into(),
    }
}

fn start_of(fence: u64, path: &str, function: Function, cpu_millis: u32) -> Start {
    let task = Task {
        function,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources { cpu_millis },
        care: Default::default(),
    };
    let name = TrialName {
        run: RunNo(1),
        run_id: RunId::new("r"),
        tag: "".into(),
        path: path.into(),
        node: NodeNo(0),
        attempt: 1,
        indices: Arc::from([]),
        items: Arc::default(),
        granted: LogIndex(1),
    };
    Start { fence: Fence(fence), name, task: Arc::new(task), scope: Default::default() }
}

fn noop(fence: u64) -> Start {
    start_of(fence, &format!("n{fence}"), Function::Noop, 1_000)
}

fn process(fence: u64, path: &str, cpu_millis: u32) -> Start {
    start_of(fence, path, Function::Process(Command::Words(vec!["true".into()])), cpu_millis)
}

#[test]
fn no_ops_of_one_turn_are_one_message() {
    let mut desk = Desk::ready();
    let first = desk.input(ToWorker::Start(vec![noop(1), noop(2)]));
    let second = desk.input(ToWorker::Start(vec![noop(3)]));
    desk.turn(vec![first, second]);
    desk.check("outcomes 1:Succeeded 2:Succeeded 3:Succeeded");
    desk.told(ToWorker::Recorded(vec![Fence(1), Fence(2), Fence(3)]));
    desk.check("");
    assert!(desk.agent.is_idle());
}

#[test]
fn a_process_is_run_told_reported_and_forgotten() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    desk.check("runs 1");
    desk.hears(Input::ProcessStarted { fence: Fence(1), at: WallTime(3) });
    desk.check("begun [1]");
    desk.ends(1, Ending::Failed(ExitReason::TimeLimit));
    desk.check("outcomes 1:Failed(TimeLimit)");
    desk.told(ToWorker::Recorded(vec![Fence(1)]));
    desk.check("forgets [1]");
    assert!(desk.agent.is_idle());
}

#[test]
fn what_does_not_fit_waits_and_small_ones_do_not_overtake_a_big_one() {
    let mut desk = Desk::busy();
    let starts = vec![process(1, "a", 1_000), process(2, "b", 2_000), process(3, "c", 250)];
    desk.told(ToWorker::Start(starts));
    desk.check("runs 1");
    desk.told(ToWorker::Start(vec![process(4, "d", 0), process(5, "e", 9_000)]));
    desk.check("runs 4");
    desk.ends(1, Ending::Succeeded);
    desk.check("runs 2");
    desk.ends(2, Ending::Succeeded);
    desk.check("runs 3");
    // More than there is: it runs alone.
    desk.ends(3, Ending::Succeeded);
    desk.check("runs 5");
    desk.ends(5, Ending::Succeeded);
    desk.others_are_gone();
    // Nothing waits any more, so nothing is held back.
    desk.told(ToWorker::Start(vec![process(6, "f", 1_000)]));
    desk.ends(6, Ending::Succeeded);
    desk.check("runs 6, outcomes 6:Succeeded");
}

#[test]
fn what_is_handed_over_ahead_is_taken_back_where_it_waits() {
    let mut desk = Desk::ready();
    let most = 2 * (1 + u64::from(HANDED_AHEAD));
    let starts = (1..=most + 1).map(|fence| process(fence, &format!("s{fence}"), 1_000));
    desk.told(ToWorker::Start(starts.collect()));
    let runs: Vec<String> = (1..=most).map(|fence| format!("runs {fence}")).collect();
    desk.check(&runs.join(", "));
    desk.told(ToWorker::Cancel(vec![Fence(most)]));
    desk.check(&format!("stops {most} Cancelled"));
    desk.hears(Input::ProcessNotStarted { fence: Fence(most) });
    desk.check(&format!("runs {}, returned {most}:false", most + 1));
}

#[test]
fn outcomes_wait_for_others_while_work_waits_and_no_longer() {
    let mut desk = Desk::busy();
    let starts: Vec<_> = (1..=9).map(|fence| process(fence, &format!("s{fence}"), 1_000)).collect();
    desk.told(ToWorker::Start(starts));
    desk.check("runs 1, runs 2");
    desk.ends(1, Ending::Succeeded);
    desk.ends(2, Ending::Succeeded);
    desk.check("runs 3, runs 4");
    let due = desk.agent.wakes_at();
    assert_eq!(due, Some(BootTime(desk.seconds * 1_000_000) + OUTCOMES_HELD_FOR));
    desk.seconds += 1;
    desk.turn(Vec::new());
    desk.check("outcomes 1:Succeeded 2:Succeeded");
}

#[test]
fn a_hello_lists_all_and_is_followed_by_nothing_until_its_answer() {
    let mut desk = Desk::busy();
    let starts = vec![process(1, "a", 1_000), process(2, "b", 1_000), process(3, "c", 1_000)];
    desk.told(ToWorker::Start(starts));
    desk.ends(1, Ending::Succeeded);
    desk.check("runs 1, runs 2, runs 3");
    desk.told(ToWorker::Start(vec![process(4, "d", 1_000)]));
    desk.hears(Input::Disconnected { stream: StreamNo(1) });
    desk.connect(None);
    let others: Vec<_> = OTHERS.map(|fence| format!("{fence}=Running")).collect();
    let others = others.join(" ");
    desk.check(&format!("hello 1=Finished 2=Running 3=Running 4=Queued {others}"));
    desk.ends(2, Ending::Succeeded);
    desk.hears(Input::ProcessStarted { fence: Fence(4), at: WallTime(3) });
    desk.check("runs 4");
    desk.answered(&[(1, Verdict::Report), (2, Verdict::Keep), (3, Verdict::Kill)]);
    desk.check("stops 3 NotLeased, begun [4], outcomes 1:Succeeded 2:Succeeded, beat");
    // Whatever our own kill looks like, it is no outcome.
    desk.ends(3, Ending::Succeeded);
    desk.check("returned 3:true");
}

#[test]
fn an_older_stream_is_not_read() {
    let mut desk = Desk::ready();
    let late = desk.input(ToWorker::Start(vec![noop(1)]));
    desk.connect(None);
    desk.check("leaves Replaced, hello");
    desk.hears(late);
    desk.check("");
    desk.hears(Input::Disconnected { stream: StreamNo(1) });
    desk.answered(&[]);
    desk.check("beat");
}

#[test]
fn a_gap_or_silence_ends_the_stream() {
    let mut desk = Desk::ready();
    desk.told += 1;
    desk.told(ToWorker::Start(vec![noop(1)]));
    desk.check("leaves OutOfOrder");
    desk.connect(None);
    desk.answered(&[]);
    desk.check("hello, beat");
    desk.passes(5);
    desk.told(ToWorker::HeartbeatAcknowledged { number: 1 });
    desk.passes(5);
    desk.passes(5);
    desk.check("beat, beat, beat");
    desk.passes(4);
    desk.check("");
    desk.passes(1);
    desk.check("leaves Silent");
    assert_eq!(desk.agent.wakes_at(), None);
}

#[test]
fn cancel_stops_what_runs_and_gives_back_what_does_not() {
    let mut desk = Desk::busy();
    desk.told(ToWorker::Start(vec![process(1, "a", 2_000), process(2, "b", 1_000)]));
    desk.check("runs 1");
    desk.told(ToWorker::Cancel(vec![Fence(1), Fence(2), Fence(3)]));
    desk.check("stops 1 Cancelled, returned 2:false 3:false");
    desk.told(ToWorker::Cancel(vec![Fence(1)]));
    desk.check("");
    // Also what exits 0 on TERM: nobody knows what it left undone.
    desk.ends(1, Ending::Succeeded);
    desk.passes(1);
    desk.check("outcomes 1:Cancelled");
}

#[test]
fn recall_takes_only_what_waits_here() {
    let mut desk = Desk::busy();
    desk.told(ToWorker::Start(vec![process(1, "a", 2_000), process(2, "b", 1_000)]));
    desk.told(ToWorker::Recall(vec![Fence(1), Fence(2), Fence(9)]));
    desk.check("runs 1, returned 2:false");
    desk.told(ToWorker::Recorded(vec![Fence(2)]));
    desk.ends(1, Ending::Succeeded);
    desk.passes(1);
    desk.check("outcomes 1:Succeeded");
}

#[test]
fn two_fences_of_a_trial_never_run_side_by_side() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(5, "a", 1_000)]));
    desk.check("runs 5");
    desk.told(ToWorker::Start(vec![process(8, "a", 1_000), process(6, "b", 1_000)]));
    desk.check("runs 6");
    // An older fence than one that is held never begins at all.
    desk.told(ToWorker::Start(vec![process(7, "a", 1_000)]));
    desk.check("returned 7:false");
    desk.told(ToWorker::Kill(vec![Fence(5)]));
    desk.check("stops 5 NotLeased");
    desk.hears(Input::ProcessStopped { fence: Fence(5) });
    desk.check("runs 8, returned 5:true");
}

#[test]
fn the_same_fence_again_is_answered_with_what_is_known() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    desk.check("runs 1");
    desk.ends(1, Ending::Succeeded);
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    desk.check("outcomes 1:Succeeded, outcomes 1:Succeeded");
}

#[test]
fn a_start_that_could_not_be_recorded_is_given_back() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    desk.hears(Input::ProcessNotStarted { fence: Fence(1) });
    desk.check("runs 1, returned 1:false");
}

#[test]
fn a_stale_worker_finishes_what_runs_and_rejoins() {
    let mut desk = Desk::busy();
    desk.told(ToWorker::Start(vec![process(1, "a", 2_000), process(2, "b", 1_000)]));
    desk.told(ToWorker::Stale);
    desk.check("runs 1");
    desk.told(ToWorker::Start(vec![noop(3)]));
    desk.check("returned 3:false");
    desk.others_are_gone();
    desk.ends(1, Ending::Succeeded);
    desk.check("outcomes 1:Succeeded");
    desk.told(ToWorker::Refused(vec![Fence(1), Fence(3)]));
    desk.check("forgets [1], rejoins");
    desk.passes(1);
    desk.check("");
}

#[test]
fn a_new_life_takes_up_what_its_records_say() {
    let mut desk = Desk::new();
    let record = |fence, state| Remembered {
        fence: Fence(fence),
        run: RunNo(1),
        path: format!("p{fence}").into(),
        cpu_millis: 1_000,
        state,
    };
    desk.agent.remember([
        record(1, RememberedAs::Running { stopping: None }),
        record(2, RememberedAs::Finished(outcome(2, Ending::Succeeded))),
        record(3, RememberedAs::Gone { started: true }),
        record(4, RememberedAs::Running { stopping: Some(Stop::Cancelled) }),
    ]);
    desk.connect(None);
    desk.check("hello 1=Running 2=Finished 3=Gone 4=Running");
    desk.ends(4, Ending::Failed(ExitReason::Signal(15)));
    desk.answered(&[(2, Verdict::Report), (3, Verdict::Report), (4, Verdict::Cancel)]);
    desk.check("outcomes 2:Succeeded 4:Cancelled, returned 3:true, beat");
    desk.told(ToWorker::Recorded(vec![Fence(2), Fence(3), Fence(4)]));
    desk.check("forgets [2, 3, 4]");
}

#[test]
fn an_outcome_over_its_bound_becomes_a_failure() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000)]));
    let mut outcome = outcome(1, Ending::Succeeded);
    let value = Value::text(&"x".repeat(70_000));
    outcome.outputs.push(Written { name: "big".into(), value, way: OutputWay::File });
    desk.hears(Input::ProcessEnded(outcome));
    desk.check("runs 1, outcomes 1:Failed(BadOutput)");
}

#[test]
fn a_fence_that_waits_is_given_back_for_a_newer_one_of_its_trial() {
    let mut desk = Desk::busy();
    desk.told(ToWorker::Start(vec![process(1, "a", 2_000), process(2, "b", 1_000)]));
    desk.told(ToWorker::Start(vec![process(3, "b", 1_000)]));
    desk.check("runs 1, returned 2:false");
    desk.ends(1, Ending::Succeeded);
    desk.check("runs 3");
}

#[test]
fn that_a_lease_is_not_ours_outweighs_that_its_run_was_cancelled() {
    let mut desk = Desk::ready();
    desk.told(ToWorker::Start(vec![process(1, "a", 1_000), process(2, "b", 1_000)]));
    desk.told(ToWorker::Cancel(vec![Fence(1)]));
    desk.told(ToWorker::Kill(vec![Fence(1), Fence(2)]));
    desk.check("runs 1, runs 2, stops 1 Cancelled, stops 1 NotLeased, stops 2 NotLeased");
    desk.told(ToWorker::Cancel(vec![Fence(1), Fence(2)]));
    desk.check("");
    desk.ends(1, Ending::Succeeded);
    desk.ends(2, Ending::Succeeded);
    desk.check("returned 1:true, returned 2:true");
}
