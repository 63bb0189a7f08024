//! What is large holds nobody up: entries are counted, and what each of them changes.

use dagmar_common::graph::{self, EdgeKind, Function, Graph, NodeKind, SectionBuilder, Task};
use dagmar_common::ids::{
    Digest, LogIndex, NodeNo, RequestId, RunId, RunNo, Session, TaskNo, Term, WorkerId,
};
use dagmar_common::lease::Ending;
use dagmar_common::limits::{
    EDGES_PER_UNIT, ENTRY_UNITS_MAX, LOST_AFTER, STAGE_CHUNK_BYTES, WORKER_LEASES_MAX,
};
use dagmar_common::record::{NodeStatus, RunStatus};
use dagmar_common::time::{LogTime, WallTime};

use super::world::{WORKER, World, hello, outcome, snapshot};
use crate::State;
use crate::command::{Batch, Command, Part, Payload, Position};
use crate::effect::{Applied, Effect, Event, Refusal, Reply};

/// Nodes of what is large; a million in the figures, less here where nothing is optimised.
const MANY: u32 = 200_000;
/// What one entry may change at most: its units, and a quarter more that timers or the agenda get
/// where commands have used them.
const CHANGES_MAX: usize = (ENTRY_UNITS_MAX + ENTRY_UNITS_MAX / 4) as usize;
/// The same beside others: a quarter, what the one step leaves that began before the end of it, and
/// the hop.
const BESIDE_CHANGES_MAX: usize = (ENTRY_UNITS_MAX / 4 + EDGES_PER_UNIT) as usize;

/// A state by itself, without the checks of a [`World`] that look at every row after every entry.
struct Bare {
    state: State,
    applied: Applied,
    time: u64,
    entries: u64,
    has_chain: bool,
}

impl Bare {
    /// A leader is up, and one worker is ready.
    fn new(cpus: u32) -> Self {
        let (state, applied) = (State::new(), Applied::default());
        let mut bare = Bare { state, applied, time: 0, entries: 0, has_chain: false };
        bare.apply(vec![Command::LeaderUp, Command::Hello(hello(WORKER, 1, cpus))]);
        bare
    }

    #[track_caller]
    fn apply(&mut self, mut commands: Vec<Command>) -> Vec<Reply> {
        self.entries += 1;
        let (term, at) = (Term(1), LogTime(self.time));
        let position = Position { index: LogIndex(self.entries), term };
        let asked = commands.len();
        commands.extend(self.hop());
        let batch = Batch { term, at, wall: WallTime(0), commands };
        self.state.apply(position, batch, &mut self.applied);
        let changes = self.applied.effects.iter().filter(|effect| is_change(effect)).count();
        assert!(changes <= CHANGES_MAX, "entry {} changes {changes} nodes", self.entries);
        if self.has_chain {
            assert!(self.hop().is_some(), "no hop in entry {}", self.entries);
            assert!(changes <= BESIDE_CHANGES_MAX, "entry {}: {changes} changes", self.entries);
        }
        let mut replies = self.applied.replies.clone();
        replies.truncate(asked);
        replies
    }

    /// The trial that the last entry started ends well, where a chain runs beside all else.
    fn hop(&self) -> Option<Command> {
        let start = |effect: &Effect| match effect {
            Effect::Start { fence, .. } => Some(*fence),
            _ => None,
        };
        let fence = self.applied.effects.iter().find_map(start).filter(|_| self.has_chain)?;
        let outcomes = vec![outcome(fence, Ending::Succeeded, &[])];
        Some(Command::Outcomes { worker: WORKER, outcomes })
    }

    /// From here on a chain of tasks runs beside all else and makes one hop in every entry.
    fn with_chain(mut self) -> Self {
        self.submit("chain", &chain(20_000));
        self.has_chain = true;
        self
    }

    fn stage(&mut self, graph: &Graph) -> Payload {
        let bytes = graph::encode(graph);
        let (part, digest, total) = (Part::Graph, Digest::of(&bytes), bytes.len() as u64);
        for (place, chunk) in (0..).zip(bytes.chunks(STAGE_CHUNK_BYTES)) {
            let offset = place * STAGE_CHUNK_BYTES as u64;
            let stage = Command::Stage { part, digest, offset, total, bytes: chunk.to_vec() };
            assert_eq!(self.apply(vec![stage]), [Reply::Done]);
        }
        Payload::Staged(digest)
    }

    /// Asked until its checks are done, each time with a hop of the chain.
    fn submit(&mut self, run: &str, graph: &Graph) -> RunNo {
        let mut submit = World::empty().submission(run, &Graph::default(), &[]);
        submit.request = RequestId(u128::from(self.entries));
        submit.graph = self.stage(graph);
        loop {
            match &self.apply(vec![Command::Submit(submit.clone())])[..] {
                [Reply::Submitted { number, .. }] => return *number,
                [Reply::Later] => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn is_running(&self, run: RunNo) -> bool {
        self.state.run(run).is_some_and(|run| run.status() == RunStatus::Running)
    }

    fn until_end(&mut self, run: RunNo) {
        while self.is_running(run) {
            assert!(self.state.has_agenda(), "nothing is left to do, and {run} has not ended");
            self.apply(vec![Command::Continue]);
        }
    }
}

/// A node that became ready or ended. Grants have a bound of their own.
fn is_change(effect: &Effect) -> bool {
    matches!(effect, Effect::Event(Event::Node { status, .. }) if *status != NodeStatus::Leased)
}

fn one_task(fill: impl FnOnce(&mut SectionBuilder)) -> Graph {
    let task = Task {
        function: Function::Noop,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Default::default(),
        care: Default::default(),
    };
    let mut graph = Graph { name: "scale".into(), tasks: vec![task], ..Graph::default() };
    let mut section = SectionBuilder::default();
    fill(&mut section);
    graph.sections.push(section.finish());
    graph.finish()
}

fn nodes(section: &mut SectionBuilder, count: u32, kind: NodeKind) {
    for number in 0..count {
        section.node(&format!("n{number}"), kind, true);
    }
}

fn chain(length: u32) -> Graph {
    one_task(|section| {
        nodes(section, length, NodeKind::Task(TaskNo(0)));
        for number in 1..length {
            section.edge(NodeNo(number - 1), EdgeKind::Needs, NodeNo(number));
        }
    })
}

/// Layers of 1,000 stubs with 3 parents each.
fn layers(count: u32) -> Graph {
    one_task(|section| {
        nodes(section, count, NodeKind::Stub);
        for number in 1_000..count {
            let below = number / 1_000 * 1_000 - 1_000;
            for parent in 0..3 {
                let parent = below + (number + parent * 7) % 1_000;
                section.edge(NodeNo(parent), EdgeKind::Needs, NodeNo(number));
            }
        }
    })
}

/// All behind the first.
fn fan(count: u32) -> Graph {
    one_task(|section| {
        nodes(section, count, NodeKind::Stub);
        for number in 1..count {
            section.edge(NodeNo(0), EdgeKind::Needs, NodeNo(number));
        }
    })
}

fn wide(count: u32) -> Graph {
    one_task(|section| nodes(section, count, NodeKind::Task(TaskNo(0))))
}

/// Every entry holds a hop of the chain, from the first chunk to the end of the run.
#[track_caller]
fn check_beside_a_chain(graph: &Graph) {
    let mut bare = Bare::new(1).with_chain();
    let large = bare.submit("large", graph);
    assert!(bare.is_running(large), "it takes more than one entry");
    bare.until_end(large);
    let counts = bare.state.run(large).map(|run| run.counts()).unwrap_or_default();
    assert_eq!(counts.succeeded, u64::from(MANY));
}

#[test]
fn a_run_of_many_stubs_delays_a_hop_by_no_entry() {
    check_beside_a_chain(&layers(MANY));
}

#[test]
fn a_wide_fan_out_delays_a_hop_by_no_entry() {
    check_beside_a_chain(&fan(MANY));
}

#[test]
fn a_run_of_many_tasks_is_cancelled_in_small_steps() {
    let mut bare = Bare::new(0);
    let large = bare.submit("large", &wide(MANY));
    let run = RunId::new("large");
    let reason = "enough".into();
    bare.apply(vec![Command::Cancel { request: RequestId(9), run, reason }]);
    assert!(bare.is_running(large), "it takes more than one entry");
    bare.until_end(large);
    let counts = bare.state.run(large).map(|run| run.counts()).unwrap_or_default();
    assert_eq!(counts.cancelled, u64::from(MANY));
}

#[test]
fn a_worker_holds_no_more_than_one_entry_can_take_from_it() {
    let workers: Vec<_> = (1..=25).map(WorkerId).collect();
    let mut bare = Bare::new(0);
    bare.submit("large", &wide(MANY));
    let hellos = workers.iter().map(|worker| Command::Hello(hello(*worker, 1, 100_000)));
    bare.apply(hellos.collect());
    while bare.state.has_agenda() {
        bare.apply(vec![Command::Continue]);
    }
    let held = bare.state.workers().map(|worker| worker.leases).sum::<u32>();
    assert_eq!(held, 25 * WORKER_LEASES_MAX, "more than 100,000");

    let session = Session(1);
    let suspended = |worker| Command::WorkerSuspended { worker, session };
    bare.apply(workers.iter().map(|worker| suspended(*worker)).collect());
    bare.time = LOST_AFTER.0;
    let lost = |worker| Command::WorkerLost { worker, started: Vec::new(), unsent: Vec::new() };
    let mut left = workers;
    while !left.is_empty() {
        let replies = bare.apply(left.iter().map(|worker| lost(*worker)).collect());
        let before = left.len();
        let mut replies = replies.iter();
        left.retain(|_| replies.next() == Some(&Reply::Dropped));
        assert_eq!(left.len(), before - 1, "one in each entry");
    }
    assert!(bare.state.leases.iter().all(|(_, lease)| !lease.is_live));
}

/// A state that is restored halfway goes on as the other does, and so does its snapshot.
#[test]
fn checks_go_on_from_a_snapshot() {
    let mut bare = Bare::new(1);
    let graph = layers(100_000);
    let bytes = graph::encode(&graph);
    let Payload::Staged(digest) = bare.stage(&graph) else { unreachable!("it was staged") };
    assert!(bare.state.staging.is_checking(), "its checks take more than one entry");
    let mut submit = World::empty().submission("large", &Graph::default(), &[]);
    submit.graph = Payload::Staged(digest);
    let mut twin = Bare::new(1);
    for round in 0.. {
        let chunks = snapshot(&mut bare.state);
        twin.state = State::restore(&chunks).expect("a snapshot can be restored");
        assert!(snapshot(&mut twin.state) == chunks, "it comes back as it was");
        twin.entries = bare.entries;
        let replies = bare.apply(vec![Command::Submit(submit.clone())]);
        assert_eq!(twin.apply(vec![Command::Submit(submit.clone())]), replies);
        assert_eq!(twin.applied.effects, bare.applied.effects);
        if replies != [Reply::Later] {
            assert!(round > 1, "{round} rounds");
            break;
        }
    }
    let run = bare.state.find_run(&RunId::new("large"));
    assert_eq!(run.map(|run| graph::encode(run.graph()) == bytes), Some(true));
}

#[test]
fn a_staged_graph_that_cannot_run_is_refused_and_forgotten() {
    let mut bare = Bare::new(1);
    let double = one_task(|section| {
        nodes(section, 5_000, NodeKind::Stub);
        nodes(section, 1, NodeKind::Stub);
    });
    let mut submit = World::empty().submission("double", &Graph::default(), &[]);
    submit.graph = bare.stage(&double);
    let replies = bare.apply(vec![Command::Submit(submit)]);
    let [Reply::Refused(Refusal::BadGraph { why })] = &replies[..] else { panic!("{replies:?}") };
    assert!(why.contains("has the name of another"), "{why}");
    assert!(bare.state.staging.blobs.is_empty());
}
