//! The leases by fence: who runs what, who ran it last, and which outcomes were recorded.

use std::collections::BTreeMap;

use dagmar_common::ids::{Fence, WorkerNo};

use super::column::{Column, Freeze, Page};

/// A fence is its restore epoch above these bits, and a counter in them.
const EPOCH_SHIFT: u32 = 48;
/// Fences side by side in one block.
const BLOCK_FENCES: u64 = 64;
/// Blocks in one page: what is frozen, and copied by the first write after that, as a whole.
const PAGE_BLOCKS: u64 = 64;
/// Outcomes that are known again when they are said again. What is said again later than this many
/// grants is refused, and forgotten by its worker all the same.
pub(crate) const RECORDED_OUTCOMES_MAX: u64 = 1 << 16;

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

/// Pages of blocks of leases. One that long outlives its neighbours holds its block, no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    pages: BTreeMap<u64, LeasePage>,
    pub last_fence: u64,
    /// The outcomes recorded last: that of a fence stands in row `fence % RECORDED_OUTCOMES_MAX`.
    pub recorded: Column<Recorded, 512>,
}

/// An outcome that stands, as far as is needed to know it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// 0: none.
    pub fence: u64,
    pub digest: u64,
}

#[derive(Clone, Debug)]
struct LeasePage {
    blocks: Page<Option<Block>>,
    used: u32,
}

#[derive(Clone, Debug)]
struct Block {
    rows: Box<[Option<LeaseRow>]>,
    used: u32,
}

/// Where a fence stands: its page, the block in it, the row in that.
fn place(fence: Fence) -> (u64, usize, usize) {
    let (block, row) = (fence.0 / BLOCK_FENCES, fence.0 % BLOCK_FENCES);
    (block / PAGE_BLOCKS, (block % PAGE_BLOCKS) as usize, row as usize)
}

impl Leases {
    pub fn get(&self, fence: Fence) -> Option<&LeaseRow> {
        let (page, block, row) = place(fence);
        self.pages.get(&page)?.blocks.row(block).as_ref()?.rows[row].as_ref()
    }

    pub fn live(&self, fence: Fence) -> Option<&LeaseRow> {
        self.get(fence).filter(|lease| lease.is_live)
    }

    pub fn get_mut(&mut self, fence: Fence) -> Option<&mut LeaseRow> {
        let (page, block, row) = place(fence);
        self.pages.get_mut(&page)?.blocks.own(PAGE_BLOCKS as usize)[block].as_mut()?.rows[row]
            .as_mut()
    }

    pub fn insert(&mut self, fence: Fence, lease: LeaseRow) {
        let (page, block, row) = place(fence);
        let page = self.pages.entry(page).or_insert_with(LeasePage::new);
        let block = &mut page.blocks.own(PAGE_BLOCKS as usize)[block];
        page.used += u32::from(block.is_none());
        let block = block.get_or_insert_with(Block::new);
        block.rows[row] = Some(lease);
        block.used += 1;
    }

    pub fn remove(&mut self, fence: Fence) -> Option<LeaseRow> {
        let (number, at, row) = place(fence);
        let page = self.pages.get_mut(&number)?;
        let block = page.blocks.own(PAGE_BLOCKS as usize)[at].as_mut()?;
        let lease = block.rows[row].take()?;
        block.used -= 1;
        if block.used == 0 {
            page.blocks.own(PAGE_BLOCKS as usize)[at] = None;
            page.used -= 1;
        }
        if page.used == 0 {
            self.pages.remove(&number);
        }
        Some(lease)
    }

    /// The outcome with this digest is the one of this fence.
    pub fn record(&mut self, fence: Fence, digest: u64) {
        let row = (fence.0 % RECORDED_OUTCOMES_MAX) as u32;
        let missing = (row as usize + 1).saturating_sub(self.recorded.len());
        self.recorded.extend(missing as u32, &Recorded::default());
        *self.recorded.get_mut(row) = Recorded { fence: fence.0, digest };
    }

    /// This very outcome stands already.
    pub fn is_recorded(&self, fence: Fence, digest: u64) -> bool {
        let row = (fence.0 % RECORDED_OUTCOMES_MAX) as u32;
        fence.0 != 0
            && (row as usize) < self.recorded.len()
            && *self.recorded.get(row) == Recorded { fence: fence.0, digest }
    }

    /// From here on fences are above all that any cluster of the past can have given.
    pub fn begin_epoch(&mut self) {
        self.last_fence = ((self.last_fence >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT;
    }

    pub fn iter(&self) -> impl Iterator<Item = (Fence, &LeaseRow)> {
        let blocks = self.pages.iter().flat_map(|(page, rows)| {
            (0..PAGE_BLOCKS)
                .map(move |block| (page * PAGE_BLOCKS + block, rows.blocks.row(block as usize)))
        });
        blocks.flat_map(|(number, block)| {
            let rows = block.iter().flat_map(|block| &block.rows);
            let first = number * BLOCK_FENCES;
            (first..).zip(rows).filter_map(|(fence, row)| Some((Fence(fence), row.as_ref()?)))
        })
    }

    /// A copy that stays as it is, whatever is written here afterwards.
    pub fn freeze(&mut self) -> Self {
        self.pages.values_mut().for_each(|page| page.blocks.share());
        self.recorded.share_if_long();
        self.clone()
    }
}

impl LeasePage {
    fn new() -> Self {
        LeasePage { blocks: Page::Owned(vec![None; PAGE_BLOCKS as usize]), used: 0 }
    }
}

impl Block {
    fn new() -> Self {
        Block { rows: vec![None; BLOCK_FENCES as usize].into(), used: 0 }
    }
}

impl Freeze for Option<Block> {}

impl Freeze for Recorded {}
