//! When a snapshot is due, and the one of another that is on its way into the state.

use dagmar_common::ids::LogIndex;
use dagmar_coordinator_core::State;
use dagmar_replica::SnapshotMeta;

/// A snapshot is due when the log since the last one is larger than this and than the last one.
pub const LOG_BYTES_MIN: u64 = 64 << 20;
/// Entries kept behind a snapshot for followers that are a little late.
pub const ENTRIES_KEPT: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
pub struct SnapshotRule {
    pub log_bytes_min: u64,
    pub entries_kept: u64,
}

impl Default for SnapshotRule {
    fn default() -> Self {
        SnapshotRule { log_bytes_min: LOG_BYTES_MIN, entries_kept: ENTRIES_KEPT }
    }
}

#[derive(Debug)]
pub struct Snapshots {
    rule: SnapshotRule,
    /// Of the log since the last one was frozen.
    log_bytes: u64,
    last_bytes: u64,
    /// One that knows a newcomer: only from such a one can it begin.
    is_wanted: bool,
    /// One is being saved. A shell that fails at it takes no more: its log only grows.
    is_saving: bool,
}

/// What a leader sent in place of the log: durable here, and read.
pub struct Brought {
    pub meta: SnapshotMeta,
    pub state: State,
}

impl Snapshots {
    pub fn new(rule: SnapshotRule) -> Self {
        Snapshots { rule, log_bytes: 0, last_bytes: 0, is_wanted: false, is_saving: false }
    }

    pub fn applied(&mut self, bytes: usize) {
        self.log_bytes += bytes as u64;
    }

    /// The members are others from here on.
    pub fn members_changed(&mut self) {
        self.is_wanted = true;
    }

    /// True where one is to be begun now.
    pub fn begin(&mut self) -> bool {
        let is_due = self.log_bytes >= self.rule.log_bytes_min.max(self.last_bytes);
        if self.is_saving || !is_due && !self.is_wanted {
            return false;
        }
        self.log_bytes = 0;
        (self.is_wanted, self.is_saving) = (false, true);
        true
    }

    /// What stands before the answer may leave the log.
    pub fn saved(&mut self, index: LogIndex, bytes: u64) -> LogIndex {
        self.is_saving = false;
        self.last_bytes = bytes;
        LogIndex(index.0.saturating_sub(self.rule.entries_kept))
    }

    pub fn installed(&mut self) {
        self.log_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_when_the_log_has_outgrown_the_last() {
        let mut snapshots = Snapshots::new(SnapshotRule { log_bytes_min: 100, entries_kept: 10 });
        assert!(!snapshots.begin());
        snapshots.applied(100);
        assert!(snapshots.begin());
        snapshots.applied(500);
        assert!(!snapshots.begin(), "one is being saved");
        assert_eq!(snapshots.saved(LogIndex(30), 501), LogIndex(20));
        assert!(!snapshots.begin(), "the last one is larger than the log since");
        snapshots.applied(1);
        assert!(snapshots.begin());
        snapshots.members_changed();
        assert!(!snapshots.begin());
        assert_eq!(snapshots.saved(LogIndex(7), 0), LogIndex(0));
        assert!(snapshots.begin(), "a newcomer waits for it");
    }
}
