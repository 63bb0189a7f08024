//! The protocol between a worker and its supervisor: numbered messages in length-framed batches.
//!
//! A frame is `length u32 | version u8 | kind u8 | fields`, little-endian, the length counting all
//! after itself. Kinds are never given twice. A supervisor outlives an upgrade of its daemon, so
//! each side reads its own version and the one before it; version 1 has none before it. There is
//! no checksum: a socket pair damages nothing.

mod batch;
mod frames;
mod read;
#[cfg(test)]
mod tests;

pub use batch::{EventBatch, RequestBatch};
pub use frames::Frames;

use crate::packed::PackedView;

/// What is written.
pub const VERSION: u8 = 1;
/// The oldest that is read.
pub const VERSION_MIN: u8 = 1;

/// What a daemon asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// First on every connection, and nowhere else.
    ///
    /// Every process of this supervisor will carry the mark in its environment, as
    /// `DAGMAR_SUPERVISOR`; it is the daemon's to choose, so that it knows it even if it never
    /// hears an answer. Tasks that together want more than `cpu_millis` wait for each other.
    Hello {
        on_close: OnClose,
        cpu_millis: u32,
        mark: &'a [u8],
    },
    /// Variables that many tasks share, under a number; entries here stand over those of `over`.
    Environment {
        number: u32,
        over: Option<u32>,
        entries: PackedView<'a>,
    },
    /// No later spawn will name it.
    Forget {
        number: u32,
    },
    Spawn(Spawn<'a>),
    /// TERM, then KILL after the grace.
    Stop {
        fence: u64,
        grace_us: u64,
    },
    /// KILL at once.
    Kill {
        fence: u64,
    },
    /// Answered by `Held`, and by all that no daemon has said it heard. A daemon that found its
    /// supervisor is told nothing before it asks this.
    List,
    /// The end of this trial is where it outlives the daemon: it need not be told again.
    Heard {
        fence: u64,
    },
    /// Exclusive tasks may live until then, in microseconds since boot. A later one stands.
    Deadline {
        at_us: u64,
    },
    /// Stops everything and ends.
    Shutdown {
        grace_us: u64,
    },
}

/// What happens when the control socket closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnClose {
    /// Every task is killed at once.
    Kill,
    /// Tasks go on, and for so long another daemon may come: over the listening socket that this
    /// supervisor was started with as its stdout.
    Keep { for_us: u64 },
}

/// One process to start, as soon as the cpus that it wants are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spawn<'a> {
    pub fence: u64,
    /// The environment that `additions` are added to; no name stands in both.
    pub environment: u32,
    pub additions: PackedView<'a>,
    /// One text: where it runs.
    pub directory: PackedView<'a>,
    /// The program and its arguments.
    pub words: PackedView<'a>,
    pub time_limit_us: Option<u64>,
    /// Between TERM and KILL at the time limit.
    pub grace_us: u64,
    /// Bytes kept of each stream; what exceeds them is read and counted.
    pub output_max: u64,
    /// Started only under a deadline, stopped at it, and killed if this supervisor dies.
    pub exclusive: bool,
    /// What wants more than there is runs alone; what wants none never waits.
    pub cpu_millis: u32,
}

/// What a supervisor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The answer to `Hello`.
    Welcome {
        pid: u32,
    },
    Started(Started),
    Output {
        fence: u64,
        stream: Stream,
        bytes: &'a [u8],
    },
    Exited(Exited),
    /// The process could not be started.
    NotStarted {
        fence: u64,
        step: StartStep,
        errno: i32,
    },
    /// Stopped or killed before it began: no process of it ever was.
    NeverBegan {
        fence: u64,
    },
    /// This fence was started before; or, not so, its environment is not known or a shutdown is
    /// under way.
    Refused {
        fence: u64,
        started: bool,
    },
    Held(Vec<Held>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    pub fence: u64,
    pub pid: u32,
    /// Microseconds since 1970.
    pub wall_us: i64,
    /// Microseconds since boot: with the pid it names the process for ever.
    pub boot_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exited {
    pub fence: u64,
    pub exit: Exit,
    pub cause: Cause,
    pub took_us: u64,
    /// Bytes of both streams that were read and not kept.
    pub dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(u8),
    Signal(u8),
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Itself,
    TimeLimit,
    Stopped,
    Killed,
    /// Stopped, because everything is.
    Shutdown,
    /// Exclusive, and no leader was heard for too long.
    Deadline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    Pipes,
    Directory,
    Program,
    /// The process that would kill it if this supervisor died.
    Guard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub fence: u64,
    /// None: waits for cpus or a spawn thread.
    pub began: Option<Started>,
    /// Why it is being stopped, if it is.
    pub cause: Cause,
}

/// Bytes that are no message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    TooLong {
        bytes: usize,
    },
    Version {
        found: u8,
    },
    Kind {
        found: u8,
    },
    /// Fields that end early, go on too long, or hold what they cannot.
    Fields {
        kind: u8,
    },
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::TooLong { bytes } => write!(f, "a frame of {bytes} bytes"),
            Malformed::Version { found } => {
                write!(f, "version {found}; this program speaks {VERSION_MIN} to {VERSION}")
            }
            Malformed::Kind { found } => write!(f, "an unknown message of kind {found}"),
            Malformed::Fields { kind } => write!(f, "a message of kind {kind} with other fields"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The numbers of the messages; requests below 128, events above.
mod kind {
    pub const HELLO: u8 = 1;
    pub const ENVIRONMENT: u8 = 2;
    pub const FORGET: u8 = 3;
    pub const SPAWN: u8 = 4;
    pub const STOP: u8 = 5;
    pub const KILL: u8 = 6;
    pub const LIST: u8 = 7;
    pub const SHUTDOWN: u8 = 8;
    pub const HEARD: u8 = 9;
    pub const DEADLINE: u8 = 10;
    pub const WELCOME: u8 = 129;
    pub const STARTED: u8 = 130;
    pub const OUTPUT: u8 = 131;
    pub const EXITED: u8 = 132;
    pub const NOT_STARTED: u8 = 133;
    pub const NEVER_BEGAN: u8 = 134;
    pub const REFUSED: u8 = 135;
    pub const HELD: u8 = 136;
}
