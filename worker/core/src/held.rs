//! The table of every fence that this worker knows of and was not answered for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::ids::{Fence, RunNo};
use dagmar_common::lease::{HeldAs, Outcome, TrialName};
use dagmar_common::time::WallTime;

use crate::turn::Stop;

/// Which trial of which run, whatever the attempt; two fences of one key never run side by side.
///
/// The mixed path stands first only so that most comparisons are of numbers: the path decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TrialKey {
    mixed: u64,
    run: RunNo,
    path: Arc<str>,
}

impl TrialKey {
    pub fn new(run: RunNo, path: Arc<str>) -> Self {
        let seed = 0xcbf2_9ce4_8422_2325 ^ run.0;
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        TrialKey { mixed: path.bytes().fold(seed, mix), run, path }
    }

    pub fn of(name: &TrialName) -> Self {
        TrialKey::new(name.run, name.path.clone())
    }
}

/// How far one fence has come:
/// `Queued → Running → Finished | Gone`, `Queued → Gone`, and `NoOp` from the first moment.
#[derive(Debug)]
pub(crate) enum Phase {
    Queued,
    /// Handed to the executor: a process may live, or wait for cpus.
    Running {
        /// Once the executor said so.
        began: Option<WallTime>,
        stopping: Option<Stop>,
    },
    /// The outcome is kept until it is answered.
    Finished(Box<Outcome>),
    /// Finished too; such an outcome is made again from its time whenever it is said.
    NoOp(WallTime),
    /// Neither leads to an outcome nor was answered.
    Gone {
        started: bool,
    },
}

impl Phase {
    pub const HANDED_OVER: Phase = Phase::Running { began: None, stopping: None };

    /// Nothing more comes of it than its answer.
    pub fn is_over(&self) -> bool {
        !matches!(self, Phase::Queued | Phase::Running { .. })
    }

    pub fn as_held(&self) -> HeldAs {
        match self {
            Phase::Queued => HeldAs::Queued,
            Phase::Running { .. } => HeldAs::Running,
            Phase::Finished(_) | Phase::NoOp(_) => HeldAs::Finished,
            Phase::Gone { .. } => HeldAs::Gone,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Work {
    /// None where there never is a process to protect: a no-op, a cancel of what never came.
    pub trial: Option<TrialKey>,
    pub cpu_millis: u32,
    /// The leader of this stream was told that it began, and of nothing since.
    pub told_begun: bool,
    /// The executor was asked, so that a record of it may lie on the disk.
    pub recorded: bool,
    pub phase: Phase,
}

impl Work {
    pub fn new(trial: Option<TrialKey>, cpu_millis: u32, phase: Phase) -> Self {
        Work { trial, cpu_millis, told_begun: false, recorded: false, phase }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }
}

/// What a worker's records say of one fence when its daemon starts again.
#[derive(Debug)]
pub struct Remembered {
    pub fence: Fence,
    pub run: RunNo,
    /// Of [`TrialName::path`].
    pub path: Arc<str>,
    pub cpu_millis: u32,
    pub state: RememberedAs,
}

#[derive(Debug)]
pub enum RememberedAs {
    /// The supervisor still has its process, and knows why it was told to stop it: the daemon that
    /// did so may be gone, and what we stop ourselves is never taken for the trial's own end.
    Running {
        stopping: Option<Stop>,
    },
    Finished(Outcome),
    /// A start record without an exit record, and no process.
    Gone {
        started: bool,
    },
}

/// Fences in order, and the fences of each trial.
#[derive(Debug, Default)]
pub(crate) struct Held {
    works: BTreeMap<Fence, Work>,
    trials: BTreeSet<(TrialKey, Fence)>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    pub fn get(&self, fence: Fence) -> Option<&Work> {
        self.works.get(&fence)
    }

    pub fn get_mut(&mut self, fence: Fence) -> Option<&mut Work> {
        self.works.get_mut(&fence)
    }

    /// In the order of fences.
    pub fn iter(&self) -> impl Iterator<Item = (Fence, &Work)> {
        self.works.iter().map(|(fence, work)| (*fence, work))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Fence, &mut Work)> {
        self.works.iter_mut().map(|(fence, work)| (*fence, work))
    }

    /// False where the fence is held already; that one stays as it is.
    pub fn insert(&mut self, fence: Fence, work: Work) -> bool {
        let std::collections::btree_map::Entry::Vacant(place) = self.works.entry(fence) else {
            return false;
        };
        if let Some(trial) = &work.trial {
            self.trials.insert((trial.clone(), fence));
        }
        place.insert(work);
        true
    }

    pub fn remove(&mut self, fence: Fence) -> Option<Work> {
        let mut work = self.works.remove(&fence)?;
        if let Some(trial) = work.trial.take() {
            let entry = (trial, fence);
            self.trials.remove(&entry);
            work.trial = Some(entry.0);
        }
        Some(work)
    }

    /// Every held fence of `trial`, in order.
    pub fn fences_of(&self, trial: &TrialKey) -> impl Iterator<Item = Fence> {
        let all = (trial.clone(), Fence(0))..=(trial.clone(), Fence(u64::MAX));
        self.trials.range(all).map(|(_, fence)| *fence)
    }

    /// The fence of `trial` under which a process may live on this host.
    pub fn running_of(&self, trial: &TrialKey) -> Option<Fence> {
        self.fences_of(trial).find(|fence| self.get(*fence).is_some_and(Work::is_running))
    }

    pub fn check(&self) {
        for (fence, work) in &self.works {
            let listed =
                work.trial.as_ref().map(|trial| self.trials.contains(&(trial.clone(), *fence)));
            assert_ne!(listed, Some(false), "fence {fence} is not under its trial");
            let needs_trial = matches!(work.phase, Phase::Queued | Phase::Running { .. });
            assert!(listed.is_some() || !needs_trial, "fence {fence} has no trial");
        }
        let with_trial = self.works.values().filter(|work| work.trial.is_some()).count();
        assert_eq!(with_trial, self.trials.len(), "a trial lists a fence that is not held");
        let mut running = BTreeSet::new();
        for work in self.works.values().filter(|work| work.is_running()) {
            assert!(running.insert(&work.trial), "two processes of {:?}", work.trial);
        }
    }
}
