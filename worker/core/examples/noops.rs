//! What the agent costs for one no-op trial: batches of starts in, one message of outcomes out.
//!
//! `cargo run --release -p dagmar-worker-core --example noops`

// A measurement is a shell: it has a clock and says what it found.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dagmar_common::graph::{Function, Resources, Task};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo, Session, StreamNo};
use dagmar_common::lease::{FromWorker, Numbered, Start, ToWorker, TrialName};
use dagmar_common::time::{BootTime, Now, WallTime};
use dagmar_worker_core::{Agent, Identity, Input, Output};

const BATCH: u64 = 512;
const BATCHES: u64 = 4_000;

fn main() {
    let mut agent = Agent::new(Identity {
        worker: Default::default(),
        incarnation: Default::default(),
        name: "bench".into(),
        cpu_millis: 2_000,
        labels: Vec::new(),
    });
    let (stream, task) = (StreamNo(1), task());
    let (mut inputs, mut out) = (Vec::new(), Vec::new());
    inputs.push(Input::Connected { stream, born_ready: Some(Session(1)) });
    let (mut took, mut number, mut outcomes) = (Duration::ZERO, 0, 0);
    let mut receive = |message| {
        number += 1;
        Input::Received { stream, message: Numbered { number, message } }
    };
    for batch in 0..BATCHES {
        let fences = batch * BATCH + 1..(batch + 1) * BATCH + 1;
        let starts = fences.clone().map(|fence| start(Fence(fence), &task)).collect();
        inputs.push(receive(ToWorker::Start(starts)));
        let now = Now { boot: BootTime(batch * 100), wall: WallTime(0) };
        let before = Instant::now();
        agent.turn(now, &mut inputs, &mut out);
        took += before.elapsed();
        for output in out.drain(..) {
            if let Output::Send { message, .. } = output
                && let FromWorker::Outcomes(said) = message.message
            {
                outcomes += said.len();
            }
        }
        inputs.push(receive(ToWorker::Recorded(fences.map(Fence).collect())));
        let before = Instant::now();
        agent.turn(now, &mut inputs, &mut out);
        took += before.elapsed();
    }
    assert_eq!(outcomes as u64, BATCH * BATCHES);
    let each = took.as_nanos() / u128::from(BATCH * BATCHES);
    println!("{each} ns for a no-op: started, said and forgotten, in batches of {BATCH}");
}

fn task() -> Arc<Task> {
    let resources = Resources::default();
    let (function, backoff, time_limit) = (Function::Noop, None, None);
    Arc::new(Task {
        function,
        max_attempts: 1,
        backoff,
        time_limit,
        resources,
        care: Default::default(),
    })
}

fn start(fence: Fence, task: &Arc<Task>) -> Start {
    let name = TrialName {
        run: RunNo(1),
        run_id: RunId::new("bench"),
        tag: "".into(),
        path: format!("wide.{fence}").into(),
        node: NodeNo(0),
        attempt: 1,
        indices: Arc::from([]),
        items: Arc::default(),
        granted: LogIndex(1),
    };
    Start { fence, name, task: task.clone(), scope: Default::default() }
}
