//! Why something waits: a pure question to the state, answered the same on every replica.

use std::sync::Arc;

use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunNo};
use dagmar_common::limits::WORKER_LEASES_MAX;
use dagmar_common::record::{NodeStatus, RunStatus};
use dagmar_common::time::LogTime;

use super::Begun;
use super::find::{Found, find};
use crate::state::State;
use crate::state::node::{Marks, NONE};
use crate::state::run::{RunRow, Stop};
use crate::state::worker::{Readiness, WorkerRow};

/// Steps that an answer about a whole run names; the rest are counted.
const STEPS_NAMED_MAX: usize = 10;

/// One thing that keeps a step or a run from going on, or that it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NoSuchRun,
    NoSuchStep,
    RunEnded {
        status: RunStatus,
    },
    /// The run was cancelled, or its time limit passed; what still runs is being stopped.
    RunStopping {
        why: Arc<str>,
    },
    Ended {
        status: NodeStatus,
    },
    WaitsFor {
        step: Arc<str>,
        status: NodeStatus,
    },
    /// Its item of the map has no frame yet.
    ItemWaits {
        open: u32,
        next: u32,
    },
    Backoff {
        until: LogTime,
        attempt: u32,
    },
    Running {
        worker: Arc<str>,
        attempt: u32,
        granted: LogIndex,
        /// Else it waits there for its cpus.
        has_begun: bool,
        /// It may not be started twice.
        is_once: bool,
    },
    /// A composite at work.
    Items {
        open: u32,
        ended: u32,
        failed: u32,
        count: u32,
    },
    /// It may run and no worker takes it: what it needs, and what each lacks.
    Needs {
        cpu_millis: u32,
        workers: Vec<(Arc<str>, Lack)>,
    },
    /// Ready steps of its run that became ready before it.
    Behind {
        ready: u32,
    },
    /// Runs with fewer leases, or older, that are served first.
    BehindRuns {
        runs: u32,
    },
    /// The agenda has not come to it yet; the next entry goes on.
    Agenda,
    /// In an answer about a whole run: a reason of one of its steps.
    Step {
        path: Arc<str>,
        reason: Box<Reason>,
    },
    /// Steps that are not named.
    MoreSteps {
        count: u64,
    },
}

/// Why one worker does not take a trial now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Suspended {
        since: LogTime,
    },
    Lost,
    /// It is to end what it has, and gets no more.
    Draining,
    /// Even when idle it has not enough.
    TooSmall {
        cpu_millis: u32,
    },
    Busy {
        free: u64,
    },
    /// It is kept for something that has waited too long.
    Reserved,
    /// Nothing: the next entry grants it.
    Nothing,
}

/// What is agreed, and what one leader heard.
type Facts<'a> = (&'a State, &'a Begun);

/// What keeps `run`, or the step at `path` in it, from going on; what it says of trials that have
/// begun is as fresh as `begun`.
pub fn why(state: &State, begun: &Begun, run: RunNo, path: Option<&str>) -> Vec<Reason> {
    let Some(slot) = state.runs.slot(run) else { return vec![Reason::NoSuchRun] };
    let row = state.runs.get(slot);
    if !row.is_live() {
        return vec![Reason::RunEnded { status: row.status }];
    }
    let mut reasons = Vec::new();
    if let Some(stop) = &row.stop {
        let why = match stop {
            Stop::Cancelled { reason } => reason.clone(),
            Stop::TimeLimit => "time limit".into(),
        };
        reasons.push(Reason::RunStopping { why });
    }
    match path.map(|path| find(row, path)) {
        None => of_run((state, begun), row, &mut reasons),
        Some(None) => reasons.push(Reason::NoSuchStep),
        Some(Some(Found::Row(at))) => of_node((state, begun), row, at, &mut reasons),
        Some(Some(Found::Past { status })) => reasons.push(Reason::Ended { status }),
        Some(Some(Found::Unopened { map })) => {
            let map = row.maps.get(map);
            reasons.push(Reason::ItemWaits { open: map.open, next: map.next });
        }
    }
    reasons
}

/// The steps that something else than another step keeps.
fn of_run(facts: Facts<'_>, run: &RunRow, reasons: &mut Vec<Reason>) {
    let (mut named, mut more) = (0, 0);
    for frame in run.frames.iter().filter(|frame| !frame.is_free() && frame.left > 0) {
        let section = run.graph.graph.section(frame.section);
        for no in section.nodes() {
            let row = frame.row(no);
            let node = run.nodes.get(row);
            let is_waiting = node.status == NodeStatus::Waiting && !node.marks.has(Marks::BACKOFF);
            if is_waiting || node.status.has_ended() {
                continue;
            }
            if named == STEPS_NAMED_MAX {
                more += 1;
                continue;
            }
            named += 1;
            let path: Arc<str> = path_of(run, row).into();
            let mut own = Vec::new();
            of_node(facts, run, row, &mut own);
            let steps = own.into_iter();
            reasons.extend(
                steps.map(|reason| Reason::Step { path: path.clone(), reason: Box::new(reason) }),
            );
        }
    }
    if more > 0 {
        reasons.push(Reason::MoreSteps { count: more });
    }
    if !run.agenda.is_empty() {
        reasons.push(Reason::Agenda);
    }
}

fn of_node((state, begun): Facts<'_>, run: &RunRow, row: u32, reasons: &mut Vec<Reason>) {
    let node = run.nodes.get(row);
    let attempt = u32::from(node.failed) + 1;
    match node.status {
        NodeStatus::Waiting if node.marks.has(Marks::BACKOFF) => {
            let until = state.timers.rows.get(node.link).deadline;
            reasons.push(Reason::Backoff { until, attempt });
        }
        NodeStatus::Waiting => waits_for(begun, run, row, reasons),
        NodeStatus::Ready => ready(state, run, row, reasons),
        NodeStatus::Leased if run.task_of(row).is_some() => {
            let Some(lease) = state.leases.live(Fence(node.fence)) else { return };
            reasons.push(Reason::Running {
                worker: state.workers.get(lease.worker).name.clone(),
                attempt,
                granted: LogIndex(lease.granted),
                has_begun: begun.has(Fence(node.fence)),
                is_once: state.schedule.classes[lease.class as usize].care.once,
            });
        }
        NodeStatus::Leased => {
            let map = run.maps.get(node.link);
            let (open, ended, failed, count) = (map.open, map.ended, map.failed, map.count);
            reasons.push(Reason::Items { open, ended, failed, count });
        }
        status => reasons.push(Reason::Ended { status }),
    }
}

/// The sources of its edges that have not ended.
fn waits_for(begun: &Begun, run: &RunRow, row: u32, reasons: &mut Vec<Reason>) {
    let frame = run.frames.get(run.nodes.get(row).frame);
    let (section, no) = (run.graph.graph.section(frame.section), frame.node(row));
    let before = reasons.len();
    for from in section.nodes().filter(|from| section.edges(*from).targets.contains(&no)) {
        let node = run.nodes.get(frame.row(from));
        if !node.status.has_ended() {
            let is_idle = run.task_of(frame.row(from)).is_some() && !begun.has(Fence(node.fence));
            let status = if is_idle { NodeStatus::Waiting } else { node.status };
            let step = path_of(run, frame.row(from)).into();
            reasons.push(Reason::WaitsFor { step, status });
        }
    }
    if reasons.len() == before {
        reasons.push(Reason::Agenda);
    }
}

fn ready(state: &State, run: &RunRow, row: u32, reasons: &mut Vec<Reason>) {
    let Some(task) = run.task_of(row) else { return };
    let queue = &run.queues[run.queue_place(task)];
    let class = &state.schedule.classes[queue.class as usize];
    let need = class.need();
    let here = |worker: &&WorkerRow| worker.readiness != Readiness::Removed;
    let workers = state.workers.rows.iter().filter(here);
    let lacks = workers
        .map(|worker| (worker.name.clone(), lack(state, worker, queue.class, need)))
        .collect();
    reasons.push(Reason::Needs { cpu_millis: need, workers: lacks });
    let ahead = std::iter::successors(Some(run.nodes.get(row).other), |before| {
        (*before != NONE).then(|| run.nodes.get(*before).other)
    });
    let ahead = ahead.take_while(|before| *before != NONE).count() as u32;
    if ahead > 0 {
        reasons.push(Reason::Behind { ready: ahead });
    }
    let runs = class.waiting.iter().take_while(|head| head.run != run.number).count() as u32;
    if runs > 0 {
        reasons.push(Reason::BehindRuns { runs });
    }
}

fn lack(state: &State, worker: &WorkerRow, class: u32, need: u32) -> Lack {
    if let Some(since) = worker.away_since(state.reign) {
        Lack::Suspended { since }
    } else if !worker.is_ready(state.reign) {
        Lack::Lost
    } else if worker.drains {
        Lack::Draining
    } else if need > worker.cpu_millis {
        Lack::TooSmall { cpu_millis: worker.cpu_millis }
    } else if worker.reserved_for.is_some_and(|reserved| reserved != class) {
        Lack::Reserved
    } else if u64::from(need) > worker.free()
        || worker.ahead != 0
        || worker.leases >= WORKER_LEASES_MAX
    {
        Lack::Busy { free: worker.free() }
    } else {
        Lack::Nothing
    }
}

fn path_of(run: &RunRow, row: u32) -> String {
    let frame = run.frames.get(run.nodes.get(row).frame);
    run.graph.graph.path(frame.section, NodeNo(row - frame.first), &frame.indices)
}
