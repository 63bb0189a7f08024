//! The two clocks that a supervisor reads: time since boot, which decides, and wall time.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Microseconds since boot, suspended time included.
pub fn boot_us() -> u64 {
    u64::try_from(micros(clock_gettime(ClockId::Boottime))).unwrap_or(0)
}

/// Microseconds since 1970.
pub fn wall_us() -> i64 {
    micros(clock_gettime(ClockId::Realtime))
}

fn micros(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}
