//! A simulated worker host: its agent, its executor, and how it dies and comes back.

use dagmar_common::ids::{Fence, Incarnation, Session, StreamNo, WorkerId};
use dagmar_common::lease::{Held, HeldAs};
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::command::WorkerHello;
use dagmar_worker_core::{Agent, Identity, Input, Output};

use crate::executor::{Executor, wall};
use crate::random::Random;

/// What of a worker's host ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its supervisor, and the processes of that, live on.
    Daemon,
    Supervisor,
    /// Also of what was recorded and not synced, some.
    Power,
}

pub struct Worker {
    pub id: WorkerId,
    pub cpu_millis: u32,
    pub incarnation: Incarnation,
    /// None while the daemon is down.
    pub agent: Option<Agent>,
    /// The stream that its shell has open.
    pub stream: Option<StreamNo>,
    pub executor: Executor,
    /// It never comes back.
    pub is_gone: bool,
    /// Tells the lives of two hosts with one name apart.
    salt: u64,
    inputs: Vec<Input>,
}

impl Worker {
    pub fn new(number: usize, cpu_millis: u32) -> Self {
        let mut worker = Worker {
            id: WorkerId(100 + number as u128),
            cpu_millis,
            incarnation: Incarnation { number: 0, nonce: 0 },
            agent: None,
            stream: None,
            executor: Executor::default(),
            is_gone: false,
            salt: 0,
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
            held: self.executor.left.iter().map(|fence| gone(*fence)).collect(),
            born_ready: None,
            lost_after: Some(lost_after),
        }
    }

    /// A new life: the number is durable before anything is said.
    pub fn starts(&mut self) {
        self.incarnation.number += 1;
        let nonce = self.incarnation.number * 7_919 + self.id.0 as u64;
        self.incarnation.nonce = nonce ^ self.salt;
        self.executor.daemon_starts();
        self.agent = Some(self.agent_of_found());
    }

    /// Of its host, some die with it. What its stream was, so that the other end can be told.
    pub fn dies_of(&mut self, death: Death, random: &mut Random) -> Option<StreamNo> {
        self.agent = None;
        self.inputs.clear();
        match death {
            Death::Daemon => self.executor.daemon_dies(),
            Death::Supervisor => self.executor.supervisor_dies(),
            Death::Power => self.executor.loses_power(random),
        }
        self.stream.take()
    }

    /// With the process of its coordinator.
    pub fn dies_within(&mut self, power: bool, random: &mut Random) {
        self.agent = None;
        self.inputs.clear();
        self.stream = None;
        self.executor.ends_with_all(power, random);
    }

    /// A copy of its directory comes to life elsewhere: the same name and number.
    pub fn clone_of(other: &Worker, salt: u64) -> Self {
        let mut twin = Worker::new(0, other.cpu_millis);
        (twin.id, twin.salt) = (other.id, salt);
        let nonce = other.incarnation.nonce ^ salt;
        twin.incarnation = Incarnation { number: other.incarnation.number, nonce };
        twin.executor.habits = other.executor.habits;
        twin.executor.copies(&other.executor);
        twin.agent = Some(twin.agent_of_found());
        twin
    }

    /// Under a fresh id, with a new agent; what runs on the host was answered for.
    pub fn rejoins(&mut self, number: u64) -> Option<StreamNo> {
        self.id = WorkerId(1_000 + u128::from(number));
        self.incarnation = Incarnation { number: 1, nonce: number };
        self.inputs.clear();
        self.agent = Some(self.agent_of_found());
        self.stream.take()
    }

    fn agent_of_found(&self) -> Agent {
        let mut agent = Agent::new(self.identity());
        agent.remember(self.executor.found());
        agent
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

fn gone(fence: Fence) -> Held {
    Held { fence, state: HeldAs::Gone }
}
