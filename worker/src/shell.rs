//! The worker's shell: carries what happens to the agent, and what the agent wants to the world.

use std::io;

use crossbeam_channel::{Receiver, Sender, unbounded};
use dagmar_common::ids::{Fence, Session, StreamNo};
use dagmar_common::lease::{FromWorker, Numbered, Start, ToWorker};
use dagmar_common::time::{BootTime, Now};
use dagmar_worker_core::{Agent, Identity, Input, Output, Stop};

use crate::executor::Report;
use crate::executor::process::{Config, Processes};

/// What leaves the worker.
#[derive(Debug)]
pub enum Said {
    Message {
        stream: StreamNo,
        message: Numbered<FromWorker>,
    },
    /// The agent left this stream; it wants another.
    Left {
        stream: StreamNo,
    },
    /// What the supervisor ran died with it, and is given back.
    SupervisorLost,
}

/// One worker on this machine, whatever its streams are made of.
pub struct Shell {
    agent: Agent,
    cpu_millis: u32,
    config: Config,
    processes: Processes,
    /// What the supervisor's listener told; `wake` says that there is something.
    reports: Receiver<Vec<Report>>,
    tell: Tell,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    orders: Orders,
}

/// How reports come from the listener's thread.
#[derive(Clone)]
struct Tell {
    reports: Sender<Vec<Report>>,
    wake: std::sync::Arc<dyn Fn() + Send + Sync>,
}

/// What one turn wants of the executor, in batches.
#[derive(Default)]
struct Orders {
    starts: Vec<Start>,
    cancels: Vec<Fence>,
    kills: Vec<Fence>,
}

impl Shell {
    /// `wake` is called whenever a turn is due that nobody else knows of.
    pub fn start(
        identity: Identity,
        config: Config,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Shell> {
        let (sender, reports) = unbounded();
        let tell = Tell { reports: sender, wake: std::sync::Arc::new(wake) };
        let processes = Processes::start(&config, identity.cpu_millis, tell.clone().listener())?;
        Ok(Shell {
            cpu_millis: identity.cpu_millis,
            agent: Agent::new(identity),
            config,
            processes,
            reports,
            tell,
            inputs: Vec::new(),
            outputs: Vec::new(),
            orders: Orders::default(),
        })
    }

    /// A stream to a leader is open; `born_ready`: its hello stands in the log already.
    pub fn connected(&mut self, stream: StreamNo, born_ready: Option<Session>) {
        self.inputs.push(Input::Connected { stream, born_ready });
    }

    pub fn disconnected(&mut self, stream: StreamNo) {
        self.inputs.push(Input::Disconnected { stream });
    }

    pub fn received(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        self.inputs.push(Input::Received { stream, message });
    }

    /// All that happened since the last turn. An error means that no process can be started here.
    pub fn turn(&mut self, now: Now, said: &mut Vec<Said>) -> io::Result<()> {
        if self.hear()? {
            said.push(Said::SupervisorLost);
        }
        let due = self.agent.wakes_at().is_some_and(|at| now.boot >= at);
        if self.inputs.is_empty() && !due {
            return Ok(());
        }
        self.agent.turn(now, &mut self.inputs, &mut self.outputs);
        for output in self.outputs.drain(..) {
            match output {
                Output::Send { stream, message } => said.push(Said::Message { stream, message }),
                Output::Close { stream, .. } => said.push(Said::Left { stream }),
                Output::Run(start) => self.orders.starts.push(start),
                Output::Stop { fence, why: Stop::Cancelled } => self.orders.cancels.push(fence),
                Output::Stop { fence, why: Stop::NotLeased } => self.orders.kills.push(fence),
                Output::Deadline(at) => self.processes.hold(at),
                Output::Forget(fences) => self.processes.forget(&fences),
                // A worker of one process has nowhere else to join.
                Output::Rejoin => {}
            }
        }
        self.perform();
        Ok(())
    }

    pub fn wakes_at(&self) -> Option<BootTime> {
        self.agent.wakes_at()
    }

    /// Where the tasks' output lies, live too.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Writes to disk what tasks have said so far.
    pub fn checkpoint(&self) {
        self.processes.checkpoint();
    }

    /// True if the supervisor was lost.
    fn hear(&mut self) -> io::Result<bool> {
        let mut is_lost = false;
        while let Ok(reports) = self.reports.try_recv() {
            for report in reports {
                if matches!(report, Report::SupervisorLost) {
                    is_lost = true;
                    tracing::error!("the supervisor died; what it ran is given back");
                    let (logs, tell) = (self.processes.logs().clone(), self.tell.clone());
                    let cpu_millis = self.cpu_millis;
                    self.processes =
                        Processes::after(logs, &self.config, cpu_millis, tell.listener())?;
                }
                self.inputs.extend(input_of(report));
            }
        }
        Ok(is_lost)
    }

    fn perform(&mut self) {
        let Orders { starts, cancels, kills } = &mut self.orders;
        if !starts.is_empty() {
            let answered = self.processes.run(starts);
            self.inputs.extend(answered.into_iter().filter_map(input_of));
            starts.clear();
        }
        if !cancels.is_empty() {
            self.processes.cancel(cancels);
            cancels.clear();
        }
        if !kills.is_empty() {
            self.processes.kill(kills);
            kills.clear();
        }
        if !self.inputs.is_empty() {
            (self.tell.wake)();
        }
    }
}

impl Tell {
    fn listener(self) -> impl FnMut(Vec<Report>) + Send + 'static {
        move |reports| {
            // A shell that is gone wants nothing more.
            if self.reports.send(reports).is_ok() {
                (self.wake)();
            }
        }
    }
}

fn input_of(report: Report) -> Option<Input> {
    match report {
        Report::Begun(begun) => Some(Input::ProcessStarted { fence: begun.fence, at: begun.at }),
        Report::Finished(outcome) => Some(Input::ProcessEnded(outcome)),
        Report::Returned { fence, started: true } => Some(Input::ProcessStopped { fence }),
        Report::Returned { fence, started: false } => Some(Input::ProcessNotStarted { fence }),
        Report::SupervisorLost => None,
    }
}
