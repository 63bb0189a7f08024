//! A simulated worker host: its agent, its executor, and how it dies and comes back.

use dagmar_common::ids::{Incarnation, Session, StreamNo, WorkerId};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::command::WorkerHello;
use dagmar_worker_core::{Agent, Identity, Input, Now, Output};

use crate::executor::{Executor, wall};
use crate::random::Random;

pub struct Worker {
    pub id: WorkerId,
    pub cpu_millis: u32,
    pub incarnation: Incarnation,
    /// None while the daemon is down.
    pub agent: Option<Agent>,
    /// The stream that its shell has open.
    pub stream: Option<StreamNo>,
    pub executor: Executor,
    /// It has a state directory: records and processes outlive its daemon.
    pub keeps: bool,
    /// It never comes back.
    pub is_gone: bool,
    inputs: Vec<Input>,
}

impl Worker {
    pub fn new(number: usize, cpu_millis: u32, keeps: bool) -> Self {
        let mut worker = Worker {
            id: WorkerId(100 + number as u128),
            cpu_millis,
            incarnation: Incarnation { number: 0, nonce: 0 },
            agent: None,
            stream: None,
            executor: Executor::default(),
            keeps,
            is_gone: false,
            inputs: Vec::new(),
        };
        worker.starts();
        worker
    }

    pub fn identity(&self) -> Identity {
        Identity {
            worker: self.id,
            incarnation: self.incarnation,
            name: format!("worker-{}", self.id.0),
            cpu_millis: self.cpu_millis,
            labels: Vec::new(),
        }
    }

    pub fn introduction(&self, lost_after: Span) -> WorkerHello {
        let me = self.identity();
        WorkerHello {
            worker: me.worker,
            incarnation: me.incarnation,
            name: me.name,
            cpu_millis: me.cpu_millis,
            labels: me.labels,
            held: Vec::new(),
            born_ready: None,
            lost_after: Some(lost_after),
        }
    }

    /// A new life: the number is durable before anything is said.
    pub fn starts(&mut self) {
        self.incarnation.number += 1;
        self.incarnation.nonce = self.incarnation.number * 7_919 + self.id.0 as u64;
        let mut agent = Agent::new(self.identity());
        agent.remember(self.executor.found());
        self.agent = Some(agent);
    }

    /// What its stream was, so that the other end can be told.
    pub fn dies(&mut self) -> Option<StreamNo> {
        self.agent = None;
        self.inputs.clear();
        if self.keeps {
            self.executor.daemon_dies();
        } else {
            self.executor.all_dies();
        }
        self.stream.take()
    }

    pub fn connected(&mut self, stream: StreamNo, born_ready: Option<Session>) {
        self.stream = Some(stream);
        self.executor.is_endless |= born_ready.is_some();
        self.inputs.push(Input::Connected { stream, born_ready });
    }

    pub fn hears(&mut self, input: Input) {
        self.inputs.push(input);
    }

    /// One turn of the agent; what concerns only this host is done here.
    pub fn turn(&mut self, now: BootTime, random: &mut Random, out: &mut Vec<Output>) {
        let Some(agent) = &mut self.agent else { return };
        self.inputs.append(&mut self.executor.events);
        let mut outputs = Vec::new();
        agent.turn(Now { boot: now, wall: wall(now) }, &mut self.inputs, &mut outputs);
        agent.check();
        for output in outputs {
            match output {
                Output::Run(start) => self.executor.run(start, now, random),
                Output::Deadline(at) => self.executor.holds(at),
                Output::Forget(fences) => self.executor.forget(&fences),
                Output::Stop { fence, why } => {
                    self.executor.stop(fence, why, now, random);
                    out.push(Output::Stop { fence, why });
                }
                other => out.push(other),
            }
        }
    }

    pub fn is_quiet(&self) -> bool {
        let idle = self.agent.as_ref().is_some_and(Agent::is_idle);
        idle && self.executor.is_idle() && self.executor.remembers_nothing()
    }
}
