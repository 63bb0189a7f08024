//! The machine of one worker: its daemon, its clock, and its search for the leader.

use dagmar_common::ids::StreamNo;
use dagmar_common::lease::{Numbered, ToWorker};
use dagmar_common::time::{BootTime, Span};
use dagmar_worker_core::{Input, Output};

use super::air::Air;
use super::clock::Clock;
use super::network::Place;
use super::node::Node;
use crate::random::Random;
use crate::working::{Death, Worker};

pub struct Station {
    pub place: usize,
    pub worker: Worker,
    pub clock: Clock,
    pub starts_at: BootTime,
    pub paused_until: BootTime,
    connects_at: BootTime,
    pub wakes: BootTime,
}

impl Station {
    pub fn new(place: usize, worker: Worker, random: &mut Random) -> Self {
        Station {
            place,
            worker,
            clock: Clock::draw(random),
            starts_at: BootTime(0),
            paused_until: BootTime(0),
            connects_at: BootTime(0),
            wakes: BootTime(0),
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.worker.is_gone || self.worker.is_quiet()
    }

    pub fn turn(&mut self, nodes: &mut [Node], air: &mut Air) {
        let clock = self.clock.boot(air.now);
        self.worker.executor.advance(clock, &mut air.random);
        if air.now >= self.paused_until {
            if self.worker.agent.is_none() && air.now >= self.starts_at && !self.worker.is_gone {
                air.note(|| format!("w{} starts", self.place));
                self.worker.starts();
                self.connects_soon(air);
            }
            self.connect(nodes, air);
            self.agent(air);
        }
        air.saw(&mut self.worker);
        self.wakes = self.wakes_at();
    }

    fn wakes_at(&self) -> BootTime {
        let worker = &self.worker;
        let daemon = match &worker.agent {
            None if worker.is_gone => None,
            None => Some(self.starts_at),
            Some(agent) => {
                let connects = worker.stream.is_none().then_some(self.connects_at);
                let agent = agent.wakes_at().map(|at| self.clock.world(at));
                connects.into_iter().chain(agent).min()
            }
        };
        let daemon = daemon.map(|at| at.max(self.paused_until));
        let executor = worker.executor.wakes_at().map(|at| self.clock.world(at));
        daemon.into_iter().chain(executor).min().unwrap_or(BootTime(u64::MAX))
    }

    fn connects_soon(&mut self, air: &mut Air) {
        self.connects_at = air.now + Span::from_millis(air.random.pick(&[1, 100, 1_000]));
    }

    /// It asks one member after the other; who does not lead, or is not reached, takes no stream.
    fn connect(&mut self, nodes: &mut [Node], air: &mut Air) {
        let wants = self.worker.agent.is_some() && self.worker.stream.is_none();
        if !wants || air.now < self.connects_at {
            return;
        }
        self.connects_soon(air);
        let at = air.random.below(nodes.len());
        let (here, there) = (Place::Worker(self.place), Place::Node(at));
        let cut = |from, to| air.network.cut_until(from, to, air.now).is_some();
        let is_reached = !cut(here, there) && !cut(there, here);
        let node = &mut nodes[at];
        if node.leads() && !node.is_paused(air.now) && is_reached {
            let stream = air.streams.open(at, self.place);
            air.note(|| format!("w{} opens stream {stream} to n{at}", self.place));
            self.worker.connected(stream, None);
            node.stream_brings(stream, dagmar_member::FromStream::Opened, air.now);
        }
    }

    pub fn hears(&mut self, stream: StreamNo, message: Numbered<ToWorker>, air: &mut Air) {
        air.judge.delivered(&message.message);
        self.worker.hears(Input::Received { stream, message });
        self.wakes = self.wakes.min(air.now.max(self.paused_until));
    }

    /// Its stream broke.
    pub fn loses(&mut self, stream: StreamNo, air: &mut Air) {
        if self.worker.stream == Some(stream) {
            self.worker.stream = None;
            self.connects_soon(air);
        }
        self.worker.hears(Input::Disconnected { stream });
        self.wakes = self.wakes.min(air.now.max(self.paused_until));
    }

    fn agent(&mut self, air: &mut Air) {
        let mut outputs = Vec::new();
        self.worker.turn(self.clock.boot(air.now), &mut air.random, &mut outputs);
        let (id, incarnation) = (self.worker.id, self.worker.incarnation);
        for output in outputs {
            match output {
                Output::Send { stream, message } => air.say_to_leader(stream, message),
                Output::Close { stream, why } => {
                    air.note(|| format!("w{} leaves stream {stream}: {why:?}", self.place));
                    air.judge.worker_left(why);
                    air.told.endings += 1;
                    air.worker_leaves(stream, Span(0));
                    if self.worker.stream == Some(stream) {
                        self.worker.stream = None;
                        self.connects_soon(air);
                    }
                }
                Output::Stop { fence, why } => {
                    air.note(|| format!("w{} stops {fence}: {why:?}", self.place));
                    air.stopped(id, incarnation, fence, why);
                }
                Output::Rejoin => self.rejoins(air),
                Output::Run(_) | Output::Deadline(_) | Output::Forget(_) => {}
            }
        }
    }

    /// Another worker lives under its name: it begins anew under a fresh one.
    fn rejoins(&mut self, air: &mut Air) {
        air.told.rejoined += 1;
        if let Some(stream) = self.worker.rejoins(air.told.rejoined) {
            air.worker_leaves(stream, Span(0));
        }
        air.note(|| format!("w{} joins again as worker {}", self.place, self.worker.id.0));
        self.connects_soon(air);
    }

    pub fn dies(&mut self, death: Death, air: &mut Air) {
        air.note(|| format!("-- w{} dies ({death:?}) --", self.place));
        let silence = match death {
            Death::Power => Span::from_millis(air.random.pick(&[0, 2_000, 20_000])),
            Death::Daemon | Death::Supervisor => Span(0),
        };
        if let Some(stream) = self.worker.dies_of(death, &mut air.random) {
            air.worker_leaves(stream, silence);
        }
        if death == Death::Power {
            self.clock.reboot(air.now);
        }
        self.wakes = air.now;
    }
}
