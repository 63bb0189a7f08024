//! One state machine and the clock beside it.

use std::time::{Duration, Instant};

use dagmar_common::graph::{self, Graph};
use dagmar_common::ids::{
    Digest, Fence, Incarnation, LogIndex, RequestId, RunId, Session, Term, WorkerId,
};
use dagmar_common::lease::{Ending, Outcome};
use dagmar_common::limits::STAGE_CHUNK_BYTES;
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::{
    Batch, Command, Part, Payload, Position, Submit, WorkerHello,
};
use dagmar_coordinator_core::effect::{Applied, Effect};
use dagmar_coordinator_core::stored;

pub struct Bench {
    pub state: State,
    index: u64,
    pub spent: Duration,
    pub longest: Duration,
    pub applied: Applied,
}

pub const WORKER: WorkerId = WorkerId(1);

impl Bench {
    /// A leader is up, and these workers are ready with so many thousandths of a cpu.
    pub fn new(workers: &[(WorkerId, u32)]) -> Self {
        let (state, applied) = (State::new(), Applied::default());
        let (spent, longest) = Default::default();
        let mut bench = Bench { state, index: 0, spent, longest, applied };
        bench.apply(vec![Command::LeaderUp]);
        bench.apply(workers.iter().map(|worker| Command::Hello(hello(*worker))).collect());
        bench
    }

    /// Stages the graph and its parameter `items`.
    pub fn submission(&mut self, graph: &Graph, items: &str) -> Submit {
        let parameters = [("items".into(), Value::from_spelled(items))];
        Submit {
            request: RequestId(1),
            run: RunId::new("figures"),
            generated: false,
            tag: String::new(),
            graph: self.stage(Part::Graph, &graph::encode(graph)),
            parameters: self.stage(Part::Parameters, &stored::encode_parameters(&parameters)),
            context: Value::from_spelled("{}"),
        }
    }

    pub fn apply(&mut self, commands: Vec<Command>) {
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

    pub fn starts(&self) -> impl Iterator<Item = Fence> + '_ {
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

pub fn outcome(fence: Fence, took_us: u64) -> Outcome {
    Outcome {
        fence,
        ending: Ending::Succeeded,
        began: WallTime(1_700_000_000_000_000),
        took: Span(took_us),
        outputs: Vec::new(),
        log: None,
        last_lines: Default::default(),
    }
}

fn hello((worker, cpu_millis): (WorkerId, u32)) -> WorkerHello {
    WorkerHello {
        worker,
        incarnation: Incarnation { number: 1, nonce: 1 },
        name: "bench".into(),
        cpu_millis,
        labels: Vec::new(),
        held: Vec::new(),
        born_ready: Some(Session(1)),
        lost_after: None,
    }
}

/// On a processor, by this thread.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Of this process, in KiB.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4
}
