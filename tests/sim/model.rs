//! A state machine of leases alone, small enough to be obviously right: trials, workers, grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::graph::{Command as Line, Function, Resources, Task};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo, Session, WorkerId, WorkerNo};
use dagmar_common::lease::{Ending, Hello, Start, TrialName};
use dagmar_common::time::{LogTime, Span};
use dagmar_coordinator_core::command::{Batch, Command, Position, WorkerHello};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::leader::{Facts, LeaseFacts, WorkerFacts};

use crate::brain::Brain;

/// Leases beyond its capacity that a worker gets.
const AHEAD: usize = 2;

#[derive(Clone, Debug)]
struct Trial {
    task: Arc<Task>,
    lease: Option<(Fence, WorkerNo)>,
    latest: Fence,
    ended: Option<(Fence, Ending)>,
}

#[derive(Clone, Debug)]
struct Known {
    hello: WorkerHello,
    ready: Option<Session>,
    since: LogTime,
    ready_at: LogIndex,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    time: LogTime,
    fence: u64,
    leader_up: LogIndex,
    is_cancelled: bool,
    trials: Vec<Trial>,
    workers: Vec<Known>,
}

impl Model {
    /// One trial for each of `cpu_millis`; None: a no-op.
    pub fn new(trials: impl IntoIterator<Item = Option<u32>>) -> Self {
        let trial = |cpu: Option<u32>| {
            let words = vec!["true".to_owned()];
            let function = cpu.map_or(Function::Noop, |_| Function::Process(Line::Words(words)));
            let resources = cpu.map_or(Resources::default(), |cpu_millis| Resources { cpu_millis });
            let (max_attempts, backoff, time_limit) = (1, None, None);
            let care = Default::default();
            let task = Task { function, max_attempts, backoff, time_limit, resources, care };
            let task = Arc::new(task);
            Trial { task, lease: None, latest: Fence(0), ended: None }
        };
        Model { trials: trials.into_iter().map(trial).collect(), ..Model::default() }
    }

    fn number_of(&self, id: WorkerId) -> Option<usize> {
        self.workers.iter().position(|worker| worker.hello.worker == id)
    }

    fn command(&mut self, index: LogIndex, command: &Command, effects: &mut Vec<Effect>) {
        match command {
            Command::LeaderUp => {
                self.leader_up = index;
                (0..self.workers.len()).for_each(|worker| self.suspend(worker));
            }
            Command::Cancel { .. } => self.cancel(effects),
            Command::Hello(hello) => self.hello(index, hello, effects),
            Command::WorkerReady { worker, session, .. } => {
                if let Some(at) = self.number_of(*worker) {
                    self.workers[at].ready = Some(*session);
                    self.workers[at].ready_at = index;
                }
            }
            Command::WorkerSuspended { worker, session } => {
                if let Some(at) = self.number_of(*worker)
                    && self.workers[at].ready == Some(*session)
                {
                    self.suspend(at);
                }
            }
            Command::WorkerLost { worker, .. } => {
                let Some(at) = self.number_of(*worker) else { return };
                let Known { ready, since, hello, .. } = &self.workers[at];
                if ready.is_none() && self.time >= *since + lost_after(hello) {
                    self.end_leases(at, |_| true);
                }
            }
            Command::Outcomes { worker, outcomes } => {
                let Some(at) = self.number_of(*worker) else { return };
                for outcome in outcomes {
                    let recorded = self.outcome(outcome.fence, outcome.ending);
                    effects.push(answer(at, outcome.fence, recorded));
                }
            }
            Command::Returned { worker, returned, .. } => {
                let Some(at) = self.number_of(*worker) else { return };
                for one in returned {
                    let mine = Some((one.fence, WorkerNo(at as u32)));
                    let trial = self.trials.iter_mut().find(|trial| trial.lease == mine);
                    let taken = trial.is_some();
                    if let Some(trial) = trial {
                        end(trial, self.is_cancelled);
                    }
                    effects.push(answer(at, one.fence, taken));
                }
            }
            _ => {}
        }
    }

    fn suspend(&mut self, at: usize) {
        if self.workers[at].ready.take().is_some() {
            self.workers[at].since = self.time;
        }
    }

    fn hello(&mut self, index: LogIndex, hello: &WorkerHello, effects: &mut Vec<Effect>) {
        let at = match self.number_of(hello.worker) {
            None => {
                let (ready, since) = (None, self.time);
                let hello = hello.clone();
                self.workers.push(Known { hello, ready, since, ready_at: LogIndex(0) });
                self.workers.len() - 1
            }
            Some(at) => {
                let newer = self.workers[at].hello.incarnation < hello.incarnation;
                self.suspend(at);
                self.workers[at].hello = hello.clone();
                if newer {
                    self.end_leases(at, |fence| !hello.held.iter().any(|held| held.fence == fence));
                    effects.push(Effect::Stale { worker: WorkerNo(at as u32) });
                }
                at
            }
        };
        if let Some(session) = hello.born_ready {
            (self.workers[at].ready, self.workers[at].ready_at) = (Some(session), index);
        }
    }

    fn end_leases(&mut self, at: usize, which: impl Fn(Fence) -> bool) {
        for trial in &mut self.trials {
            if trial.lease.is_some_and(|(fence, of)| of.0 as usize == at && which(fence)) {
                end(trial, self.is_cancelled);
            }
        }
    }

    /// L9: its trial's latest fence, and no outcome yet; or the very same again.
    fn outcome(&mut self, fence: Fence, ending: Ending) -> bool {
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.latest == fence) else {
            return false;
        };
        match trial.ended {
            Some(ended) => ended == (fence, ending),
            None => {
                trial.ended = Some((fence, ending));
                trial.lease = None;
                true
            }
        }
    }

    fn cancel(&mut self, effects: &mut Vec<Effect>) {
        self.is_cancelled = true;
        for trial in &mut self.trials {
            match trial.lease {
                Some((fence, worker)) => effects.push(Effect::Cancel { worker, fence }),
                None if trial.ended.is_none() => end(trial, true),
                None => {}
            }
        }
    }

    fn schedule(&mut self, effects: &mut Vec<Effect>) {
        for trial in 0..self.trials.len() {
            let Trial { lease, ended, .. } = &self.trials[trial];
            if self.is_cancelled || lease.is_some() || ended.is_some() {
                continue;
            }
            let takers = (0..self.workers.len()).filter(|at| self.takes(*at));
            let emptiest = takers.min_by_key(|at| self.held_by(*at).count());
            let Some(at) = emptiest else { continue };
            self.fence += 1;
            let (fence, worker) = (Fence(self.fence), WorkerNo(at as u32));
            self.trials[trial].lease = Some((fence, worker));
            self.trials[trial].latest = fence;
            effects.push(Effect::Start { worker, fence });
        }
        self.recall(effects);
    }

    fn is_ready(&self, at: usize) -> bool {
        self.workers[at].ready.is_some() && self.workers[at].ready_at >= self.leader_up
    }

    fn takes(&self, at: usize) -> bool {
        let most = self.workers[at].hello.cpu_millis as usize / 1_000 + AHEAD;
        self.is_ready(at) && self.held_by(at).count() < most
    }

    fn held_by(&self, at: usize) -> impl Iterator<Item = Fence> {
        let leases = self.trials.iter().filter_map(|trial| trial.lease);
        leases.filter(move |(_, of)| of.0 as usize == at).map(|(fence, _)| fence)
    }

    /// The latest of the fullest, where another stands idle.
    fn recall(&self, effects: &mut Vec<Effect>) {
        let idle = (0..self.workers.len())
            .any(|at| self.is_ready(at) && self.held_by(at).next().is_none());
        let full = (0..self.workers.len()).max_by_key(|at| self.held_by(*at).count());
        let Some(at) = full.filter(|at| idle && self.held_by(*at).count() > 1) else { return };
        if let Some(fence) = self.held_by(at).max() {
            effects.push(Effect::Recall { worker: WorkerNo(at as u32), fence });
        }
    }
}

fn lost_after(hello: &WorkerHello) -> Span {
    hello.lost_after.unwrap_or(dagmar_common::limits::LOST_AFTER)
}

/// Without an outcome: ready again, or cancelled.
fn end(trial: &mut Trial, is_cancelled: bool) {
    trial.lease = None;
    if is_cancelled {
        trial.ended = Some((trial.latest, Ending::Cancelled));
    }
}

fn answer(at: usize, fence: Fence, recorded: bool) -> Effect {
    let worker = WorkerNo(at as u32);
    if recorded { Effect::Recorded { worker, fence } } else { Effect::Refused { worker, fence } }
}

impl Brain for Model {
    fn apply(&mut self, position: Position, batch: &Batch, out: &mut Applied) {
        if position.term != batch.term {
            return;
        }
        self.time = self.time.max(batch.at);
        for command in &batch.commands {
            self.command(position.index, command, &mut out.effects);
            out.replies.push(Reply::Done);
        }
        self.schedule(&mut out.effects);
    }

    fn check(&self) {
        let mut fences = BTreeMap::new();
        for (at, trial) in self.trials.iter().enumerate() {
            assert!(trial.lease.is_none() || trial.ended.is_none(), "trial {at}");
            if let Some((fence, worker)) = trial.lease {
                assert_eq!(fence, trial.latest, "an older fence of trial {at} lives");
                assert!(fences.insert(fence, worker).is_none(), "fence {fence} twice");
            }
        }
    }

    fn is_done(&self) -> bool {
        self.trials.iter().all(|trial| trial.ended.is_some())
    }
}

impl Facts for Model {
    fn worker(&self, id: WorkerId) -> Option<WorkerFacts> {
        let at = self.number_of(id)?;
        let worker = &self.workers[at];
        let lost = worker.since + lost_after(&worker.hello);
        let holds = self.held_by(at).next().is_some();
        Some(WorkerFacts {
            id,
            number: WorkerNo(at as u32),
            incarnation: worker.hello.incarnation,
            ready: worker.ready,
            is_removed: false,
            lost_at: (worker.ready.is_none() && holds).then_some(lost),
        })
    }

    fn worker_id(&self, number: WorkerNo) -> Option<WorkerId> {
        self.workers.get(number.0 as usize).map(|worker| worker.hello.worker)
    }

    fn workers(&self) -> impl Iterator<Item = WorkerFacts> {
        self.workers.iter().filter_map(|worker| self.worker(worker.hello.worker))
    }

    fn offers_the_same(&self, hello: &Hello) -> bool {
        self.number_of(hello.worker).is_some_and(|at| {
            let known = &self.workers[at].hello;
            known.cpu_millis == hello.cpu_millis && known.labels == hello.labels
        })
    }

    fn lease(&self, fence: Fence) -> Option<LeaseFacts> {
        let mut leases = self.trials.iter().filter_map(|trial| trial.lease);
        let (_, worker) = leases.find(|lease| lease.0 == fence)?;
        Some(LeaseFacts { worker, is_cancelled: self.is_cancelled })
    }

    fn leases_of(&self, worker: WorkerNo) -> Vec<Fence> {
        let mut fences: Vec<Fence> = self.held_by(worker.0 as usize).collect();
        fences.sort();
        fences
    }

    fn start(&self, worker: WorkerNo, fence: Fence) -> Option<Start> {
        let held = |trial: &Trial| trial.lease == Some((fence, worker));
        let at = self.trials.iter().position(held)?;
        let name = TrialName {
            run: RunNo(1),
            run_id: RunId::new("modelled"),
            tag: "".into(),
            path: format!("t{at}").into(),
            node: NodeNo(at as u32),
            attempt: 1,
            indices: Arc::from([]),
            items: Arc::default(),
            granted: LogIndex(0),
        };
        let task = self.trials[at].task.clone();
        Some(Start { fence, name, task, scope: Default::default() })
    }
}
