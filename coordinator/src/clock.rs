//! The two clocks of the driver.

use std::time::SystemTime;

use dagmar_common::time::{BootTime, Now, WallTime};
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

/// What a member is asked with.
pub fn now() -> Now {
    Now { boot: boot(), wall: wall() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run() {
        let before = boot();
        assert!(before.0 > 0 && boot() >= before);
        assert!(wall() > WallTime(1_600_000_000_000_000));
    }
}
