//! The invariants of the state, all of them, for tests and the simulator.

mod run;

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{Fence, WorkerNo};
use dagmar_common::limits::WORKER_LEASES_MAX;
use dagmar_common::record::NodeStatus;

use super::State;
use super::lease::RECORDED_OUTCOMES_MAX;
use super::node::Marks;
use super::timer::Due;
use crate::schedule::Head;

/// Holds, or says what does not.
macro_rules! holds {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}
use holds;

impl State {
    /// Walks everything; the first invariant that does not hold, and where.
    pub fn check(&self) -> Result<(), String> {
        holds!(self.touched.is_empty(), "runs are marked as touched between entries");
        holds!(self.timers.is_order_true(), "the order of timers is not that of their rows");
        holds!(self.requests.is_true(), "a request is not found by its id");
        self.check_runs()?;
        self.check_leases()?;
        for number in (0..self.workers.rows.len() as u32).map(WorkerNo) {
            self.check_worker(number).map_err(|broken| format!("worker {number}: {broken}"))?;
        }
        let leases = self.workers.rows.iter().map(|worker| u64::from(worker.leases)).sum::<u64>();
        holds!(self.workers.leases == leases, "workers have {leases} leases, not as counted");
        self.check_schedule()
    }

    fn check_runs(&self) -> Result<(), String> {
        let mut in_round = BTreeSet::new();
        for (slot, run) in (0..).zip(self.runs.slots.iter()) {
            let Some(run) = run else {
                holds!(self.runs.free.contains(&slot), "slot {slot} is lost");
                continue;
            };
            let known = self.runs.by_number.get(&run.number);
            holds!(known == Some(&slot), "run {} is not found by its number", run.number);
            run.check().map_err(|broken| format!("run {}: {broken}", run.number))?;
            holds!(
                run.is_in_round != run.agenda.is_empty(),
                "run {}: its agenda and the round differ",
                run.number
            );
            if run.is_in_round {
                in_round.insert(slot);
            }
        }
        let round: BTreeSet<u32> = self.round.iter().copied().collect();
        holds!(round == in_round && round.len() == self.round.len(), "the round is not true");
        for row in self.timers.rows.iter() {
            let Some(due) = row.due else { continue };
            let (Due::Backoff { run, .. } | Due::RunLimit { run }) = due;
            holds!(self.runs.slot(run).is_some(), "a timer of run {run}, which is not here");
        }
        Ok(())
    }

    fn check_leases(&self) -> Result<(), String> {
        let mut live: BTreeMap<u32, u32> = BTreeMap::new();
        for (fence, lease) in self.leases.iter() {
            holds!(fence.0 <= self.leases.last_fence, "fence {fence} was never given");
            let Some(run) = self.runs.slots.get(lease.slot) else {
                return Err(format!("fence {fence} is of a run that is gone"));
            };
            let node = run.nodes.get(lease.node);
            holds!(node.fence == fence.0, "fence {fence} is not its trial's latest");
            let fits = match node.status {
                NodeStatus::Leased => lease.is_live,
                NodeStatus::Ready => !lease.is_live,
                NodeStatus::Waiting => !lease.is_live && node.marks.has(Marks::BACKOFF),
                _ => false,
            };
            holds!(fits, "fence {fence}: its node is {:?}", node.status);
            *live.entry(lease.slot).or_default() += u32::from(lease.is_live);
        }
        holds!(self.leases.recorded.len() as u64 <= RECORDED_OUTCOMES_MAX, "too much is recorded");
        for (row, one) in (0..).zip(self.leases.recorded.iter()).filter(|(_, one)| one.fence != 0) {
            let fence = Fence(one.fence);
            holds!(fence.0 <= self.leases.last_fence, "fence {fence} was recorded, not given");
            holds!(fence.0 % RECORDED_OUTCOMES_MAX == row, "fence {fence} stands in row {row}");
            holds!(self.leases.get(fence).is_none(), "fence {fence} is recorded and still open");
        }
        for (slot, run) in self.runs.live() {
            let leases = live.get(&slot).copied().unwrap_or(0);
            holds!(run.leases == leases, "run {} has {leases} leases", run.number);
            let held = run.leased_tasks();
            holds!(held == leases, "run {}: {held} nodes, {leases} leases", run.number);
        }
        Ok(())
    }

    fn check_worker(&self, number: WorkerNo) -> Result<(), String> {
        let worker = self.workers.get(number);
        let (mut leases, mut charged, mut recalled, mut used) = (0, 0, 0, 0);
        let (mut previous, mut ahead) = (0, 0);
        let mut fence = worker.first;
        while fence != 0 {
            let Some(lease) = self.leases.live(Fence(fence)) else {
                return Err(format!("fence {fence} in its list is no live lease"));
            };
            holds!(lease.worker == number, "fence {fence} is another worker's");
            holds!(lease.previous == previous, "fence {fence} is linked wrongly");
            holds!(previous < fence, "fence {fence} stands behind {previous}");
            leases += 1;
            recalled += u32::from(lease.is_recalled);
            if lease.is_charged {
                holds!(ahead == 0, "fence {fence} is charged behind one that is not");
                charged += 1;
                used += u64::from(self.schedule.need(lease.class));
            } else if ahead == 0 {
                ahead = fence;
            }
            previous = fence;
            fence = lease.next;
        }
        holds!(worker.last == previous, "its list does not end where it says");
        let counted = (leases, charged, recalled, used, ahead);
        let written = (worker.leases, worker.charged, worker.recalled, worker.used, worker.ahead);
        holds!(counted == written, "{written:?} is written and {counted:?} is true");
        let of_worker = self.leases.iter().filter(|(_, row)| row.is_live && row.worker == number);
        let all = of_worker.count();
        holds!(all == leases as usize, "{all} leases, {leases} of them in its list");
        Ok(())
    }

    fn check_schedule(&self) -> Result<(), String> {
        let mut waiting: BTreeMap<u32, BTreeSet<Head>> = BTreeMap::new();
        for (slot, run) in self.runs.live() {
            holds!(!run.is_touched, "run {} is touched", run.number);
            let may_run = run.is_live() && run.stop.is_none();
            for queue in &run.queues {
                let key = (may_run && queue.length > 0).then_some(run.leases);
                holds!(queue.key == key, "run {}: {:?} is not {key:?}", run.number, queue.key);
                if let Some(leases) = key {
                    let head = Head { leases, run: run.number, slot };
                    waiting.entry(queue.class).or_default().insert(head);
                }
            }
        }
        for (number, class) in (0..).zip(&self.schedule.classes) {
            let expected = waiting.remove(&number).unwrap_or_default();
            holds!(class.waiting == expected, "class {number} does not know who waits");
            let idle = self.idle_for(number);
            let may_wait = class.waiting.is_empty() || self.schedule.is_unfinished;
            holds!(may_wait || idle.is_none(), "class {number} waits, and {idle:?} is idle");
            if let Some(worker) = class.reserved {
                let reserved_for = self.workers.get(worker).reserved_for;
                holds!(reserved_for == Some(number), "class {number} reserves in vain");
            }
        }
        Ok(())
    }

    /// A worker that could run a trial of the class now.
    fn idle_for(&self, class: u32) -> Option<WorkerNo> {
        let need = u64::from(self.schedule.need(class));
        let mut workers = (0..).map(WorkerNo).zip(&self.workers.rows);
        let idle = workers.find(|(_, worker)| {
            worker.takes_work(self.reign)
                && worker.ahead == 0
                && worker.free() >= need
                && worker.leases < WORKER_LEASES_MAX
                && worker.reserved_for.is_none_or(|reserved| reserved == class)
        });
        idle.map(|(number, _)| number)
    }
}
