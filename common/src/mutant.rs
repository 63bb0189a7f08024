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
