//! The simulated cluster: hosts, streams and time, and every step that one of them can take.

use dagmar_common::ids::StreamNo;
use dagmar_common::lease::ToWorker;
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::{self, Leader};
use dagmar_worker_core::{self as worker, Stop};

use crate::brain::Brain;
use crate::judge::Judge;
use crate::leading::Coordinator;
use crate::random::Random;
use crate::streams::Streams;
use crate::working::Worker;

/// Far more than anything needs that time does not have to pass for.
const FLOW_ROUNDS_MAX: u32 = 10_000;

pub struct Cluster<B> {
    pub seed: u64,
    pub now: BootTime,
    pub random: Random,
    pub coordinator: Coordinator<B>,
    pub workers: Vec<Worker>,
    pub streams: Streams,
    pub judge: Judge,
    pub lost_after: Span,
    /// How often any end ended a stream, for whoever waits for calm.
    pub endings: u64,
    /// Every line of the history, if somebody wants to read it.
    pub history: Option<Vec<String>>,
    /// Lines are printed as they come, so that a failing seed tells its history too.
    pub is_loud: bool,
}

impl<B: Brain> Cluster<B> {
    pub fn new(seed: u64, brain: B, workers: Vec<Worker>, lost_after: Span) -> Self {
        Cluster {
            seed,
            now: BootTime(1_000_000),
            random: Random::new(seed),
            coordinator: Coordinator::new(brain),
            workers,
            streams: Streams::default(),
            judge: Judge::default(),
            lost_after,
            endings: 0,
            history: None,
            is_loud: false,
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(history) = &mut self.history {
            history.push(format!("{:>9.3} {}", now.0 as f64 / 1e6, line()));
            if self.is_loud {
                println!("{}", history[history.len() - 1]);
            }
        }
    }

    /// A node that wins leadership begins without streams.
    pub fn elect(&mut self) {
        self.leader_leaves_all();
        let lost_after = self.lost_after;
        self.coordinator.elect(self.now, |term| Leader::new(term, Some(lost_after)));
        let term = self.coordinator.term;
        self.note(|| format!("leader of term {term}"));
    }

    pub fn resign(&mut self) {
        self.note(|| "the leader is gone".into());
        self.coordinator.resign();
        self.leader_leaves_all();
    }

    fn leader_leaves_all(&mut self) {
        for stream in self.streams.numbers() {
            self.streams.leader_leaves(stream);
        }
    }

    /// The worker's shell opens a stream, if there is a leader to be found.
    pub fn connect(&mut self, at: usize) -> bool {
        let worker = &mut self.workers[at];
        let ready = worker.agent.is_some() && worker.stream.is_none();
        if !ready || self.coordinator.leader.is_none() {
            return false;
        }
        let stream = self.streams.open();
        worker.connected(stream, None);
        self.coordinator.hears(leader::Input::StreamOpened { stream });
        self.note(|| format!("w{at} opens stream {stream}"));
        self.worker_turn(at);
        true
    }

    pub fn kill_daemon(&mut self, at: usize) -> bool {
        if self.workers[at].agent.is_none() {
            return false;
        }
        self.note(|| format!("w{at} dies"));
        if let Some(stream) = self.workers[at].dies() {
            self.streams.worker_leaves(stream);
        }
        true
    }

    pub fn start_daemon(&mut self, at: usize) -> bool {
        if self.workers[at].agent.is_some() {
            return false;
        }
        self.workers[at].starts();
        self.note(|| format!("w{at} lives again"));
        true
    }

    /// The oldest message for the leader on this stream, or the news that it broke.
    pub fn deliver_to_leader(&mut self, stream: StreamNo) -> bool {
        let Some(link) = self.streams.all.get_mut(&stream) else { return false };
        if !link.leader_has_it {
            return false;
        }
        if let Some(message) = link.to_leader.pop_front() {
            self.note(|| format!("leader <- {stream}: {} {:?}", message.number, message.message));
            self.coordinator.manners.heard(stream, &message);
            self.coordinator.hears(leader::Input::Received { stream, message });
        } else if link.is_broken {
            self.note(|| format!("leader sees {stream} broken"));
            self.streams.leader_leaves(stream);
            self.coordinator.manners.heard_otherwise();
            self.coordinator.hears(leader::Input::StreamClosed { stream });
        } else {
            return false;
        }
        true
    }

    pub fn deliver_to_worker(&mut self, at: usize) -> bool {
        let Some(stream) = self.workers[at].stream else { return false };
        let Some(link) = self.streams.all.get_mut(&stream) else { return false };
        if let Some(message) = link.to_worker.pop_front() {
            self.note(|| {
                format!("w{at} <- {stream}: {} {}", message.number, told(&message.message))
            });
            self.judge.delivered(&message.message);
            self.workers[at].hears(worker::Input::Received { stream, message });
        } else if link.is_broken {
            self.note(|| format!("w{at} sees {stream} broken"));
            self.streams.worker_leaves(stream);
            self.workers[at].stream = None;
            self.workers[at].hears(worker::Input::Disconnected { stream });
        } else {
            return false;
        }
        true
    }

    pub fn worker_turn(&mut self, at: usize) {
        let mut outputs = Vec::new();
        self.workers[at].turn(self.now, &mut self.random, &mut outputs);
        self.judge.exclusive(self.workers.iter().flat_map(|worker| worker.executor.exclusive()));
        for output in outputs {
            match output {
                worker::Output::Send { stream, message } => {
                    self.streams.say_to_leader(stream, message);
                }
                worker::Output::Close { stream, why } => {
                    self.note(|| format!("w{at} leaves {stream}: {why:?}"));
                    self.judge.worker_left(why);
                    self.endings += 1;
                    self.streams.worker_leaves(stream);
                    if self.workers[at].stream == Some(stream) {
                        self.workers[at].stream = None;
                    }
                }
                worker::Output::Stop { fence, why } => {
                    self.note(|| format!("w{at} stops {fence}: {why:?}"));
                    self.stopped(at, fence, why);
                }
                worker::Output::Run(_)
                | worker::Output::Deadline(_)
                | worker::Output::Forget(_)
                | worker::Output::Rejoin => {}
            }
        }
    }

    /// Nobody who no longer knows stops what is leased.
    fn stopped(&self, at: usize, fence: dagmar_common::ids::Fence, why: Stop) {
        let (worker, brain) = (&self.workers[at], &self.coordinator.brain);
        let Some(lease) = brain.lease(fence) else { return };
        let facts = brain.worker(worker.id);
        let holds = facts.is_some_and(|facts| {
            facts.number == lease.worker && facts.incarnation == worker.incarnation
        });
        let right = why == Stop::Cancelled && lease.is_cancelled;
        assert!(!holds || lease.is_cancelled || right, "w{at}: live lease {fence} is stopped");
    }

    pub fn leader_turn(&mut self) {
        let mut outputs = Vec::new();
        self.coordinator.turn(self.now, &mut outputs);
        self.leader_says(outputs);
        let streams = &self.streams;
        let open = |stream| streams.all.get(&stream).is_some_and(|link| link.leader_has_it);
        let Coordinator { manners, brain, .. } = &mut self.coordinator;
        manners.turned(open, brain);
    }

    pub fn write(&mut self) -> bool {
        self.coordinator.write(self.now)
    }

    pub fn commit(&mut self) -> bool {
        let (mut outputs, judge) = (Vec::new(), &mut self.judge);
        let mut told = None;
        let notes = self.history.is_some();
        let any = self.coordinator.commit(&mut outputs, |entry, brain| {
            judge.applied(&entry);
            for effect in entry.effects {
                if let Effect::Start { worker, fence } = effect
                    && let Some(start) = brain.start(*worker, *fence)
                {
                    judge.granted(&start);
                }
            }
            told = notes.then(|| format!("applied {:?} -> {:?}", entry.batch, entry.effects));
        });
        if let Some(told) = told {
            self.note(|| told);
        }
        self.leader_says(outputs);
        any
    }

    fn leader_says(&mut self, outputs: Vec<leader::Output>) {
        for output in outputs {
            match output {
                leader::Output::Send { stream, message } => {
                    let Coordinator { manners, brain, .. } = &mut self.coordinator;
                    manners.says(stream, &message.message, brain);
                    if let ToWorker::Start(starts) = &message.message {
                        starts.iter().for_each(|start| self.judge.sent(start));
                    }
                    self.streams.say_to_worker(stream, message);
                }
                leader::Output::CloseStream { stream, why } => {
                    self.note(|| format!("leader closes {stream}: {why:?}"));
                    self.judge.leader_closed(why);
                    self.endings += 1;
                    self.streams.leader_leaves(stream);
                }
                leader::Output::Propose(_) | leader::Output::Confirm { .. } => {}
            }
        }
    }

    pub fn advance(&mut self, span: Span) {
        self.now = self.now + span;
        for at in 0..self.workers.len() {
            self.workers[at].executor.advance(self.now, &mut self.random);
            for (attempt, fence) in self.workers[at].executor.ran_once.drain(..) {
                self.judge.ran_once(attempt, fence);
            }
            self.worker_turn(at);
        }
        self.leader_turn();
    }

    /// Everything that can happen without time passing does.
    pub fn flow(&mut self) {
        for round in 0.. {
            assert!(round < FLOW_ROUNDS_MAX, "they go on and on, and time does not");
            let mut moved = false;
            for at in 0..self.workers.len() {
                moved |= self.connect(at);
                while self.deliver_to_worker(at) {
                    moved = true;
                }
                self.worker_turn(at);
            }
            for stream in self.streams.numbers() {
                while self.deliver_to_leader(stream) {
                    moved = true;
                }
            }
            self.leader_turn();
            moved |= self.coordinator.confirm(false);
            self.leader_turn();
            self.write();
            while self.commit() {
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// Nothing is left to be done or said.
    pub fn is_quiet(&self) -> bool {
        let ready = |worker: &Worker| {
            self.coordinator.brain.worker(worker.id).is_some_and(|facts| facts.ready.is_some())
        };
        self.coordinator.brain.is_done()
            && self.workers.iter().all(|worker| match worker.is_gone {
                true => !ready(worker),
                false => worker.is_quiet() && ready(worker),
            })
    }
}

/// A start is told by its name: what it sees would fill the page.
fn told(message: &ToWorker) -> String {
    match message {
        ToWorker::Start(starts) => {
            let one = |start: &dagmar_common::lease::Start| {
                format!("{}={}", start.fence, start.name.path)
            };
            format!("Start {:?}", starts.iter().map(one).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}
