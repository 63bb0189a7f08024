//! Log time as a leader reckons it.

use dagmar_common::time::{BootTime, LogTime, Span};

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
}
