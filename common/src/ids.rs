//! Every id of the house as a type of its own, so that no two kinds of number can be confused.

use std::fmt;
use std::sync::Arc;

/// Declares a number that only its own kind can be compared with.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A run's number in the state: given at its submission, never used again.
    RunNo(u64)
}
number! {
    /// A worker's slot in the state; the durable name behind it is [`WorkerId`].
    WorkerNo(u32)
}
number! {
    /// A section's place in its graph; 0 is the root.
    SectionNo(u32)
}
number! {
    /// A node's place in its section, in order of declaration.
    NodeNo(u32)
}
number! {
    /// A frame's slot in the state; slots of ended frames are used again.
    FrameNo(u32)
}
number! {
    /// A task's place in its graph's table; equal tasks share one.
    TaskNo(u32)
}
number! {
    /// A composite's place in its graph's table.
    CompositeNo(u32)
}
number! {
    /// The number of a lease: restore epoch << 48 | a counter of the state. It only ever grows.
    Fence(u64)
}
number! {
    /// One stream between a worker and a leader: its term << 32 | a counter of that leader.
    Session(u64)
}
number! {
    /// A stream as one end's shell counts them: it tells an open stream from an older one.
    StreamNo(u64)
}
number! {
    /// A raft term.
    Term(u64)
}
number! {
    /// A place in the replicated log.
    LogIndex(u64)
}
number! {
    /// A member of the coordinator; a new disk is a new member, so it is never given twice.
    ReplicaId(u64)
}

impl Fence {
    /// Mixed so that sums of fences (XOR) tell sets apart.
    pub fn hash(self) -> u64 {
        let mut x = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// A worker's durable name, born in its state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u128);

/// A cluster's name, born when its first log is; a restored cluster is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// One disk's copy of a log: a replica that comes back with another one has forgotten its votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageId(pub u128);

/// A client's name for one changing request, kept over its retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// One life of a worker daemon: made durable before its first hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    pub number: u64,
    pub nonce: u64,
}

/// The name of a run that people read and type, such as `greedy-yonath-1608`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Arc<str>);

impl RunId {
    pub fn new(text: &str) -> Self {
        RunId(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// SHA-256 of something canonical: a graph, a staged blob, a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        match f.precision() {
            Some(digits) => f.write_str(&text[..digits.min(text.len())]),
            None => f.write_str(&text),
        }
    }
}
