//! Granting leases: the waiting trial with the smallest key goes to the next worker with room.

use dagmar_common::ids::{Fence, WorkerNo};
use dagmar_common::limits::{GRANTS_MAX, RESERVE_AFTER, SCHEDULE_PAIRS_MAX, WORKER_LEASES_MAX};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::record::NodeStatus;

use super::Head;
use crate::effect::{Applied, Effect};
use crate::rules::Entry;
use crate::state::State;
use crate::state::lease::LeaseRow;
use crate::state::node::NONE;

/// A class that may still place something in this entry.
struct Open {
    class: u32,
    /// Where it looks, all workers if `is_new`; else only those that are fresh.
    at: WorkerNo,
    /// Workers left to look at in this pass.
    left: u32,
    /// The second pass grants ahead of capacity.
    is_ahead: bool,
    head: Option<(Head, u64)>,
}

impl State {
    /// Step six of apply.
    pub(crate) fn schedule(&mut self, entry: Entry, out: &mut Applied) {
        self.settle_touched(entry);
        self.schedule.is_unfinished = false;
        let mut open = self.open_classes();
        let (mut pairs, mut grants) = (0, 0);
        while let Some(place) = self.best(&mut open) {
            if pairs >= SCHEDULE_PAIRS_MAX || grants >= GRANTS_MAX {
                self.schedule.is_unfinished = true;
                break;
            }
            let is_alone = open.len() == 1;
            let turn = &mut open[place];
            match self.room(turn) {
                Some((room, is_charged)) => {
                    let room = room.min(GRANTS_MAX - grants);
                    grants += self.grant_run(turn, (room, is_charged), is_alone, entry, out);
                }
                None => {
                    pairs += 1;
                    if !self.look_on(turn) {
                        let class = open.swap_remove(place).class;
                        self.schedule.classes[class as usize].is_new = false;
                    }
                }
            }
        }
        if self.schedule.is_unfinished {
            for turn in &open {
                self.schedule.classes[turn.class as usize].cursor = turn.at;
            }
        } else {
            self.schedule.fresh.clear();
        }
        self.reserve(entry);
        self.recall(out);
    }

    /// Runs whose queues or leases changed take their new place in their classes.
    fn settle_touched(&mut self, entry: Entry) {
        for place in 0..self.touched.len() {
            let slot = self.touched[place];
            self.settle(slot, entry);
        }
        self.touched.clear();
    }

    pub(crate) fn settle(&mut self, slot: u32, entry: Entry) {
        let run = self.runs.get_mut(slot);
        run.is_touched = false;
        let (number, leases) = (run.number, run.leases);
        let may_run = run.is_live() && run.stop.is_none();
        for queue in &mut run.queues {
            let key = (may_run && queue.length > 0).then_some(leases);
            if key == queue.key {
                continue;
            }
            let class = &mut self.schedule.classes[queue.class as usize];
            if let Some(leases) = queue.key {
                class.waiting.remove(&Head { leases, run: number, slot });
            }
            if let Some(leases) = key {
                if queue.key.is_none() && class.waiting.is_empty() {
                    class.stuck_since = entry.now;
                }
                class.is_new |= queue.key.is_none();
                class.waiting.insert(Head { leases, run: number, slot });
            }
            queue.key = key;
        }
    }

    fn open_classes(&self) -> Vec<Open> {
        let workers = self.workers.rows.len() as u32;
        let fresh = &self.schedule.fresh;
        let classes = (0..).zip(&self.schedule.classes);
        let waiting = classes.filter(|(_, class)| !class.waiting.is_empty());
        let open = waiting.filter_map(|(number, class)| {
            let (at, left) = if class.is_new {
                (WorkerNo(class.cursor.0 % workers.max(1)), workers)
            } else {
                (*fresh.first()?, fresh.len() as u32)
            };
            (left > 0).then_some(Open { class: number, at, left, is_ahead: false, head: None })
        });
        open.collect()
    }

    /// The open class whose head has the smallest key. Classes with nothing left are closed.
    fn best(&mut self, open: &mut Vec<Open>) -> Option<usize> {
        open.retain_mut(|turn| {
            let class = &mut self.schedule.classes[turn.class as usize];
            let Some(head) = class.waiting.first() else {
                class.is_new = false;
                return false;
            };
            let run = self.runs.get(head.slot);
            let queue = run.queues.iter().find(|queue| queue.class == turn.class);
            let first = queue.map_or(NONE, |queue| queue.head);
            turn.head = Some((*head, run.nodes.get(first).at));
            true
        });
        let keys = open.iter().enumerate();
        keys.min_by_key(|(_, turn)| {
            turn.head.map(|(head, sequence)| (head.leases, head.run, sequence))
        })
        .map(|(place, _)| place)
    }

    /// How many trials of the class its present worker can take now, and whether it runs them.
    fn room(&self, turn: &Open) -> Option<(u32, bool)> {
        let worker = self.workers.get(turn.at);
        let class = &self.schedule.classes[turn.class as usize];
        let need = class.need();
        if !(worker.takes_work(self.reign) || lives(Mutant::GrantsToSuspended))
            || need > worker.cpu_millis
            || worker.reserved_for.is_some_and(|reserved| reserved != turn.class)
        {
            return None;
        }
        let most = WORKER_LEASES_MAX.saturating_sub(worker.leases);
        let room = if turn.is_ahead {
            let ahead = worker.leases - worker.charged;
            class.ahead(worker.cpu_millis).saturating_sub(ahead)
        } else if worker.ahead == 0 {
            u32::try_from(worker.free() / u64::from(need)).unwrap_or(u32::MAX)
        } else {
            // What was granted ahead before goes first.
            0
        };
        let room = room.min(most);
        (room > 0).then_some((room, !turn.is_ahead))
    }

    /// The next worker for the class, and after all of them the second pass.
    fn look_on(&self, turn: &mut Open) -> bool {
        turn.left -= 1;
        if turn.left == 0 {
            if turn.is_ahead {
                return false;
            }
            turn.is_ahead = true;
            turn.left = match self.schedule.classes[turn.class as usize].is_new {
                true => self.workers.rows.len() as u32,
                false => self.schedule.fresh.len() as u32,
            };
        }
        turn.at = match self.schedule.classes[turn.class as usize].is_new {
            true => WorkerNo((turn.at.0 + 1) % self.workers.rows.len() as u32),
            false => {
                let fresh = &self.schedule.fresh;
                let next = fresh.range(WorkerNo(turn.at.0 + 1)..).next().or(fresh.first());
                next.copied().unwrap_or(turn.at)
            }
        };
        true
    }

    /// Grants to the head of the class: one trial, or many where no other run or class waits. How
    /// many it were.
    fn grant_run(
        &mut self,
        turn: &Open,
        (room, is_charged): (u32, bool),
        is_alone: bool,
        entry: Entry,
        out: &mut Applied,
    ) -> u32 {
        let Some((head, _)) = turn.head else { return 0 };
        let class = &mut self.schedule.classes[turn.class as usize];
        let is_alone = is_alone && class.waiting.len() == 1;
        class.stuck_since = entry.now;
        self.unreserve(turn.class);
        let count = if is_alone { room } else { 1 };
        let mut granted = 0;
        while granted < count && self.grant(head.slot, turn.class, turn.at, is_charged, entry, out)
        {
            granted += 1;
        }
        self.settle(head.slot, entry);
        granted
    }

    /// One lease; false if the run has nothing more in that class.
    fn grant(
        &mut self,
        slot: u32,
        class: u32,
        worker: WorkerNo,
        is_charged: bool,
        entry: Entry,
        out: &mut Applied,
    ) -> bool {
        let run = self.runs.get_mut(slot);
        let Some(queue) = run.queues.iter().position(|queue| queue.class == class) else {
            return false;
        };
        let row = run.queues[queue].head;
        if row == NONE {
            return false;
        }
        run.dequeue(queue, row);
        run.leases += 1;
        self.leases.last_fence += 1;
        let fence = Fence(self.leases.last_fence);
        let node = run.nodes.get_mut(row);
        let before = Fence(std::mem::replace(&mut node.fence, fence.0));
        node.status = NodeStatus::Leased;
        if before.0 != 0 {
            // What ran under it comes too late from here on.
            self.leases.remove(before);
        }
        self.leases.insert(
            fence,
            LeaseRow {
                slot,
                node: row,
                class,
                worker,
                is_live: true,
                is_charged,
                is_recalled: false,
                granted: entry.index.0,
                previous: 0,
                next: 0,
            },
        );
        let need = self.schedule.need(class);
        self.workers.get_mut(worker).link(&mut self.leases, fence, need, is_charged);
        self.workers.leases += 1;
        out.effects.push(Effect::Start { worker, fence });
        let mut turn = self.turn(slot, entry, out);
        turn.tell(row, NodeStatus::Ready, NodeStatus::Leased);
        true
    }

    /// A class whose head waits too long keeps the worker that fits it best for itself.
    fn reserve(&mut self, entry: Entry) {
        for number in 0..self.schedule.classes.len() as u32 {
            let class = &mut self.schedule.classes[number as usize];
            if class.waiting.is_empty() {
                self.unreserve(number);
                continue;
            }
            if class.reserved.is_some() || entry.now < class.stuck_since + RESERVE_AFTER {
                continue;
            }
            let need = class.need();
            let reign = self.reign;
            let fits = (0..).map(WorkerNo).zip(&self.workers.rows).filter(|(_, worker)| {
                worker.takes_work(reign)
                    && worker.cpu_millis >= need
                    && worker.reserved_for.is_none()
            });
            let best = fits.max_by_key(|(no, worker)| (worker.free(), std::cmp::Reverse(*no)));
            if let Some((worker, _)) = best {
                self.schedule.classes[number as usize].reserved = Some(worker);
                self.workers.get_mut(worker).reserved_for = Some(number);
            }
        }
    }

    /// What waited for it to have room looks elsewhere.
    pub(crate) fn unreserve_worker(&mut self, worker: WorkerNo) {
        if let Some(class) = self.workers.get(worker).reserved_for {
            self.unreserve(class);
        }
    }

    /// The worker is everybody's again: whoever found it taken looks once more.
    fn unreserve(&mut self, class: u32) {
        let Some(worker) = self.schedule.classes[class as usize].reserved.take() else { return };
        self.workers.get_mut(worker).reserved_for = None;
        self.schedule.fresh.insert(worker);
        self.schedule.is_unfinished = true;
    }
}
