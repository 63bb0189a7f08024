//! How long a replica takes to come back with a million nodes and 64 MiB of log behind them.
//!
//! `cargo run --release -p dagmar-coordinator --example restart -- DIRECTORY`

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use dagmar_common::graph::{self, EdgeKind, Function, Graph, NodeKind, SectionBuilder, Task};
use dagmar_common::ids::{
    ClusterId, Digest, Fence, Incarnation, LogIndex, NodeNo, ReplicaId, RequestId, RunId, Session,
    StorageId, TaskNo, WorkerId,
};
use dagmar_common::lease::{Ending, Outcome};
use dagmar_common::limits::STAGE_CHUNK_BYTES;
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator::replay;
use dagmar_coordinator::store::{LocalSnapshots, LocalStore, Owner, SnapshotStore, Store};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{
    Batch, Command, Part, Payload, Position, Submit, WorkerHello,
};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::stored;
use dagmar_replica::durable::{EntryKind, HardState};
use dagmar_replica::{LogEntry, Persist, Recovered, SnapshotMeta, Token};
use rustix::time::{ClockId, clock_gettime};

const OWNER: Owner = Owner { cluster: ClusterId(1), replica: ReplicaId(1), storage: StorageId(1) };
const WORKER: WorkerId = WorkerId(1);
const NODES: u32 = 1_000_000;
const LAYER: u32 = 1_000;
const LOG_BYTES: usize = 64 << 20;
/// Entries that one transaction of the store holds here; nobody waits for them.
const ENTRIES: usize = 64;
const RESTARTS: usize = 3;

fn main() -> anyhow::Result<()> {
    let parent = std::env::args().nth(1).context("name a directory on the disk to measure")?;
    let directory = Path::new(&parent).join(format!("dagmar-restart-{}", std::process::id()));
    let measured = write(&directory).and_then(|()| measure(&directory));
    std::fs::remove_dir_all(&directory)?;
    measured
}

fn measure(directory: &Path) -> anyhow::Result<()> {
    for _ in 0..RESTARTS {
        let (begun, processor) = (Instant::now(), cpu());
        let opened = LocalStore::open(directory)?;
        let opening = begun.elapsed();
        let Recovered { base, mut entries, .. } = opened.recovered;
        let mut state = replay::restore(&opened.snapshots, &base)?;
        let restored = begun.elapsed();
        let (mut out, mut bytes) = (Applied::default(), 0);
        entries.retain(|entry| entry.index > state.last_applied());
        entries.retain(|entry| {
            bytes < LOG_BYTES && {
                bytes += entry.data.len();
                true
            }
        });
        for (position, batch) in replay::decoded(&entries, state.last_applied()) {
            state.apply(position, batch?, &mut out);
        }
        anyhow::ensure!(bytes >= LOG_BYTES, "{bytes} bytes of log behind the snapshot");
        let whole = begun.elapsed();
        println!(
            "restart in {whole:.2?}, {:.2?} of them on a processor: opened and verified in \
             {opening:.2?}, snapshot restored in {:.2?}, {} MiB replayed in {:.2?}",
            cpu().saturating_sub(processor),
            restored - opening,
            bytes >> 20,
            whole - restored
        );
    }
    Ok(())
}

/// On a processor, by all threads: the machine may be busy.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Writes the snapshot and the log behind it.
fn write(directory: &Path) -> anyhow::Result<()> {
    let (mut log, mut snapshots) = Log::begin(directory)?;
    log.submit(1)?;
    log.flush()?;
    let (index, term) = (log.state.last_applied(), log.base.term);
    let meta = SnapshotMeta { index, term, membership: log.base.membership.clone() };
    let begun = Instant::now();
    let frozen = log.state.freeze();
    let froze = begun.elapsed();
    let mut chunks = Vec::new();
    frozen.write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    })?;
    let (packed, size) = (begun.elapsed(), chunks.iter().map(Vec::len).sum::<usize>());
    snapshots.save(&meta, &mut chunks.into_iter())?;
    println!(
        "snapshot of {NODES} live nodes: {} MiB, frozen in {froze:.2?}, packed in {packed:.2?}, \
         durable in {:.2?}",
        size >> 20,
        begun.elapsed()
    );
    log.bytes = 0;
    let mut runs = 1;
    while log.bytes < LOG_BYTES {
        if !log.hop()? {
            runs += 1;
            log.submit(runs)?;
        }
    }
    log.flush()?;
    println!("{} MiB of log behind it: trials and submissions of {runs} runs", log.bytes >> 20);
    Ok(())
}

/// A leader and its log, without the agreement between them.
struct Log {
    store: LocalStore,
    base: SnapshotMeta,
    hard_state: HardState,
    pending: Vec<LogEntry>,
    state: State,
    out: Applied,
    bytes: usize,
}

impl Log {
    fn begin(directory: &Path) -> anyhow::Result<(Self, LocalSnapshots)> {
        let Recovered { base, hard_state, .. } = Recovered::bootstrap(&[OWNER.replica]);
        let (mut state, mut out) = (State::new(), Applied::default());
        let commands = vec![Command::LeaderUp, Command::Hello(hello())];
        let entry = apply(&mut state, &base, commands, &mut out);
        let entries = vec![entry];
        let first = Persist { token: Token::UNASKED, snapshot: None, entries, hard_state };
        let (store, snapshots) = LocalStore::create(directory, OWNER, &base, &first)?;
        let pending = Vec::new();
        Ok((Log { store, base, hard_state, pending, state, out, bytes: 0 }, snapshots))
    }

    fn add(&mut self, commands: Vec<Command>) -> anyhow::Result<()> {
        let entry = apply(&mut self.state, &self.base, commands, &mut self.out);
        self.bytes += entry.data.len();
        self.pending.push(entry);
        if self.pending.len() >= ENTRIES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let entries = std::mem::take(&mut self.pending);
        let Some(last) = entries.last() else { return Ok(()) };
        self.hard_state.commit = last.index;
        let hard_state = self.hard_state;
        let persist = Persist { token: Token::UNASKED, snapshot: None, entries, hard_state };
        Ok(self.store.persist(&persist)?)
    }

    /// A run of [`NODES`] no-ops in layers, staged and begun.
    fn submit(&mut self, number: u32) -> anyhow::Result<()> {
        let bytes = graph::encode(&layers(number));
        let (part, digest, total) = (Part::Graph, Digest::of(&bytes), bytes.len() as u64);
        for (place, chunk) in (0..).zip(bytes.chunks(STAGE_CHUNK_BYTES)) {
            let offset = place * STAGE_CHUNK_BYTES as u64;
            let bytes = chunk.to_vec();
            self.add(vec![Command::Stage { part, digest, offset, total, bytes }])?;
        }
        while self.state.has_agenda() {
            self.add(vec![Command::Continue])?;
        }
        self.add(vec![Command::Submit(Submit {
            request: RequestId(number.into()),
            run: RunId::new(&format!("run-{number}")),
            generated: false,
            tag: String::new(),
            graph: Payload::Staged(digest),
            parameters: Payload::Inline(stored::encode_parameters(&[])),
            context: Value::from_spelled("{}"),
        })])?;
        let is_begun = matches!(self.out.replies[..], [Reply::Submitted { .. }]);
        anyhow::ensure!(is_begun, "{:?}", self.out.replies);
        Ok(())
    }

    /// All that was started ends well; false if nothing was.
    fn hop(&mut self) -> anyhow::Result<bool> {
        let starts = self.out.effects.iter().filter_map(|effect| match effect {
            Effect::Start { fence, .. } => Some(outcome(*fence)),
            _ => None,
        });
        let outcomes: Vec<_> = starts.collect();
        if outcomes.is_empty() {
            return Ok(false);
        }
        self.add(vec![Command::Outcomes { worker: WORKER, outcomes }])?;
        Ok(true)
    }
}

fn apply(
    state: &mut State,
    base: &SnapshotMeta,
    commands: Vec<Command>,
    out: &mut Applied,
) -> LogEntry {
    let index = LogIndex(state.last_applied().max(base.index).0 + 1);
    let (term, at) = (base.term, LogTime(index.0 * 100));
    let batch = Batch { term, at, wall: WallTime(1_700_000_000_000_000), commands };
    let mut data = Vec::new();
    stored::encode_batch(&batch, &mut data);
    state.apply(Position { index, term }, batch, out);
    LogEntry { index, term, kind: EntryKind::Data, data: Bytes::from(data) }
}

fn layers(number: u32) -> Graph {
    let task = Task {
        care: Default::default(),
        function: Function::Noop,
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Default::default(),
    };
    let name = format!("restart-{number}");
    let mut graph = Graph { name, tasks: vec![task], ..Graph::default() };
    let mut section = SectionBuilder::default();
    for node in 0..NODES {
        section.node(&format!("t{node}"), NodeKind::Task(TaskNo(0)), true);
    }
    for node in LAYER..NODES {
        for parent in 0..3 {
            let parent = node / LAYER * LAYER - LAYER + (node + parent * 7) % LAYER;
            section.edge(NodeNo(parent), EdgeKind::Needs, NodeNo(node));
        }
    }
    graph.sections.push(section.finish());
    graph.finish()
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
        name: "restart".into(),
        cpu_millis: 4_000,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(Session(1)),
        lost_after: None,
    }
}
