//! Mutants: rules of the house, each taken away by one switch, in builds made for that alone.
//!
//! Whoever breaks a rule must be noticed. A build with `--cfg dagmar_mutants` can take away one
//! rule at a time, and `tests/sim/mutants.rs` shows that each of these is caught. In every other
//! build [`lives`] is a constant, and nothing of a mutant is left in it.

/// Each with the rule that it breaks, in the words of the design (L: lease rules, §6).
macro_rules! mutants {
    ($($(#[doc = $rule:literal])+ $name:ident,)+) => {
        /// A rule that can be taken away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $rule])+ $name,)+
        }

        impl Mutant {
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)+];

            /// What it breaks.
            pub const fn rule(self) -> &'static str {
                match self {
                    $(Mutant::$name => concat!($($rule,)+).trim_ascii(),)+
                }
            }
        }
    };
}

mutants! {
    /// §5.5: a message that promises something leaves after the write that makes it durable
    SendBeforePersist,
    /// §5.5: what is said to be durable survives a loss of power
    NoFsync,
    /// §5.5: a write makes durable what stands in it, and nothing that gathers behind it
    DurableWithTheWriteBefore,
    /// §2: a reply is given when its command is committed and applied
    ReplyBeforeCommit,
    /// §5.5: a read is answered after a quorum round
    LocalRead,
    /// §5.5: each try at a read has a context of its own
    ReadContextAgain,
    /// §5.4: a snapshot holds every column of the state
    SnapshotLacksTimers,
    /// §5.4: as above, of what orders the queues
    SnapshotLacksReadySequence,
    /// §5.4: as above, of requests that were answered
    SnapshotLacksRequests,
    /// §5.1: a batch of a deposed leader is dropped whole
    DeposedBatchApplies,
    /// §5.2: log time never goes back
    LogTimeGoesBack,
    /// §5.2: log time is elapsed time, whatever the wall clock shows
    LogTimeByWallClock,
    /// §5.4: entries leave the log when a durable snapshot holds them
    TruncatesBeforeSaved,
    /// §5.5: a replica whose log ends before what it acknowledged takes no more part
    ForgetsUnseen,
    /// L2: a stream belongs to one leadership, and ends with it
    StreamOutlivesLeader,
    /// L2: nothing behind a hello is read until the hello is answered
    ReadsBehindHello,
    /// L3: both ends compare what began and was not reported
    SumsNotCompared,
    /// L3: a message that was left out ends its stream
    NumbersNotChecked,
    /// L4: a hello is answered after a quorum round begun since it arrived
    HelloWithoutRound,
    /// L4: a hello is answered after this leader's own `LeaderUp` is applied
    HelloBeforeLeaderUp,
    /// L4: a hello is answered when all that was proposed about its worker is applied
    HelloOverProposals,
    /// L5: what is leased, cancelled and not held is cancelled by the answer to a hello
    UnheldIsNotCancelled,
    /// L5: what is leased and not held is started again by the answer to a hello
    UnheldIsNotStarted,
    /// L5: what runs while its trial waits under that very fence is leased again
    WaitingIsKilled,
    /// L5: what is not leased again is killed
    NotRegainedIsNotKilled,
    /// L5: what was returned meanwhile is not leased again
    ReturnedIsRegained,
    /// L5: an outcome is taken whether its fence is leased still or not
    OnlyLeasedIsRecorded,
    /// L5: a lease is returned by the current incarnation alone
    AnyoneReturns,
    /// L6: readiness belongs to one session
    SuspendsAnySession,
    /// L6: a heartbeat of a worker that is not ready makes the leader close its stream
    NotReadyKeepsStream,
    /// L7: a newer incarnation ends the leases that it does not list
    NewerKeepsLeases,
    /// L7: of an exclusive trial it waits `lost_after`
    NewerDoesNotWait,
    /// L7: an older incarnation is told
    StaleIsNotTold,
    /// L9: an outcome is recorded only under its trial's latest fence
    OlderFenceIsRecorded,
    /// L10: the same fence is not started again where it is known
    StartsSameFenceAgain,
    /// L10: a fence is not started below one of its trial that is held
    StartsOlderFence,
    /// L10: nothing is started while a process of the same trial lives here
    StartsBesideProcess,
    /// L10: what is gone is returned, again and again until it is answered
    GoneIsNotReturned,
    /// L11: a process that we stopped makes no outcome
    OurKillIsAnOutcome,
    /// L11: such a process is returned as one that had started
    KilledWasNotStarted,
    /// L12: a suspended worker gets no grants
    GrantsToSuspended,
    /// L14: leases are taken from a worker after `lost_after` of log time
    LostTooEarly,
    /// L14: what may have started and may run once does not run again
    OnceRunsAgain,
    /// L14: where nobody knows, such a trial had started
    UnknownIsNotStarted,
    /// L14: a trial under which five workers were lost fails
    NoCrashLimit,
    /// L14: exclusive trials of a removed worker wait `lost_after`
    RemovedDoesNotWait,
    /// L15: nothing but its own command clears a drain
    HelloClearsDrain,
    /// L16: a heartbeat is acknowledged after a quorum round begun since it arrived
    AcknowledgesWithoutRound,
    /// L16: a heartbeat is acknowledged on the ready session only
    AcknowledgesAnySession,
    /// L16: no heartbeat is acknowledged while something proposed ends this readiness
    AcknowledgesWhileEnding,
    /// L17: an exclusive process is stopped at its deadline
    NoDeadline,
    /// L17: an exclusive process begins under a deadline with time left
    StartsWithoutDeadline,
    /// L17: an exclusive process does not outlive daemon and supervisor
    NoGuard,
    /// L17: the deadline counts from when the heartbeat was sent
    DeadlineFromAnswer,
    /// L18: nothing is taken back for room that is kept for another class
    RecallsForReserved,
    /// §7: what an old daemon asked and nobody read is never done
    UnreadRequestsLive,
    /// §5.3: what may run once is not granted ahead
    OnceGrantedAhead,
}

/// Whether that rule is taken away here and now.
#[cfg(not(dagmar_mutants))]
#[inline(always)]
pub const fn lives(_: Mutant) -> bool {
    false
}

#[cfg(dagmar_mutants)]
pub use living::{lives, with};

#[cfg(dagmar_mutants)]
mod living {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static LIVING: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub fn lives(mutant: Mutant) -> bool {
        LIVING.get() == Some(mutant)
    }

    /// The rule is taken away while `act` runs, on this thread alone, also if it panics.
    pub fn with<T>(mutant: Mutant, act: impl FnOnce() -> T) -> T {
        struct Ends(Option<Mutant>);
        impl Drop for Ends {
            fn drop(&mut self) {
                LIVING.set(self.0);
            }
        }
        let _ends = Ends(LIVING.replace(Some(mutant)));
        act()
    }
}
