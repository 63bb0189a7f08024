//! Figures of the state machine alone, on one core: `cargo run --release -p
//! dagmar-coordinator-core --example figures`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement is a shell: it has a clock and says what it found"
)]

use std::time::{Duration, Instant};

use dagmar_common::graph::{
    self, Composite, CompositeMode, EdgeKind, Function, Graph, NodeKind, Resources, SectionBuilder,
    Task,
};
use dagmar_common::ids::{
    CompositeNo, Digest, Fence, Incarnation, LogIndex, NodeNo, RequestId, RunId, SectionNo,
    Session, TaskNo, Term, WorkerId,
};
use dagmar_common::lease::{Ending, Outcome};
use dagmar_common::limits::STAGE_CHUNK_BYTES;
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{
    Batch, Command, Part, Payload, Position, Submit, WorkerHello,
};
use dagmar_coordinator_core::effect::{Applied, Effect, Event};
use dagmar_coordinator_core::stored;

const WORKER: WorkerId = WorkerId(1);

fn main() {
    let only = std::env::args().nth(1);
    let wants = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wants("wide") {
        report("wide, 1,000,000 no-ops", &wide(1_000_000), "[]");
    }
    if wants("layers") {
        report("100 layers of 1,000, 3 parents each", &layers(100, 1_000, 3), "[]");
    }
    if wants("million") {
        report("1,000 layers of 1,000, 3 parents each", &layers(1_000, 1_000, 3), "[]");
    }
    if wants("chain") {
        report("chain of 100,000", &layers(100_000, 1, 1), "[]");
    }
    if wants("map") {
        let items: Vec<String> = (0..1_000_000).map(|item: u32| item.to_string()).collect();
        report("map over 1,000,000 stubs", &map(), &format!("[{}]", items.join(", ")));
    }
}

struct Bench {
    state: State,
    index: u64,
    spent: Duration,
    longest: Duration,
    applied: Applied,
}

impl Bench {
    fn apply(&mut self, commands: Vec<Command>) {
        self.index += 1;
        let term = Term(1);
        let at = LogTime(self.index * 100);
        let batch = Batch { term, at, wall: WallTime(1_700_000_000_000_000), commands };
        let position = Position { index: LogIndex(self.index), term };
        let began = Instant::now();
        self.state.apply(position, batch, &mut self.applied);
        let took = began.elapsed();
        self.spent += took;
        self.longest = self.longest.max(took);
    }

    fn starts(&self) -> impl Iterator<Item = Fence> + '_ {
        self.applied.effects.iter().filter_map(|effect| match effect {
            Effect::Start { fence, .. } => Some(*fence),
            _ => None,
        })
    }

    fn stage(&mut self, part: Part, bytes: &[u8]) -> Payload {
        let digest = Digest::of(bytes);
        for (number, chunk) in bytes.chunks(STAGE_CHUNK_BYTES).enumerate() {
            let offset = (number * STAGE_CHUNK_BYTES) as u64;
            let (total, bytes) = (bytes.len() as u64, chunk.to_vec());
            self.apply(vec![Command::Stage { part, digest, offset, total, bytes }]);
        }
        while self.state.has_agenda() {
            self.apply(vec![Command::Continue]);
        }
        Payload::Staged(digest)
    }
}

fn report(name: &str, graph: &Graph, items: &str) {
    let mut bench = Bench {
        state: State::new(),
        index: 0,
        spent: Duration::ZERO,
        longest: Duration::ZERO,
        applied: Applied::default(),
    };
    bench.apply(vec![Command::LeaderUp, Command::Hello(hello())]);
    let bytes = graph::encode(graph);
    let parameters = [("items".into(), Value::from_spelled(items))];
    let graph_payload = bench.stage(Part::Graph, &bytes);
    let parameters = bench.stage(Part::Parameters, &stored::encode_parameters(&parameters));
    let nodes = graph.step_count() as u64;
    drop(bytes);
    let staged = (bench.spent, bench.longest);
    let before = resident();
    (bench.spent, bench.longest) = Default::default();
    bench.apply(vec![Command::Submit(Submit {
        request: RequestId(1),
        run: RunId::new("figures"),
        generated: false,
        tag: String::new(),
        graph: graph_payload,
        parameters,
        context: Value::from_spelled("{}"),
    })]);
    let submitted = bench.spent;
    bench.spent = Duration::ZERO;
    bench.longest = Duration::ZERO;
    let mut waiting: Vec<Fence> = bench.starts().collect();
    let cpu_before = cpu();
    let played = play(&mut bench, &mut waiting, before);
    let cpu = cpu().saturating_sub(cpu_before);
    let counts = bench.state.runs().next().map(|run| run.counts()).unwrap_or_default();
    let done = counts.ended().max(nodes);
    println!("{name}:");
    println!(
        "  staged in {:.1?} (longest entry {:.1?}), submit {submitted:.1?}, {done} nodes in {:.2?}, {} entries",
        staged.0, staged.1, bench.spent, played.entries
    );
    let rate = |count: u64| count as f64 / bench.spent.as_secs_f64();
    println!("  {:.0} nodes/s, {:.0} outcomes/s", rate(done), rate(played.outcomes));
    // The machine may be busy; making the batches is in this one.
    println!("  {:.0} nodes/s of processor time", done as f64 / cpu.as_secs_f64());
    println!("  longest entry {:.2?}, longest freeze {:.2?}", bench.longest, played.frozen);
    let grown = played.peak.max(resident()).saturating_sub(before) as f64 / 1024.0;
    let each = grown * 1024.0 * 1024.0 / done as f64;
    println!("  resident memory grew by {grown:.1} MiB, {each:.0} bytes a node");
    snapshot(&mut bench.state);
}

struct Played {
    outcomes: u64,
    entries: u64,
    peak: u64,
    frozen: Duration,
}

/// Answers every start at once until the run has ended.
fn play(bench: &mut Bench, waiting: &mut Vec<Fence>, before: u64) -> Played {
    let mut played = Played { outcomes: 0, entries: 0, peak: before, frozen: Duration::ZERO };
    loop {
        let is_end = |effect: &Effect| matches!(effect, Effect::Event(Event::RunEnded { .. }));
        if bench.applied.effects.iter().any(is_end) {
            return played;
        }
        played.outcomes += waiting.len() as u64;
        played.entries += 1;
        let command = match waiting.is_empty() {
            true => Command::Continue,
            false => Command::Outcomes {
                worker: WORKER,
                outcomes: waiting.drain(..).map(outcome).collect(),
            },
        };
        bench.apply(vec![command]);
        waiting.extend(bench.starts());
        if played.entries.is_multiple_of(64) {
            played.peak = played.peak.max(resident());
        }
        if played.entries.is_multiple_of(997) {
            let began = Instant::now();
            drop(bench.state.freeze());
            played.frozen = played.frozen.max(began.elapsed());
        }
    }
}

fn snapshot(state: &mut State) {
    let began = Instant::now();
    let frozen = state.freeze();
    let froze = began.elapsed();
    let mut chunks = Vec::new();
    let written = frozen.write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    let wrote = began.elapsed();
    let bytes: usize = chunks.iter().map(Vec::len).sum();
    let began = Instant::now();
    let restored = State::restore(&chunks).is_ok() && written.is_ok();
    println!(
        "  snapshot of {} MiB: frozen in {froze:.1?}, written in {wrote:.1?}, restored in {:.1?}: \
         {}",
        bytes >> 20,
        began.elapsed(),
        if restored { "whole" } else { "broken" }
    );
}

fn outcome(fence: Fence) -> Outcome {
    Outcome {
        fence,
        ending: Ending::Succeeded,
        began: WallTime(1_700_000_000_000_000),
        took: Span(1),
        outputs: Vec::new(),
        log: None,
        last_lines: Default::default(),
    }
}

fn hello() -> WorkerHello {
    WorkerHello {
        worker: WORKER,
        incarnation: Incarnation { number: 1, nonce: 1 },
        name: "bench".into(),
        cpu_millis: 4_000,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(Session(1)),
        lost_after: None,
    }
}

fn with_task() -> Graph {
    let task = Task {
        function: Function::Noop,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
    };
    Graph { name: "figures".into(), tasks: vec![task], ..Graph::default() }
}

fn wide(count: u32) -> Graph {
    let mut graph = with_task();
    let mut section = SectionBuilder::default();
    for number in 0..count {
        section.node(&format!("t{number}"), NodeKind::Task(TaskNo(0)), true);
    }
    graph.sections.push(section.finish());
    graph.finish()
}

fn layers(depth: u32, width: u32, parents: u32) -> Graph {
    let mut graph = with_task();
    let mut section = SectionBuilder::default();
    for number in 0..depth * width {
        section.node(&format!("t{number}"), NodeKind::Task(TaskNo(0)), true);
    }
    for layer in 1..depth {
        for place in 0..width {
            for parent in 0..parents {
                let from = (layer - 1) * width + (place + parent * 7) % width;
                section.edge(NodeNo(from), EdgeKind::Needs, NodeNo(layer * width + place));
            }
        }
    }
    graph.sections.push(section.finish());
    graph.finish()
}

fn map() -> Graph {
    let mut graph = Graph { name: "figures".into(), ..Graph::default() };
    let mut root = SectionBuilder::default();
    root.node("m", NodeKind::Composite(CompositeNo(0)), true);
    let mut body = SectionBuilder::default();
    body.node("s", NodeKind::Stub, true);
    graph.sections = vec![root.finish(), body.finish()];
    graph.composites.push(Composite {
        mode: CompositeMode::Map {
            body: SectionNo(1),
            iterate_on: "items".into(),
            iterate_as: "item".into(),
            index_as: None,
            max_parallel: None,
        },
    });
    graph.finish()
}

/// On a processor, by this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4
}
