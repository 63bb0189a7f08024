//! The settings of raft-rs that this house runs with, each with its reason.

use dagmar_common::ids::ReplicaId;
use dagmar_common::time::Span;
use raft::{Config, ReadOnlyOption};

/// How long one tick is; the driver keeps the time.
pub const TICK: Span = Span::from_millis(100);
/// A follower that hears nothing for so many ticks (up to twice that) asks for votes.
pub const ELECTION_TICKS: u64 = 10;
/// A leader is heard from at least every so many ticks.
pub const HEARTBEAT_TICKS: u64 = 2;

/// One append message; the library's default would be one entry a message.
const APPEND_BYTES_MAX: u64 = 64 << 10;
/// Append messages on their way to one follower; more wait for its answers.
const APPENDS_IN_FLIGHT_MAX: usize = 256;
/// Proposed and not committed; beyond it proposals are refused as `Full`.
const UNCOMMITTED_BYTES_MAX: u64 = 4 << 20;
/// Committed entries handed out at once; the rest with the next turn.
const COMMITTED_BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, Copy, Debug)]
pub struct ReplicaConfig {
    pub id: ReplicaId,
    /// Decides the jitter of elections; equal seeds give equal histories.
    pub seed: u64,
    /// Fresh for every start: no two reads of any life of any replica share a context.
    pub boot_nonce: u64,
}

pub(crate) fn raft_config(id: ReplicaId, applied: u64) -> Config {
    Config {
        id: id.0,
        election_tick: ELECTION_TICKS as usize,
        heartbeat_tick: HEARTBEAT_TICKS as usize,
        // The state lives in memory: what is applied at a start is what the snapshot holds, and
        // everything behind it is handed out again. The stored commit index says nothing here.
        applied,
        // Both are off by default. Without them a member that was cut off disturbs the others
        // when it comes back, and a leader that is cut off does not know it.
        pre_vote: true,
        check_quorum: true,
        // The alternative trusts clocks.
        read_only_option: ReadOnlyOption::Safe,
        max_size_per_msg: APPEND_BYTES_MAX,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: COMMITTED_BYTES_MAX,
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_accepts_them_and_the_safe_ones_are_on() {
        let config = raft_config(ReplicaId(1), 7);
        config.validate().expect("valid");
        assert!(config.pre_vote && config.check_quorum);
        assert_eq!(config.read_only_option, ReadOnlyOption::Safe);
        assert_eq!(config.applied, 7);
        assert!(config.max_uncommitted_size < u64::MAX && config.max_size_per_msg > 0);
        assert!(config.max_committed_size_per_ready < u64::MAX);
    }
}
