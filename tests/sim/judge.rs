//! The judge of leases: what no history may show, whatever broke in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::ids::{Fence, RunNo};
use dagmar_common::lease::{Ending, ExitReason, Outcome, Start, ToWorker};
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::Closing;
use dagmar_worker_core::Leaving;

use crate::executor::Attempt;
use crate::leading::Entry;

#[derive(Debug, Default)]
pub struct Judge {
    attempts: BTreeMap<Fence, Attempt>,
    recorded: BTreeMap<Attempt, Outcome>,
    succeeded: BTreeSet<(RunNo, Arc<str>)>,
    answered: BTreeSet<Fence>,
    ran_once: BTreeMap<Attempt, Fence>,
    pub outcomes: u64,
}

impl Judge {
    /// A start is on its way: the fence has a name from here on.
    pub fn sent(&mut self, start: &Start) {
        let name = &start.name;
        let step = (name.run, name.path.clone());
        assert!(!self.succeeded.contains(&step), "{step:?} succeeded and is started again");
        let attempt = (name.run, name.path.clone(), name.attempt);
        let before = self.attempts.insert(start.fence, attempt.clone());
        assert!(before.is_none_or(|before| before == attempt), "fence {} twice", start.fence);
    }

    /// Whatever host they are on, at one moment.
    pub fn exclusive<'a>(&self, alive: impl Iterator<Item = (RunNo, &'a Arc<str>)>) {
        let mut seen = BTreeSet::new();
        for one in alive {
            assert!(seen.insert(one), "{one:?} is exclusive and has two processes");
        }
    }

    /// A process of a trial that may run once, did.
    pub fn ran_once(&mut self, attempt: Attempt, fence: Fence) {
        let before = self.ran_once.insert(attempt.clone(), fence);
        assert_eq!(before, None, "{attempt:?} is started twice, the second time as {fence}");
    }

    pub fn applied(&mut self, entry: &Entry<'_>) {
        let mut answers: BTreeMap<Fence, bool> = BTreeMap::new();
        for effect in entry.effects {
            match effect {
                Effect::Recorded { fence, .. } => {
                    answers.insert(*fence, true);
                    self.answered.insert(*fence);
                }
                Effect::Refused { fence, .. } => {
                    answers.insert(*fence, false);
                    self.answered.insert(*fence);
                }
                _ => {}
            }
        }
        for command in &entry.batch.commands {
            let Command::Outcomes { outcomes, .. } = command else { continue };
            for outcome in outcomes {
                if answers.get(&outcome.fence) == Some(&true) {
                    self.recorded(outcome);
                }
            }
        }
    }

    fn recorded(&mut self, outcome: &Outcome) {
        let fence = outcome.fence;
        let ours = [15, 9].map(|signal| Ending::Failed(ExitReason::Signal(signal)));
        assert!(!ours.contains(&outcome.ending), "our own kill is recorded for fence {fence}");
        let Some(attempt) = self.attempts.get(&fence) else {
            panic!("fence {fence} has an outcome and was never sent");
        };
        if let Some(before) = self.recorded.get(attempt) {
            assert_eq!(before, outcome, "{attempt:?} has two outcomes");
            return;
        }
        self.outcomes += 1;
        if outcome.ending == Ending::Succeeded {
            self.succeeded.insert((attempt.0, attempt.1.clone()));
        }
        self.recorded.insert(attempt.clone(), outcome.clone());
    }

    /// Path, attempt and outcome of all that is recorded of a run.
    pub fn outcomes_of(&self, run: RunNo) -> impl Iterator<Item = (&Arc<str>, u32, &Outcome)> {
        let from = (run, Arc::from(""), 0);
        let recorded = self.recorded.range(from..).take_while(move |(at, _)| at.0 == run);
        recorded.map(|((_, path, attempt), outcome)| (path, *attempt, outcome))
    }

    /// Nothing is answered that is not in the log; an older incarnation's return needs no log.
    pub fn delivered(&self, message: &ToWorker) {
        if let ToWorker::Recorded(fences) = message {
            for fence in fences {
                assert!(self.answered.contains(fence), "fence {fence} is answered out of thin air");
            }
        }
    }

    /// Streams here lose and reorder nothing, so neither end may ever think so.
    pub fn leader_closed(&self, why: Closing) {
        assert!(!matches!(why, Closing::OutOfOrder | Closing::Disagrees), "closed: {why:?}");
    }

    pub fn worker_left(&self, why: Leaving) {
        assert_ne!(why, Leaving::OutOfOrder);
    }
}
