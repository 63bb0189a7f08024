//! What the supervisor tells, made into reports: beginnings, outcomes, returned fences.

use std::sync::Arc;

use dagmar_common::ids::Fence;
use dagmar_common::lease::{Begun, Ending, ExitReason, Outcome, Output};
use dagmar_common::time::{Span, WallTime};
use dagmar_supervisor::protocol::{Cause, Event, Exit, Exited, StartStep, Started};
use rustix::io::Errno;
use tracing::{debug, error, warn};

use super::trials::{Report, Running, Shared, not_started, now};
use crate::logs::Stream;
use crate::logs::segments::Finished;
use crate::logs::tail::Tail;
use crate::records::Began;
use crate::supervisor::Said;
use crate::task::outputs;

pub struct Listener {
    shared: Arc<Shared>,
    reports: Vec<Report>,
}

impl Listener {
    pub fn new(shared: Arc<Shared>) -> Self {
        Listener { shared, reports: Vec::new() }
    }

    /// The reports that can be passed on now: what they name is written.
    pub fn hear(&mut self, said: Said<'_>) -> Vec<Report> {
        match said {
            Said::Event(event) => {
                self.hear_event(event);
                return Vec::new();
            }
            Said::Pause => {}
            Said::Closed { asked } => self.closed(asked),
            // What runs is the other daemon's to tell of.
            Said::Superseded => self.shared.state().lost = true,
        }
        if self.reports.iter().any(|report| !matches!(report, Report::Begun(_))) {
            self.shared.logs.write();
        }
        let records = &mut self.shared.state().records;
        if records.has_news()
            && let Err(error) = records.write()
        {
            // They are found by their mark all the same, unless they throw it away.
            error!("cannot record what began: {error}");
        }
        std::mem::take(&mut self.reports)
    }

    fn hear_event(&mut self, event: Event<'_>) {
        match event {
            Event::Output { fence, stream, bytes } => {
                self.shared.logs.append(Fence(fence), stream, bytes);
            }
            Event::Started(started) => self.began(&started),
            Event::Exited(exited) => self.exited(&exited),
            Event::NotStarted { fence, step, errno } => {
                self.could_not_start(Fence(fence), step, errno);
            }
            Event::NeverBegan { fence } => self.returned(Fence(fence), false),
            Event::Refused { fence, started } => {
                warn!("the supervisor refused to start trial {fence}; given back");
                self.returned(Fence(fence), started);
            }
            Event::Welcome { .. } | Event::Held(_) => {}
        }
    }

    fn began(&mut self, started: &Started) {
        let (fence, at) = (Fence(started.fence), WallTime(started.wall_us));
        let mut state = self.shared.state();
        let Some(running) = state.running.get_mut(&fence) else { return };
        debug!(%fence, pid = started.pid, "a process began");
        running.began = Some(at);
        state.records.began(Began { fence, pid: started.pid, boot_us: started.boot_us });
        self.reports.push(Report::Begun(Begun { fence, at }));
    }

    fn exited(&mut self, exited: &Exited) {
        let fence = Fence(exited.fence);
        debug!(%fence, exit = ?exited.exit, cause = ?exited.cause, "a process ended");
        let Some(running) = self.shared.state().end(fence) else { return };
        let (ending, outputs, complaint) = match ending_of(exited) {
            None => {
                self.shared.logs.finish(fence, exited.dropped, false);
                outputs::remove(&running.output, running.given.is_some());
                self.reports.push(Report::Returned { fence, started: true });
                return;
            }
            Some(Ending::Succeeded) => succeeded(&running),
            Some(ending) => {
                outputs::remove(&running.output, running.given.is_some());
                (ending, Vec::new(), String::new())
            }
        };
        let failed = matches!(ending, Ending::Failed(_));
        let finished = self.shared.logs.finish(fence, exited.dropped, failed);
        let took = Span(exited.took_us);
        self.reports.push(Report::Finished(Outcome {
            fence,
            ending,
            began: running.began.unwrap_or_else(now),
            took,
            outputs,
            log: finished.place,
            last_lines: with_complaint(&finished, &complaint).into(),
        }));
    }

    fn could_not_start(&mut self, fence: Fence, step: StartStep, errno: i32) {
        let Some(running) = self.shared.state().end(fence) else { return };
        self.shared.logs.finish(fence, 0, false);
        let (program, error) = (&running.program, Errno::from_raw_os_error(errno));
        let text = match (step, error) {
            (StartStep::Program, Errno::NOENT) => format!(
                "cannot start `{program}`: there is no such program; \
                 is it installed, and is its directory in PATH?"
            ),
            (StartStep::Program, Errno::ACCESS) => {
                format!(
                    "cannot start `{program}`: it is a directory or may not be executed; \
                     try chmod +x on a file"
                )
            }
            (StartStep::Program, Errno::TOOBIG) => format!(
                "cannot start `{program}`: its command and its environment are larger than the \
                 system allows; put a long script into a file"
            ),
            (StartStep::Program, _) => format!("cannot start `{program}`: {error}"),
            (StartStep::Directory, _) => {
                format!("cannot start `{program}`: its directory cannot be entered: {error}")
            }
            (StartStep::Guard, _) => {
                format!("cannot start `{program}`: nothing could guard it: {error}")
            }
            (StartStep::Pipes, _) => {
                format!("cannot start `{program}`: no pipes for what it writes: {error}")
            }
        };
        self.reports.push(Report::Finished(not_started(fence, &text, errno)));
    }

    fn returned(&mut self, fence: Fence, started: bool) {
        debug!(%fence, started, "a trial is given back");
        let known = self.shared.state().end(fence).is_some();
        self.shared.logs.finish(fence, 0, false);
        self.reports.extend(known.then_some(Report::Returned { fence, started }));
    }

    /// Nothing runs any more: what had no outcome has none.
    fn closed(&mut self, asked: bool) {
        let mut state = self.shared.state();
        state.lost = true;
        if !asked {
            state.records.kill_open();
        }
        let mut left: Vec<Fence> = state.running.keys().copied().collect();
        left.sort_unstable();
        for fence in left {
            let Some(running) = state.end(fence) else { continue };
            outputs::remove(&running.output, running.given.is_some());
            self.shared.logs.finish(fence, 0, false);
            // Whether it began may not have been heard any more.
            self.reports.push(Report::Returned { fence, started: true });
        }
        if !asked {
            self.reports.push(Report::SupervisorLost);
        }
    }
}

/// None: it was stopped by us, which makes no outcome.
fn ending_of(exited: &Exited) -> Option<Ending> {
    Some(match (exited.cause, exited.exit) {
        (Cause::Killed | Cause::Shutdown | Cause::Deadline, _) => return None,
        (Cause::Stopped, _) => Ending::Cancelled,
        (Cause::TimeLimit, _) => Ending::Failed(ExitReason::TimeLimit),
        (Cause::Itself, Exit::Code(0)) => Ending::Succeeded,
        (Cause::Itself, Exit::Code(code)) => Ending::Failed(ExitReason::Code(code)),
        (Cause::Itself, Exit::Signal(signal)) => Ending::Failed(ExitReason::Signal(signal)),
    })
}

/// Its outputs decide whether it really did.
fn succeeded(running: &Running) -> (Ending, Vec<Output>, String) {
    match outputs::collect(&running.output, running.given.as_ref()) {
        Ok(outputs) => (Ending::Succeeded, outputs, String::new()),
        Err(bad) => (Ending::Failed(ExitReason::BadOutput), Vec::new(), bad.to_string()),
    }
}

/// What is wrong stands last, behind what the task wrote.
fn with_complaint(finished: &Finished, complaint: &str) -> String {
    if complaint.is_empty() {
        return finished.last_lines.clone();
    }
    let mut tail = Tail::default();
    tail.push(Stream::Stdout, finished.last_lines.as_bytes());
    tail.push(Stream::Stderr, complaint.as_bytes());
    tail.lines()
}
