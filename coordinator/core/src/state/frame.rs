//! The row of an open frame: one instance of a section, with its block of nodes.

use std::sync::Arc;

use dagmar_common::ids::{NodeNo, SectionNo};
use dagmar_common::view::View;

use super::column::Freeze;
use super::node::NONE;

#[derive(Clone, Debug)]
pub(crate) struct FrameRow {
    pub section: SectionNo,
    /// The map whose item it is; `NONE` for the root frame.
    pub map: u32,
    /// Which item.
    pub item: u32,
    /// Where the item's text lies in the map's list.
    pub item_start: u32,
    pub item_end: u32,
    /// Its nodes lie in one block from here.
    pub first: u32,
    /// Nodes that have not ended.
    pub left: u32,
    pub marks: FrameMarks,
    /// What its succeeded nodes wrote, by rank.
    pub result: View,
    /// Of each map around it, outermost first.
    pub indices: Arc<[u32]>,
}

/// What has happened in a frame that decides how it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameMarks(pub u8);

impl FrameMarks {
    /// `fail` was reached, or a failure was not handled.
    pub const FAILED: FrameMarks = FrameMarks(1);
    pub const CANCELLED: FrameMarks = FrameMarks(2);
    /// Some node left a trial or a map behind: the frame is kept by itself.
    pub const SPECIAL: FrameMarks = FrameMarks(4);
    /// Its rows wait to be used again.
    pub const FREE: FrameMarks = FrameMarks(8);

    pub fn has(self, mark: FrameMarks) -> bool {
        self.0 & mark.0 != 0
    }

    pub fn set(&mut self, mark: FrameMarks) {
        self.0 |= mark.0;
    }
}

impl FrameRow {
    pub fn node(&self, row: u32) -> NodeNo {
        NodeNo(row - self.first)
    }

    pub fn row(&self, node: NodeNo) -> u32 {
        self.first + node.0
    }

    pub fn is_root(&self) -> bool {
        self.map == NONE
    }

    pub fn is_free(&self) -> bool {
        self.marks.has(FrameMarks::FREE)
    }
}

impl Freeze for FrameRow {}
