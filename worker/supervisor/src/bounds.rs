//! Bounds of the supervisor under their names, with what happens when each is hit.

/// Threads that start processes and stay with short ones: one for each cpu, and these, which
/// start what begins meanwhile. What they cannot take at once waits in their queue.
pub const SPAWN_THREADS_SPARE: usize = 2;

/// One frame of the protocol; a longer one ends the connection.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// Events waiting for a daemon that does not read; beyond it no pipe is read, so tasks that
/// write are held up, and nothing is lost.
pub const OUTGOING_BYTES_MAX: usize = 4 << 20;

/// What one pipe gives in one turn of the loop, so that no task drowns the others.
pub const TURN_BYTES_MAX: usize = 256 << 10;

/// One read from a pipe: what a pipe holds unless a task enlarges it.
pub const READ_BYTES: usize = 64 << 10;

/// What is still read of one pipe after its task has ended: the most that a pipe can hold.
pub const DRAIN_BYTES_MAX: usize = 1 << 20;

/// So long a spawn thread stays with the process that it started; most end sooner, and the loop
/// never wakes for them. It cannot be stopped meanwhile.
pub const STAY_US: u64 = 5_000;

/// Events that nobody waits for, such as starts, travel with the next urgent one or after this.
pub const LAZY_FLUSH_US: u64 = 10_000;

/// While [`FED_ROUNDS`] wait here, what is told of the ends of tasks waits so long for others: the
/// ends of short ones then share one message, and wake the daemon once.
pub const BUSY_FLUSH_US: u64 = 10_000;

/// How many times the tasks that can run at once have to wait, for nobody to be in a hurry. What
/// is handed over ahead (`HANDED_AHEAD`) is several times that.
pub const FED_ROUNDS: u64 = 3;

/// How long a pipe that outlives its task's leader is still read, so that the `tee` behind a
/// `>(tee log)` may finish; then the rest of the group is killed.
pub const LINGER_US: u64 = 250_000;

/// Between two looks at whether the rest of a group that was asked to stop is gone.
pub const SURVIVORS_EVERY_US: u64 = 20_000;

/// Between two looks at whether what was killed is gone.
pub const KILLED_EVERY_US: u64 = 2_000;

/// A killed process that is not gone by then hangs in the kernel; its trial is reported anyway.
pub const GONE_WITHIN_US: u64 = 5_000_000;

/// Between two looks for orphans of tasks that still run.
pub const ORPHANS_EVERY_US: u64 = 1_000_000;

/// With less left an exclusive task is not begun.
pub const EXCLUSIVE_LEFT_US: u64 = 1_000_000;

/// Between TERM and KILL of an exclusive task at its deadline, whatever grace it has otherwise:
/// the deadline leaves 7 s for it, for pauses and for differences between clocks.
pub const EXCLUSIVE_GRACE_US: u64 = 2_000_000;

/// Between two looks of a guard at whether what it killed is gone.
pub const GUARD_EVERY_US: u64 = 2_000;

/// A guard that has killed looks on for so long, for whoever was between fork and exec.
pub const GUARD_LOOKS_US: u64 = 500_000;

/// The supervisor waits so long for all that it killed at its end.
pub const END_WITHIN_US: u64 = 10_000_000;

/// Ranges of started fences that are remembered; the lowest two become one beyond it, and what
/// lies between them counts as started.
pub const FENCE_RANGES_MAX: usize = 65_536;

/// The deadline of exclusive tasks whose daemon is in the process of its only coordinator.
pub const NEVER: u64 = u64::MAX;

/// The loop looks around at least so often.
pub const TURN_EVERY_US: u64 = 3_600_000_000;
