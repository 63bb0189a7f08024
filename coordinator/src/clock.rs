//! The two clocks of the driver, and log time as a leader reckons it.

use std::time::SystemTime;

use dagmar_common::time::{BootTime, LogTime, Span, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Elapsed time since the machine started, suspend included; it never goes back.
pub fn boot() -> BootTime {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec / 1_000).unwrap_or(0);
    BootTime(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// What the clock on the wall says: a label, never a reason.
pub fn wall() -> WallTime {
    let micros =
        |length: std::time::Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    WallTime(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

/// Log time under one leader: what it was before that leader, and how long that one leads.
///
/// Between two leaders it stands still, so no deadline falls while nobody could have met it.
#[derive(Clone, Copy, Debug)]
pub struct LogClock {
    base: LogTime,
    since: BootTime,
    given: LogTime,
}

impl LogClock {
    /// `base` is log time after all entries before this leader's first; `since` is the boottime
    /// at which it began to lead.
    pub fn new(base: LogTime, since: BootTime) -> Self {
        LogClock { base, since, given: base }
    }

    /// Log time now. Whatever the clock does, it is never earlier than it was.
    pub fn at(&mut self, boottime: BootTime) -> LogTime {
        let leading = Span(boottime.0.saturating_sub(self.since.0));
        self.given = self.given.max(self.base + leading);
        self.given
    }

    /// How long until log time is `deadline`; nothing if it has come.
    pub fn until(&self, deadline: LogTime, boottime: BootTime) -> Span {
        let leading = boottime.0.saturating_sub(self.since.0);
        Span(deadline.0.saturating_sub(self.base.0).saturating_sub(leading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_time_is_the_base_and_how_long_this_leader_leads() {
        let at = |seconds| BootTime(Span::from_secs(seconds).0);
        let mut clock = LogClock::new(LogTime(500), at(1_000));
        assert_eq!(clock.at(at(1_000)), LogTime(500));
        assert_eq!(clock.at(at(1_002)), LogTime(2_000_500));
        assert_eq!(clock.at(at(1_001)), LogTime(2_000_500), "it does not go back");
        assert_eq!(clock.at(at(900)), LogTime(2_000_500));
        let deadline = LogTime(3_000_500);
        assert_eq!(clock.until(deadline, at(1_002)), Span::from_secs(1));
        assert_eq!(clock.until(deadline, at(1_009)), Span(0));
    }

    #[test]
    fn a_new_leader_goes_on_where_the_last_one_stopped() {
        let mut first = LogClock::new(LogTime(0), BootTime(10_000_000));
        let stopped = first.at(BootTime(15_000_000));
        let mut second = LogClock::new(stopped, BootTime(9_999_000_000));
        assert_eq!(second.at(BootTime(9_999_000_000)), LogTime(5_000_000));
    }

    #[test]
    fn the_clocks_run() {
        let before = boot();
        assert!(before.0 > 0 && boot() >= before);
        assert!(wall() > WallTime(1_600_000_000_000_000));
    }
}
