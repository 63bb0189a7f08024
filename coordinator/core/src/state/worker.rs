//! The row of a worker: who it is, what it offers, and the leases that it holds in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::ids::{Fence, Incarnation, Session, WorkerId, WorkerNo};
use dagmar_common::time::{LogTime, Span};

use super::lease::Leases;

#[derive(Clone, Debug, Default)]
pub(crate) struct Workers {
    pub rows: Vec<WorkerRow>,
    /// These follow from the rows: numbers by name, all cpus in thousandths, and all leases.
    pub numbers: BTreeMap<WorkerId, WorkerNo>,
    pub capacity: u64,
    pub leases: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct WorkerRow {
    pub id: WorkerId,
    pub incarnation: Incarnation,
    pub name: Arc<str>,
    pub cpu_millis: u32,
    pub labels: Arc<[(String, String)]>,
    pub lost_after: Span,
    /// The session under which it is ready, unless suspended since.
    pub session: Session,
    pub readiness: Readiness,
    /// The reign under which it became ready.
    pub reign: u64,
    /// In thousandths of a cpu, by its charged leases.
    pub used: u64,
    pub leases: u32,
    pub charged: u32,
    /// Leases that it was asked to give back.
    pub recalled: u32,
    /// Its leases in order of fences; those granted ahead begin at `ahead`. 0: none.
    pub first: u64,
    pub last: u64,
    pub ahead: u64,
    /// The class that waits for room here; nothing else is placed meanwhile.
    pub reserved_for: Option<u32>,
    /// It gets nothing more; a word of its own, that nothing but its opposite takes back.
    pub drains: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    Suspended {
        since: LogTime,
    },
    /// Its leases were taken from it.
    Lost,
    /// For ever; whoever says this id is told to come under another.
    Removed,
}

/// How many leaders there were, and since when the last one leads: workers that became ready under
/// another are suspended since then, without a walk over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reign {
    pub number: u64,
    pub since: LogTime,
}

impl Workers {
    pub fn get(&self, worker: WorkerNo) -> &WorkerRow {
        &self.rows[worker.0 as usize]
    }

    pub fn get_mut(&mut self, worker: WorkerNo) -> &mut WorkerRow {
        &mut self.rows[worker.0 as usize]
    }

    pub fn derive(&mut self) {
        self.numbers = (0..).map(WorkerNo).zip(&self.rows).map(|(no, row)| (row.id, no)).collect();
        self.capacity = self.rows.iter().map(|row| u64::from(row.cpu_millis)).sum();
        self.leases = self.rows.iter().map(|row| u64::from(row.leases)).sum();
    }
}

impl WorkerRow {
    pub fn free(&self) -> u64 {
        u64::from(self.cpu_millis).saturating_sub(self.used)
    }

    /// Since when nobody has heard of it; None while it is ready.
    pub fn away_since(&self, reign: Reign) -> Option<LogTime> {
        match self.readiness {
            Readiness::Ready if self.reign == reign.number => None,
            Readiness::Ready => Some(reign.since),
            Readiness::Suspended { since } => Some(since),
            Readiness::Lost | Readiness::Removed => None,
        }
    }

    pub fn is_ready(&self, reign: Reign) -> bool {
        self.readiness == Readiness::Ready && self.reign == reign.number
    }

    /// It is given work.
    pub fn takes_work(&self, reign: Reign) -> bool {
        self.is_ready(reign) && !self.drains
    }

    /// Appends `fence`, whose row is in `leases` already.
    pub fn link(&mut self, leases: &mut Leases, fence: Fence, cpu_millis: u32, is_charged: bool) {
        let previous = self.last;
        if let Some(row) = leases.get_mut(fence) {
            row.previous = previous;
            row.next = 0;
            row.is_charged = is_charged;
        }
        match leases.get_mut(Fence(previous)) {
            Some(row) if previous != 0 => row.next = fence.0,
            _ => self.first = fence.0,
        }
        self.last = fence.0;
        self.leases += 1;
        if is_charged {
            self.charged += 1;
            self.used += u64::from(cpu_millis);
        } else if self.ahead == 0 {
            self.ahead = fence.0;
        }
    }

    /// Takes `fence` out, whose row is still in `leases`; what was granted ahead moves up.
    pub fn unlink(&mut self, leases: &mut Leases, fence: Fence, needs: impl Fn(u32) -> u32) {
        let Some(row) = leases.get(fence) else { return };
        let (previous, next, class) = (row.previous, row.next, row.class);
        let (is_charged, is_recalled) = (row.is_charged, row.is_recalled);
        match leases.get_mut(Fence(previous)) {
            Some(row) if previous != 0 => row.next = next,
            _ => self.first = next,
        }
        match leases.get_mut(Fence(next)) {
            Some(row) if next != 0 => row.previous = previous,
            _ => self.last = previous,
        }
        self.leases -= 1;
        self.recalled -= u32::from(is_recalled);
        if self.ahead == fence.0 {
            self.ahead = next;
        }
        if is_charged {
            self.charged -= 1;
            self.used -= u64::from(needs(class));
        }
        self.move_up(leases, needs);
    }

    /// Charges the oldest of what was granted ahead while it fits.
    pub fn move_up(&mut self, leases: &mut Leases, needs: impl Fn(u32) -> u32) {
        while self.ahead != 0 {
            let Some(row) = leases.get_mut(Fence(self.ahead)) else { return };
            let need = u64::from(needs(row.class));
            if need > u64::from(self.cpu_millis).saturating_sub(self.used) {
                return;
            }
            row.is_charged = true;
            self.used += need;
            self.charged += 1;
            self.ahead = row.next;
        }
    }
}
