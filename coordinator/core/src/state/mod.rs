//! The replicated state: everything that entries have made, and nothing else.

pub(crate) mod check;
pub(crate) mod column;
pub(crate) mod fifo;
pub(crate) mod frame;
pub(crate) mod lease;
pub(crate) mod map;
pub(crate) mod node;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod staging;
pub(crate) mod timer;
pub(crate) mod trial;
pub(crate) mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use dagmar_common::ids::{ClusterId, Digest, LogIndex, RunId, RunNo, WorkerId, WorkerNo};
use dagmar_common::record::RunStatus;
use dagmar_common::time::{LogTime, WallTime};

use crate::schedule::Schedule;

use column::{Column, Freeze};
use lease::Leases;
use request::Requests;
use run::{RunRow, SharedGraph};
use staging::Staging;
use timer::Timers;
use worker::{Reign, Workers};

/// The state machine. [`State::apply`] alone changes it.
#[derive(Debug)]
pub struct State {
    /// Zero unless it was restored from another cluster's backup.
    pub(crate) cluster: ClusterId,
    pub(crate) time: LogTime,
    pub(crate) last_applied: LogIndex,
    pub(crate) reign: Reign,
    pub(crate) last_run: RunNo,
    /// Orders what becomes ready.
    pub(crate) ready_sequence: u64,
    pub(crate) runs: Runs,
    pub(crate) workers: Workers,
    pub(crate) leases: Leases,
    pub(crate) timers: Timers,
    pub(crate) requests: Requests,
    pub(crate) staging: Staging,
    pub(crate) schedule: Schedule,
    /// Runs with an agenda; the one whose turn it is stands first.
    pub(crate) round: VecDeque<u32>,
    /// Runs whose queues changed in this entry; empty between entries.
    pub(crate) touched: Vec<u32>,
}

/// The runs in the state, by slot, and what stays of those that left it.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub slots: Column<Option<Box<RunRow>>, 16>,
    pub free: Vec<u32>,
    pub summaries: Column<Summary, 256>,
    /// These follow from the rows.
    pub by_number: BTreeMap<RunNo, u32>,
    pub by_id: BTreeMap<RunId, Known>,
    pub graphs: BTreeMap<Digest, Weak<SharedGraph>>,
    /// Archived, and no part of the state any more: they are dropped a piece with each entry, for
    /// all of a large one at once would be a pause.
    pub leaving: Vec<RunRow>,
}

/// Pages of each column of a run that are dropped with one entry.
const SHED_PAGES: usize = 64;

/// Where a run id leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Live(u32),
    Archived(u32),
}

/// What stays of a run that left the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub number: RunNo,
    pub run_id: RunId,
    pub status: RunStatus,
    pub submitted: WallTime,
    pub ended: WallTime,
    pub last_index: LogIndex,
}

impl Freeze for Summary {}

impl State {
    pub fn new() -> Self {
        State {
            cluster: ClusterId::default(),
            time: LogTime::default(),
            last_applied: LogIndex::default(),
            reign: Reign::default(),
            last_run: RunNo(0),
            ready_sequence: 0,
            runs: Runs::default(),
            workers: Workers::default(),
            leases: Leases::default(),
            timers: Timers::new(),
            requests: Requests::default(),
            staging: Staging::default(),
            schedule: Schedule::default(),
            round: VecDeque::new(),
            touched: Vec::new(),
        }
    }

    pub fn log_time(&self) -> LogTime {
        self.time
    }

    /// The index of the last entry that was applied.
    pub fn last_applied(&self) -> LogIndex {
        self.last_applied
    }

    /// When the next thing is due, in log time. A worker that may be given up counts until then;
    /// giving it up is the leader's word, not a timer's.
    pub fn next_deadline(&self) -> Option<LogTime> {
        let away = self.workers.rows.iter().filter(|worker| worker.leases > 0);
        let away = away.filter_map(|worker| {
            let deadline = worker.away_since(self.reign)? + worker.lost_after;
            Some(deadline).filter(|deadline| *deadline > self.time)
        });
        away.chain(self.timers.earliest()).min()
    }

    /// Something is left to do without any further command: `Continue` gives it a turn.
    pub fn has_agenda(&self) -> bool {
        !self.round.is_empty() || self.schedule.is_unfinished || self.staging.is_checking()
    }

    /// Somebody works, and what it says next must not wait for the agenda of others.
    pub fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    pub fn worker_no(&self, worker: WorkerId) -> Option<WorkerNo> {
        self.workers.numbers.get(&worker).copied()
    }
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl Runs {
    pub fn slot(&self, run: RunNo) -> Option<u32> {
        self.by_number.get(&run).copied()
    }

    pub fn get(&self, slot: u32) -> &RunRow {
        match self.slots.get(slot) {
            Some(run) => run,
            None => unreachable!("slot {slot} is free"),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut RunRow {
        match self.slots.get_mut(slot) {
            Some(run) => run,
            None => unreachable!("slot {slot} is free"),
        }
    }

    pub fn add(&mut self, run: RunRow) -> u32 {
        let (number, id) = (run.number, run.id.clone());
        let graph = (run.graph.digest, Arc::downgrade(&run.graph));
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.slots.get_mut(slot) = Some(Box::new(run));
                slot
            }
            None => self.slots.push(Some(Box::new(run))),
        };
        self.by_number.insert(number, slot);
        self.by_id.insert(id, Known::Live(slot));
        self.graphs.insert(graph.0, graph.1);
        slot
    }

    /// The run leaves; its summary stays.
    pub fn archive(&mut self, slot: u32) {
        let Some(run) = self.slots.get_mut(slot).take() else { return };
        self.free.push(slot);
        self.by_number.remove(&run.number);
        let summary = Summary {
            number: run.number,
            run_id: run.id.clone(),
            status: run.status,
            submitted: run.submitted,
            ended: run.ended.unwrap_or_default(),
            last_index: run.last_index,
        };
        let place = self.summaries.push(summary);
        self.by_id.insert(run.id.clone(), Known::Archived(place));
        self.leaving.push(*run);
    }

    /// Drops a piece of what left.
    pub fn shed(&mut self) {
        let Some(run) = self.leaving.last_mut() else { return };
        if run.shed(SHED_PAGES) {
            return;
        }
        let digest = run.graph.digest;
        self.leaving.pop();
        if self.graphs.get(&digest).is_some_and(|graph| graph.strong_count() == 0) {
            self.graphs.remove(&digest);
        }
    }

    pub fn live(&self) -> impl DoubleEndedIterator<Item = (u32, &RunRow)> {
        self.by_number.values().map(|slot| (*slot, self.get(*slot)))
    }

    /// Puts together again what follows from the rows.
    pub fn derive(&mut self) {
        self.by_number.clear();
        self.by_id.clear();
        for (slot, run) in (0..).zip(self.slots.iter()) {
            if let Some(run) = run {
                self.by_number.insert(run.number, slot);
                self.by_id.insert(run.id.clone(), Known::Live(slot));
                self.graphs.insert(run.graph.digest, Arc::downgrade(&run.graph));
            }
        }
        for (place, summary) in (0..).zip(self.summaries.iter()) {
            self.by_id.insert(summary.run_id.clone(), Known::Archived(place));
        }
    }
}
