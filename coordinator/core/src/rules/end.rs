//! How nodes end: by an outcome, by a stop, by a lost worker, and what that does to their frame.

use std::sync::Arc;

use dagmar_common::graph::Task;
use dagmar_common::ids::{Fence, WorkerNo};
use dagmar_common::lease::{Ending, LogPlace, Outcome, Output, OutputWay};
use dagmar_common::limits::{CRASH_LIMIT, LOST_ATTEMPTS_MAX, NOT_STARTED_WAITS};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::record::{AttemptStatus, NodeStatus};
use dagmar_common::time::{Span, WallTime};
use dagmar_common::view::{Rank, View};

use crate::effect::Effect;
use crate::rules::Turn;
use crate::state::frame::FrameMarks;
use crate::state::lease::LeaseRow;
use crate::state::node::{Marks, NONE, Why};
use crate::state::run::Work;
use crate::state::timer::Due;
use crate::state::trial::{TrialRest, TrialRow};

/// How a lease ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// Given back by its worker; nothing runs. `started`: its process had begun, and was lost.
    /// `waits`: granted again at once it would only come back at once.
    Returned {
        started: bool,
        waits: bool,
    },
    Lost(Loss),
}

/// Its worker is gone, or no longer knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Its process had begun, as far as anybody knows.
    pub started: bool,
    /// That tells against the trial: one more towards the crash limit.
    pub counts: bool,
    /// Its process may still run, and stops by itself within this time if it is exclusive.
    pub may_run_for: Option<Span>,
}

/// What becomes of a trial without its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Ready,
    Waits(Span),
    Ends(NodeStatus, Why),
}

impl Lapse {
    fn had_started(self) -> bool {
        match self {
            Lapse::Returned { started, .. } | Lapse::Lost(Loss { started, .. }) => started,
        }
    }

    /// The trial may be what its worker or supervisor died of.
    fn counts(self) -> bool {
        match self {
            Lapse::Returned { started, .. } => started,
            Lapse::Lost(loss) => loss.counts,
        }
    }
}

impl Turn<'_> {
    /// The node has ended. What follows from it goes on the agenda.
    pub fn end_node(&mut self, row: u32, status: NodeStatus, why: Why, cause: u32) {
        let node = self.run.nodes.get_mut(row);
        let before = node.status;
        node.status = status;
        node.why = why;
        node.other = cause;
        node.at = self.entry.index.0;
        node.marks.clear(Marks::BACKOFF);
        node.marks.clear(Marks::CANCELLING);
        let leaves_something = node.trials != NONE || node.link != NONE;
        let frame_no = node.frame;
        let frame = self.run.frames.get_mut(frame_no);
        frame.left -= 1;
        let no = frame.node(row);
        let section = self.run.graph.graph.section(frame.section);
        match status {
            NodeStatus::Failed if !section.has_on_failure(no) => {
                frame.marks.set(FrameMarks::FAILED);
            }
            NodeStatus::Cancelled => frame.marks.set(FrameMarks::CANCELLED),
            _ => {}
        }
        if leaves_something {
            frame.marks.set(FrameMarks::SPECIAL);
        }
        if frame.left == 0 {
            self.run.agenda.push(Work::FrameEnded { frame: frame_no });
        } else if !section.edges(no).targets.is_empty() {
            self.run.agenda.push(Work::Ended { node: row, edge: 0 });
        }
        self.tell(row, before, status);
    }

    /// The outcome of the node's latest lease, which is no longer in the table.
    pub fn record(&mut self, lease: &LeaseRow, by: WorkerNo, outcome: Outcome) {
        let row = lease.node;
        if lease.is_live {
            self.run.leases -= 1;
            self.touch();
        } else {
            self.leave_waiting(row);
        }
        let node = self.run.nodes.get_mut(row);
        let number = node.failed + 1;
        let seen = node.view.clone();
        let status = match outcome.ending {
            Ending::Succeeded => AttemptStatus::Succeeded,
            Ending::Failed(_) => AttemptStatus::Failed,
            Ending::Cancelled => AttemptStatus::Cancelled,
        };
        let reason = match outcome.ending {
            Ending::Failed(reason) => Some(reason),
            Ending::Succeeded | Ending::Cancelled => None,
        };
        let (ending, outputs) = (outcome.ending, &outcome.outputs);
        let (began, took) = (outcome.began, outcome.took);
        if ending == Ending::Succeeded && !outputs.is_empty() {
            let own = self.own_view(row, outputs);
            self.write(row, own);
        }
        let is_empty = outputs.is_empty() && outcome.log.is_none() && outcome.last_lines.is_empty();
        let rest = (!is_empty).then(|| {
            let Outcome { outputs, log, last_lines, .. } = outcome;
            Arc::new(TrialRest { outputs, log, last_lines })
        });
        let trial = TrialRow {
            previous: NONE,
            worker: by,
            number,
            status,
            reason,
            began,
            took,
            granted: lease.granted,
            recorded: self.entry.index.0,
            seen,
            rest,
        };
        self.add_trial(row, trial);
        match ending {
            Ending::Succeeded => self.end_node(row, NodeStatus::Succeeded, Why::Plain, NONE),
            Ending::Cancelled => self.end_node(row, NodeStatus::Cancelled, Why::Plain, NONE),
            Ending::Failed(_) => self.failed(row),
        }
    }

    fn add_trial(&mut self, row: u32, mut trial: TrialRow) {
        let node = self.run.nodes.get_mut(row);
        trial.previous = node.trials;
        node.trials = self.run.trials.push(trial);
    }

    /// What was under way without an outcome. Of attempts that were lost again and again under one
    /// number the last takes the place of the one before it.
    fn add_lost(&mut self, row: u32, fence: Fence, lease: &LeaseRow, status: AttemptStatus) {
        let node = self.run.nodes.get(row);
        let lost = TrialRow {
            previous: NONE,
            worker: lease.worker,
            number: node.failed + 1,
            status,
            reason: None,
            began: WallTime::default(),
            took: Span::default(),
            granted: lease.granted,
            recorded: self.entry.index.0,
            seen: node.view.clone(),
            // Nobody says where its output lies, but whose it is.
            rest: Some(Arc::new(TrialRest {
                outputs: Vec::new(),
                log: Some(LogPlace { fence, ..LogPlace::default() }),
                last_lines: Arc::default(),
            })),
        };
        let (last, mut before, mut count) = (node.trials, 0, 0);
        let mut at = last;
        while at != NONE && count < LOST_ATTEMPTS_MAX {
            let trial = self.run.trials.get(at);
            if (trial.number, trial.status) != (lost.number, AttemptStatus::Lost) {
                break;
            }
            count += 1;
            before = if count == 1 { trial.previous } else { before };
            at = trial.previous;
        }
        match count {
            LOST_ATTEMPTS_MAX => {
                *self.run.trials.get_mut(last) = TrialRow { previous: before, ..lost };
            }
            _ => self.add_trial(row, lost),
        }
    }

    /// An attempt failed: another one, at once or after its backoff, or the end of the node.
    fn failed(&mut self, row: u32) {
        let Some(task) = self.task(row) else { return };
        let (max_attempts, backoff) = (task.max_attempts, task.backoff);
        let node = self.run.nodes.get_mut(row);
        node.failed = node.failed.saturating_add(1);
        node.crashes = 0;
        let failed = u32::from(node.failed);
        if failed >= max_attempts {
            self.end_node(row, NodeStatus::Failed, Why::Plain, NONE);
        } else if self.run.stop.is_some() {
            self.end_node(row, NodeStatus::Cancelled, Why::RunStopped, NONE);
        } else if let Some(backoff) = backoff {
            self.back_off(row, backoff.after(failed));
        } else {
            self.make_ready(row);
        }
    }

    /// The node waits for a timer before it is ready again.
    fn back_off(&mut self, row: u32, wait: Span) {
        let due = Due::Backoff { run: self.run.number, node: row };
        let timer = self.timers.set(self.entry.now + wait, due);
        let node = self.run.nodes.get_mut(row);
        let before = node.status;
        node.status = NodeStatus::Waiting;
        node.marks.set(Marks::BACKOFF);
        node.link = timer;
        self.tell(row, before, NodeStatus::Waiting);
    }

    /// The backoff of a node is over; its timer is gone already.
    pub fn backoff_over(&mut self, row: u32) {
        let node = self.run.nodes.get_mut(row);
        node.marks.clear(Marks::BACKOFF);
        node.link = NONE;
        self.make_ready(row);
    }

    /// The lease, no longer live, ended without an outcome. The trial is ready again and spends no
    /// attempt, unless its run has stopped, too many workers were lost under it, or it may have
    /// run and may not run twice.
    pub fn lapse(&mut self, fence: Fence, lease: &LeaseRow, lapse: Lapse) {
        let row = lease.node;
        self.run.leases -= 1;
        self.touch();
        let after = self.after(row, lapse);
        if lapse.had_started() {
            let status = match after {
                After::Ends(_, Why::Unknown) => AttemptStatus::Unknown,
                _ if self.run.stop.is_some() => AttemptStatus::Cancelled,
                _ => AttemptStatus::Lost,
            };
            self.add_lost(row, fence, lease, status);
        }
        match after {
            After::Ready => self.make_ready(row),
            After::Waits(wait) => self.back_off(row, wait),
            After::Ends(status, why) => {
                self.leases.remove(fence);
                self.end_node(row, status, why, NONE);
            }
        }
    }

    fn after(&mut self, row: u32, lapse: Lapse) -> After {
        let care = self.task(row).map(|task| task.care).unwrap_or_default();
        if self.run.stop.is_some() {
            let why = match lapse {
                Lapse::Returned { .. } => Why::RunStopped,
                Lapse::Lost(_) => Why::CancelUnconfirmed,
            };
            return After::Ends(NodeStatus::Cancelled, why);
        }
        if care.once && lapse.had_started() && !lives(Mutant::OnceRunsAgain) {
            return After::Ends(NodeStatus::Failed, Why::Unknown);
        }
        let node = self.run.nodes.get_mut(row);
        node.crashes += u8::from(lapse.counts());
        if node.crashes >= CRASH_LIMIT && !lives(Mutant::NoCrashLimit) {
            return After::Ends(NodeStatus::Failed, Why::CrashLimit);
        }
        match lapse {
            Lapse::Returned { waits: true, .. } => After::Waits(NOT_STARTED_WAITS),
            Lapse::Lost(Loss { may_run_for: Some(wait), .. }) if care.exclusive => {
                After::Waits(wait)
            }
            _ => After::Ready,
        }
    }

    /// What waited for a worker runs, where it always did: its worker was not lost under it.
    pub fn regained(&mut self, row: u32) {
        let before = self.run.nodes.get(row).status;
        self.leave_waiting(row);
        let node = self.run.nodes.get_mut(row);
        node.status = NodeStatus::Leased;
        node.crashes = node.crashes.saturating_sub(1);
        self.run.leases += 1;
        self.touch();
        self.tell(row, before, NodeStatus::Leased);
    }

    /// The run stops, and this node waits for a worker or a timer, or runs.
    pub fn stop_node(&mut self, row: u32) {
        let node = self.run.nodes.get(row);
        let fence = Fence(node.fence);
        match node.status {
            NodeStatus::Leased if node.link != NONE => {
                let map = node.link;
                self.cut_map(map);
            }
            NodeStatus::Leased => {
                if let Some(lease) = self.leases.live(fence) {
                    self.out.effects.push(Effect::Cancel { worker: lease.worker, fence });
                }
                self.run.nodes.get_mut(row).marks.set(Marks::CANCELLING);
            }
            _ => {
                self.leave_waiting(row);
                self.leases.remove(fence);
                self.end_node(row, NodeStatus::Cancelled, Why::RunStopped, NONE);
            }
        }
    }

    /// The node no longer waits for a worker or for its backoff.
    fn leave_waiting(&mut self, row: u32) {
        let node = self.run.nodes.get_mut(row);
        if node.status == NodeStatus::Ready {
            if let Some(task) = self.run.task_of(row) {
                let queue = self.run.queue_place(task);
                self.run.dequeue(queue, row);
                self.touch();
            }
        } else if node.marks.has(Marks::BACKOFF) {
            node.marks.clear(Marks::BACKOFF);
            let timer = std::mem::replace(&mut node.link, NONE);
            self.timers.remove(timer);
        }
    }

    /// The outputs of a node as a view. The lowest bit of a rank says how a value came: 1, where
    /// the items of a map make a list of it.
    fn own_view(&self, row: u32, outputs: &[Output]) -> View {
        let (section, no) = self.run.place(row);
        let rank = self.run.graph.graph.section(section).rank(no);
        outputs.iter().fold(View::default(), |view, output| {
            view.with(&output.name, rank_of(rank, output.way), output.value.clone())
        })
    }

    /// A node that succeeds wrote `own`: its followers see it, and its frame's result has it.
    pub fn write(&mut self, row: u32, own: View) {
        let node = self.run.nodes.get_mut(row);
        node.view = node.view.join(&own);
        let frame = self.run.frames.get_mut(node.frame);
        frame.result = frame.result.join(&own);
    }

    fn task(&self, row: u32) -> Option<&Task> {
        self.run.task_of(row).map(|task| self.run.graph.graph.task(task))
    }
}

/// The rank under which a value stands in a view of the state.
pub(crate) fn rank_of(rank: Rank, way: OutputWay) -> Rank {
    rank << 1 | Rank::from(way == OutputWay::File)
}
