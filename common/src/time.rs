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

/// The two clocks of a machine, as its shell reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub boot: BootTime,
    pub wall: WallTime,
}

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

    /// The civil time in UTC: year, month, day, hour, minute, second, microsecond.
    ///
    /// Counts days in eras of 400 years that begin on a first of March, where leap days end them.
    pub fn civil(self) -> (i64, u8, u8, u8, u8, u8, u32) {
        const DAY: i64 = 86_400_000_000;
        let (days, rest) = (self.0.div_euclid(DAY) + 719_468, self.0.rem_euclid(DAY));
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        let seconds = rest / 1_000_000;
        let clock = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map(|part| part as u8);
        (year, month as u8, day as u8, clock[0], clock[1], clock[2], (rest % 1_000_000) as u32)
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-20T10:02:11.412Z`.
    pub fn rfc3339(self) -> String {
        let (year, month, day, hour, minute, second, micros) = self.civil();
        let millis = micros / 1_000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }

    /// How long after `earlier` this is; nothing if the clock went back between.
    pub fn since(self, earlier: WallTime) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_reads_as_utc() {
        let check = |micros, text: &str| assert_eq!(WallTime(micros).rfc3339(), text);
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000_000, "2000-02-29T00:00:00.000Z");
        check(1_702_656_531_869_129, "2023-12-15T16:08:51.869Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00.000Z");
    }
}
