//! What breaks around one coordinator: where its process dies, and how often each fault comes.

use dagmar_common::time::Span;

use crate::disk::{Crash, Moment};
use crate::random::Random;

/// A place at which the coordinator's process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A write is decided and nothing of it is on the disk.
    BeforeWrite,
    OnDisk(Moment),
    /// The write is answered, its entries are committed and not applied.
    BeforeApply,
    /// Applied, and nobody outside has heard of it.
    BeforeEffects,
    /// Some who wait have their answer, others do not.
    BeforeReply,
    /// Before what a worker is told.
    BeforeMessage,
    BeforeTruncate,
    /// Between two inputs.
    Anywhere,
}

pub const POINTS: [Point; 11] = [
    Point::BeforeWrite,
    Point::OnDisk(Moment::Unsynced),
    Point::OnDisk(Moment::Unanswered),
    Point::BeforeApply,
    Point::BeforeEffects,
    Point::BeforeReply,
    Point::BeforeMessage,
    Point::BeforeTruncate,
    Point::OnDisk(Moment::HalfSaved),
    Point::OnDisk(Moment::Untruncated),
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Crash,
    /// The process stands still, and time does not.
    Pause,
    /// The state is replaced by one restored from its own snapshot.
    Swap,
    SlowDisk,
    /// A write never comes back, as far as its process can wait.
    HungDisk,
    WallJump,
    /// Of a worker with a process of its own.
    WorkerDies,
    StreamBreaks,
}

const KINDS: [Fault; 8] = [
    Fault::Crash,
    Fault::Pause,
    Fault::Swap,
    Fault::SlowDisk,
    Fault::HungDisk,
    Fault::WallJump,
    Fault::WorkerDies,
    Fault::StreamBreaks,
];

/// How often each kind of fault happens, for one seed: one that never pauses sees what others
/// never see.
#[derive(Debug)]
pub struct Climate {
    weights: [u32; KINDS.len()],
    every: Span,
}

impl Climate {
    pub fn draw(random: &mut Random) -> Self {
        let mut weights = KINDS.map(|_| random.pick(&[0, 1, 2, 4]));
        // Crashes and swaps are what this is about.
        weights[0] = weights[0].max(2);
        weights[2] = weights[2].max(1);
        Climate { weights, every: Span::from_millis(random.pick(&[1_000, 3_000, 6_000, 10_000])) }
    }

    pub fn next(&self, random: &mut Random) -> Fault {
        KINDS[random.weighted(&self.weights).unwrap_or(0)]
    }

    pub fn pause(&self, random: &mut Random) -> Span {
        Span(1 + random.below(2 * self.every.0 as usize) as u64)
    }
}
