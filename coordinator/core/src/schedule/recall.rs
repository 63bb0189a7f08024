//! Taking back: unstarted leases of the fullest worker, when another could run them now.

use dagmar_common::ids::{Fence, WorkerNo};

use crate::effect::{Applied, Effect};
use crate::state::State;

impl State {
    /// Asks the fullest worker for the latest that it was granted ahead, as much as the worker
    /// with most room could run. It reserves nothing, and one batch is under way per worker. Room
    /// that waits for another class is no room: what comes back would be granted ahead again.
    pub(crate) fn recall(&mut self, out: &mut Applied) {
        let reign = self.reign;
        let numbered = || (0..).map(WorkerNo).zip(&self.workers.rows);
        if self.workers.rows.len() < 2 {
            return;
        }
        let full = numbered().filter(|(_, worker)| {
            worker.ahead != 0 && worker.recalled == 0 && worker.is_ready(reign)
        });
        let Some((from, _)) =
            full.max_by_key(|(no, row)| (row.leases - row.charged, std::cmp::Reverse(*no)))
        else {
            return;
        };
        let idle = numbered().filter(|(no, row)| {
            let is_idle = row.ahead == 0 && row.free() > 0 && row.reserved_for.is_none();
            *no != from && is_idle && row.takes_work(reign)
        });
        let Some((_, to)) = idle.max_by_key(|(no, row)| (row.free(), std::cmp::Reverse(*no)))
        else {
            return;
        };
        let (mut room, capacity) = (to.free(), to.cpu_millis);
        let mut fence = Fence(self.workers.get(from).last);
        while let Some(lease) = self.leases.get_mut(fence).filter(|lease| !lease.is_charged) {
            let need = self.schedule.need(lease.class);
            if u64::from(need) > room || need > capacity {
                break;
            }
            room -= u64::from(need);
            lease.is_recalled = true;
            let previous = lease.previous;
            self.workers.get_mut(from).recalled += 1;
            out.effects.push(Effect::Recall { worker: from, fence });
            fence = Fence(previous);
        }
    }
}
