//! Where a coordinator's process may die: before each thing that it does outside, and beside it.

use crate::disk::{Crash, Moment};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A write is decided and nothing of it is on the disk.
    BeforeWrite,
    OnDisk(Moment),
    /// What another replica waits for is decided and not sent.
    BeforeSend,
    /// The write is answered, its entries are committed and not applied.
    BeforeApply,
    /// Applied, and nobody outside has heard of it.
    BeforeEffects,
    /// Some who wait have their answer, others do not.
    BeforeReply,
    BeforeLook,
    /// Before what a worker is told.
    BeforeMessage,
    BeforeTruncate,
    /// Another's snapshot is durable, and not yet in the log.
    BeforeInstall,
    /// It is the state, and nothing came after it.
    Installed,
    /// Between two inputs.
    Anywhere,
}

pub const POINTS: [Point; 16] = [
    Point::BeforeWrite,
    Point::OnDisk(Moment::Unsynced),
    Point::OnDisk(Moment::Unanswered),
    Point::BeforeSend,
    Point::BeforeApply,
    Point::BeforeEffects,
    Point::BeforeReply,
    Point::BeforeLook,
    Point::BeforeMessage,
    Point::BeforeTruncate,
    Point::OnDisk(Moment::HalfSaved),
    Point::OnDisk(Moment::Untruncated),
    Point::OnDisk(Moment::HalfReceived),
    Point::BeforeInstall,
    Point::Installed,
    Point::Anywhere,
];

/// The process ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Died(pub Crash);

/// Set at one point, it burns when that is passed often enough.
#[derive(Debug, Default)]
pub struct Fuse {
    set: Option<(Point, u32, Died)>,
    /// How often a process died at each of [`POINTS`].
    pub deaths: [u64; POINTS.len()],
}

impl Fuse {
    pub fn set(&mut self, point: Point, passes: u32, died: Died) {
        self.set = Some((point, passes, died));
    }

    pub fn put_out(&mut self) {
        self.set = None;
    }

    pub fn passes(&mut self, point: Point) -> Result<(), Died> {
        let Some((at, left, died)) = &mut self.set else { return Ok(()) };
        if *at != point {
            return Ok(());
        }
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        let died = *died;
        self.set = None;
        if let Some(place) = POINTS.iter().position(|one| *one == point) {
            self.deaths[place] += 1;
        }
        Err(died)
    }
}
