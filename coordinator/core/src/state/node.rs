//! The row of a node in a frame that is open: where it stands, in 48 bytes and a few names.

use dagmar_common::record::NodeStatus;
use dagmar_common::view::View;

use super::column::Freeze;

/// No row: the empty link.
pub(crate) const NONE: u32 = u32::MAX;

/// One node of one open frame. Some fields mean one thing before its end and another after.
#[derive(Clone, Debug)]
pub(crate) struct NodeRow {
    pub status: NodeStatus,
    /// Attempts that are spent.
    pub failed: u8,
    /// Workers lost under it since it last began.
    pub crashes: u8,
    pub marks: Marks,
    pub why: Why,
    /// Incoming edges that have ended.
    pub arrived: u32,
    pub frame: u32,
    /// Ready: the next in its queue. Backoff: its timer. Composite: its map, also when ended.
    pub link: u32,
    /// Ready: the one before in its queue. Ended: the node that is the cause.
    pub other: u32,
    /// Its latest trial.
    pub trials: u32,
    /// Its latest lease's, live or lapsed; 0: none was granted.
    pub fence: u64,
    /// Ready: its ready sequence. Ended: the index of the entry that ended it.
    pub at: u64,
    /// What its ancestors wrote; once it has ended also what it wrote itself.
    pub view: View,
}

/// What the edges that have ended say, and how the node stands besides its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub u8);

impl Marks {
    pub const TAKEN: Marks = Marks(1);
    pub const NEEDS_FAILED: Marks = Marks(2);
    pub const NEEDS_SKIPPED: Marks = Marks(4);
    /// It waits for a timer, not for edges.
    pub const BACKOFF: Marks = Marks(8);
    /// Its worker was told to stop it.
    pub const CANCELLING: Marks = Marks(16);

    pub fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub fn set(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    pub fn clear(&mut self, mark: Marks) {
        self.0 &= !mark.0;
    }
}

/// Why a node ended as it did, where its trials do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Why {
    #[default]
    Plain,
    UpstreamFailed,
    UpstreamSkipped,
    NotReached,
    CrashLimit,
    NoParameter,
    NotAList,
    RunStopped,
    CancelUnconfirmed,
    ItemsFailed,
    /// It may have run, and may not be started twice.
    Unknown,
}

impl NodeRow {
    pub fn new(frame: u32) -> Self {
        NodeRow {
            status: NodeStatus::Waiting,
            failed: 0,
            crashes: 0,
            marks: Marks::default(),
            why: Why::Plain,
            arrived: 0,
            frame,
            link: NONE,
            other: NONE,
            trials: NONE,
            fence: 0,
            at: 0,
            view: View::default(),
        }
    }
}

impl Freeze for NodeRow {}

/// A node of a frame that has ended and whose rows are used again. Frames of equal shape and
/// without trials share these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastNode {
    pub status: NodeStatus,
    pub why: Why,
    pub cause: u32,
    pub trials: u32,
    pub map: u32,
    pub ended: u64,
}

impl PastNode {
    pub fn of(row: &NodeRow) -> Self {
        PastNode {
            status: row.status,
            why: row.why,
            cause: row.other,
            trials: row.trials,
            map: row.link,
            ended: row.at,
        }
    }

    /// It left nothing behind that its status and reason do not say.
    pub fn is_plain(&self) -> bool {
        self.trials == NONE && self.map == NONE
    }

    /// Equal but for the entry that ended it.
    pub fn is_like(&self, other: &PastNode) -> bool {
        self.is_plain()
            && other.is_plain()
            && (self.status, self.why, self.cause) == (other.status, other.why, other.cause)
    }
}

impl Freeze for PastNode {}
