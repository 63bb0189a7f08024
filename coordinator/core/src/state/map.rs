//! The row of a map at work: a cursor over its items, and what is kept of those that ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::ids::{CompositeNo, SectionNo};
use dagmar_common::record::Counts;
use dagmar_common::value::Value;
use dagmar_common::view::View;

use super::column::{Column, Freeze};
use super::node::NONE;

/// One composite node that iterates. Items before `next` have a frame or had one; the rest is a
/// range that costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct MapRow {
    /// Where its composite node lies, until that node's frame has ended.
    pub node: u32,
    pub composite: CompositeNo,
    pub body: SectionNo,
    /// The list; `cursor` is where the text of item `next` begins.
    pub items: Value,
    pub cursor: u32,
    pub count: u32,
    pub next: u32,
    /// Frames at work.
    pub open: u32,
    pub ended: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub phase: MapPhase,
    /// A turn of the agenda that opens frames is pending.
    pub is_opening: bool,
    /// Some item wrote something.
    pub has_results: bool,
    /// All nodes under it, frames that are not open yet included.
    pub counts: Counts,
    pub indices: Arc<[u32]>,
    /// What its composite saw, and each of its items sees.
    pub seen: View,
    /// Ended items in the order of their end.
    pub past: Column<PastItems, 256>,
    /// For each item that begins a row of `past`, that row; `NONE` elsewhere.
    pub order: Column<u32, 1024>,
    pub merge: Merge,
    /// What came out of the merge.
    pub written: View,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapPhase {
    Running,
    Merging,
    Ended,
}

/// A range of items that ended alike.
#[derive(Clone, Debug)]
pub(crate) struct PastItems {
    pub first: u32,
    pub count: u32,
    /// Their nodes, as one block in the run's past nodes.
    pub block: u32,
    /// The block was written for this range alone: it knows when each node ended.
    pub is_special: bool,
    pub ended: u64,
    /// What the item wrote, until it is merged.
    pub result: View,
}

/// What the items wrote, as far as they are merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merge {
    /// Items before it are merged.
    pub next: u32,
    pub names: BTreeMap<Arc<str>, MergedName>,
}

#[derive(Clone, Debug)]
pub(crate) struct MergedName {
    /// Every value in item order: the inside of a list.
    pub values: String,
    pub last: Value,
    /// Some item wrote it in a way that makes a list.
    pub is_list: bool,
}

impl Freeze for PastItems {}

impl Freeze for MapRow {
    fn freeze(&mut self) {
        self.past.share_if_long();
        self.order.share_if_long();
    }
}

impl MapRow {
    pub fn all_ended(&self) -> bool {
        self.ended == self.count
    }

    /// Notes that `item` ended as row `row` of `past` says.
    pub fn note(&mut self, item: u32, row: u32) {
        let missing = (item as usize + 1).saturating_sub(self.order.len());
        self.order.extend(missing as u32, &NONE);
        *self.order.get_mut(item) = row;
    }

    /// The row of `past` that begins at `item`.
    pub fn past_from(&self, item: u32) -> Option<&PastItems> {
        if item as usize >= self.order.len() {
            return None;
        }
        match *self.order.get(item) {
            NONE => None,
            row => Some(self.past.get(row)),
        }
    }
}
