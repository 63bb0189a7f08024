//! The times of the house: log time decides, wall time is a label, boot time is for waiting.

/// Elapsed time under leaders, in microseconds since the log began; it never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(pub u64);

/// Microseconds since 1970 by somebody's clock: for people, never for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// Microseconds of one machine's CLOCK_BOOTTIME: for waits on that machine, compared with no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    pub const fn from_millis(millis: u64) -> Self {
        Span(millis * 1_000)
    }

    pub const fn from_secs(secs: u64) -> Self {
        Span(secs * 1_000_000)
    }

    pub fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}

impl From<std::time::Duration> for Span {
    fn from(duration: std::time::Duration) -> Self {
        Span(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl std::ops::Add<Span> for LogTime {
    type Output = LogTime;

    fn add(self, span: Span) -> LogTime {
        LogTime(self.0.saturating_add(span.0))
    }
}

impl std::ops::Add<Span> for BootTime {
    type Output = BootTime;

    fn add(self, span: Span) -> BootTime {
        BootTime(self.0.saturating_add(span.0))
    }
}

impl WallTime {
    pub fn plus(self, span: Span) -> Self {
        WallTime(self.0.saturating_add_unsigned(span.0))
    }

    /// How long after `earlier` this is; nothing if the clock went back between.
    pub fn since(self, earlier: WallTime) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
