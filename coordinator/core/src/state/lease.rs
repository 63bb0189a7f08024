//! The leases by fence: who runs what, who ran it last, and which fences came to nothing.

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{Fence, WorkerNo};

/// A fence is its restore epoch above these bits, and a counter in them.
const EPOCH_SHIFT: u32 = 48;
/// Fences side by side in one page.
const PAGE_FENCES: u64 = 64;
/// Fences that came to nothing and are still told from recorded ones; the oldest is forgotten.
const DEAD_FENCES_MAX: usize = 1 << 20;

/// One lease, live or *lapsed*: taken from its worker while its trial still waits under it.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRow {
    pub slot: u32,
    pub node: u32,
    pub class: u32,
    pub worker: WorkerNo,
    pub is_live: bool,
    /// It occupies its worker; else it was granted ahead.
    pub is_charged: bool,
    pub is_recalled: bool,
    /// Of the entry that granted it.
    pub granted: u64,
    /// The leases of its worker before and after it; 0: none.
    pub previous: u64,
    pub next: u64,
}

/// Pages of leases. One that long outlives its neighbours holds its page of 64, no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    pages: BTreeMap<u64, LeasePage>,
    pub last_fence: u64,
    /// The last fence of each epoch that a restore has ended.
    pub epochs: Vec<u64>,
    /// Fences that ended without an outcome; all others of the past were recorded.
    pub dead: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
struct LeasePage {
    rows: Vec<Option<LeaseRow>>,
    used: u32,
}

impl Leases {
    pub fn get(&self, fence: Fence) -> Option<&LeaseRow> {
        let page = self.pages.get(&(fence.0 / PAGE_FENCES))?;
        page.rows[(fence.0 % PAGE_FENCES) as usize].as_ref()
    }

    pub fn live(&self, fence: Fence) -> Option<&LeaseRow> {
        self.get(fence).filter(|lease| lease.is_live)
    }

    pub fn get_mut(&mut self, fence: Fence) -> Option<&mut LeaseRow> {
        let page = self.pages.get_mut(&(fence.0 / PAGE_FENCES))?;
        page.rows[(fence.0 % PAGE_FENCES) as usize].as_mut()
    }

    pub fn insert(&mut self, fence: Fence, row: LeaseRow) {
        let page = self.pages.entry(fence.0 / PAGE_FENCES).or_insert_with(LeasePage::new);
        page.rows[(fence.0 % PAGE_FENCES) as usize] = Some(row);
        page.used += 1;
    }

    pub fn remove(&mut self, fence: Fence) -> Option<LeaseRow> {
        let number = fence.0 / PAGE_FENCES;
        let page = self.pages.get_mut(&number)?;
        let row = page.rows[(fence.0 % PAGE_FENCES) as usize].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
        Some(row)
    }

    /// The fence came to nothing: its outcome, should it ever come, is refused.
    pub fn bury(&mut self, fence: Fence) {
        self.dead.insert(fence.0);
        if self.dead.len() > DEAD_FENCES_MAX {
            self.dead.pop_first();
        }
    }

    /// An outcome with this fence stands already.
    pub fn was_recorded(&self, fence: Fence) -> bool {
        fence.0 != 0
            && self.was_given(fence)
            && self.get(fence).is_none()
            && !self.dead.contains(&fence.0)
    }

    /// A restored cluster knows nothing of what the other one gave after the backup.
    fn was_given(&self, fence: Fence) -> bool {
        let epoch = (fence.0 >> EPOCH_SHIFT) as usize;
        fence.0 <= self.epochs.get(epoch).copied().unwrap_or(self.last_fence)
    }

    /// From here on fences are above all that any cluster of the past can have given.
    pub fn begin_epoch(&mut self) {
        self.epochs.push(self.last_fence);
        self.last_fence = (self.epochs.len() as u64) << EPOCH_SHIFT;
    }

    pub fn iter(&self) -> impl Iterator<Item = (Fence, &LeaseRow)> {
        self.pages.iter().flat_map(|(number, page)| {
            let first = number * PAGE_FENCES;
            (first..)
                .zip(&page.rows)
                .filter_map(|(fence, row)| row.as_ref().map(|row| (Fence(fence), row)))
        })
    }
}

impl LeasePage {
    fn new() -> Self {
        LeasePage { rows: vec![None; PAGE_FENCES as usize], used: 0 }
    }
}
