//! Processor time of this process and of all its children that have ended.

use std::time::Duration;

/// User and system time at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(Duration);

impl Cpu {
    /// Children count once they were waited for; end what is measured before asking.
    pub fn now() -> Cpu {
        Cpu(used(libc::RUSAGE_SELF) + used(libc::RUSAGE_CHILDREN))
    }

    pub fn until_now(self) -> Duration {
        Cpu::now().0.saturating_sub(self.0)
    }
}

fn used(who: libc::c_int) -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole rusage; zeroed is a valid one if the call fails.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    span(usage.ru_utime) + span(usage.ru_stime)
}

fn span(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs())
        + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// Resident memory of this process once what its allocator keeps for later is given back: what
/// grows from here on is grown, not found again, and the most of it counts from here.
pub fn resident_trimmed() -> u64 {
    // SAFETY: it takes no pointer and may be called at any time.
    unsafe { libc::malloc_trim(0) };
    // Where the kernel does not forget it, what came before counts too.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    resident().0
}

/// Resident memory of this process and the most it was, in bytes.
pub fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |key: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
        rest.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
    };
    (line("VmRSS:").unwrap_or(0), line("VmHWM:").unwrap_or(0))
}
