//! The judge of leases: what no history may show, whatever broke in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dagmar_common::ids::{Fence, RunId, RunNo};
use dagmar_common::lease::{Ending, ExitReason, Outcome, Start, ToWorker};
use dagmar_common::limits::CRASH_LIMIT;
use dagmar_common::record::NodeStatus;
use dagmar_coordinator_core::command::{Batch, Command};
use dagmar_coordinator_core::effect::{Effect, Event};
use dagmar_coordinator_core::leader::Closing;
use dagmar_worker_core::Leaving;

use crate::executor::Attempt;

/// Far more often than anything that breaks can end a lease of one attempt.
const GRANTS_MAX: u32 = 200;

/// One entry as a judge sees it.
pub struct Entry<'a> {
    pub batch: &'a Batch,
    pub effects: &'a [Effect],
}

#[derive(Debug, Default)]
pub struct Judge {
    attempts: BTreeMap<Fence, Attempt>,
    recorded: BTreeMap<Attempt, Outcome>,
    succeeded: BTreeSet<(RunNo, Arc<str>)>,
    answered: BTreeSet<Fence>,
    ran_once: BTreeMap<Attempt, Fence>,
    /// Of each attempt the last fence, where only an outcome can end it.
    latest: BTreeMap<Attempt, Fence>,
    /// How often each was granted: too often, and it ends for that.
    grants: BTreeMap<Attempt, u32>,
    run_ids: BTreeMap<RunNo, RunId>,
    /// Cancelled or gone: their trials may end without an outcome.
    stopped: BTreeSet<RunId>,
    /// As well, where their time was up: some of their nodes were cancelled.
    cancelled: BTreeSet<RunNo>,
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

    /// A lease is granted. From here on every outcome under an older fence comes too late.
    pub fn granted(&mut self, start: &Start) {
        let name = &start.name;
        let attempt = (name.run, name.path.clone(), name.attempt);
        let grants = self.grants.entry(attempt.clone()).or_default();
        *grants += 1;
        assert!(*grants < GRANTS_MAX, "{attempt:?} is granted again and again");
        let may_end_otherwise = start.task.care.once || *grants >= u32::from(CRASH_LIMIT);
        match may_end_otherwise || self.stopped.contains(&name.run_id) {
            true => self.latest.remove(&attempt),
            false => self.latest.insert(attempt, start.fence),
        };
        self.run_ids.insert(name.run, name.run_id.clone());
    }

    /// The latest fence of an attempt without an outcome, leased or not: what it says counts.
    fn refused(&self, fence: Fence) {
        let latest = self.latest.iter().find(|(_, latest)| **latest == fence);
        let Some((attempt, _)) = latest else { return };
        let is_stopped = self.run_ids.get(&attempt.0).is_none_or(|run| self.stopped.contains(run));
        let is_stopped = is_stopped || self.cancelled.contains(&attempt.0);
        let is_recorded = self.recorded.contains_key(attempt);
        assert!(is_stopped || is_recorded, "the outcome of {attempt:?} under {fence} is refused");
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
                Effect::Event(Event::Node { run, status: NodeStatus::Cancelled, .. }) => {
                    self.cancelled.insert(*run);
                }
                _ => {}
            }
        }
        for command in &entry.batch.commands {
            let outcomes = match command {
                Command::Outcomes { outcomes, .. } => outcomes,
                Command::Cancel { run, .. } | Command::Archived { run } => {
                    self.stopped.insert(run.clone());
                    continue;
                }
                _ => continue,
            };
            for outcome in outcomes {
                match answers.get(&outcome.fence) {
                    Some(true) => self.recorded(outcome),
                    Some(false) => self.refused(outcome.fence),
                    None => {}
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

#[cfg(test)]
mod tests {
    use dagmar_common::graph::Care;

    use super::*;
    use crate::scenario::agents::start;

    #[test]
    #[should_panic(expected = "is exclusive and has two processes")]
    fn two_processes_of_an_exclusive_trial() {
        let path = Arc::from("a");
        Judge::default().exclusive([(RunNo(1), &path), (RunNo(1), &path)].into_iter());
    }

    #[test]
    #[should_panic(expected = "is started twice")]
    fn a_trial_that_may_run_once_and_runs_again() {
        let (mut judge, attempt) = (Judge::default(), (RunNo(1), Arc::from("a"), 1));
        judge.ran_once(attempt.clone(), Fence(1));
        judge.ran_once(attempt, Fence(2));
    }

    #[test]
    #[should_panic(expected = "is granted again and again")]
    fn a_lease_that_comes_back_and_goes_out_again_for_ever() {
        let (mut judge, start) = (Judge::default(), start(Care::default()));
        (0..GRANTS_MAX).for_each(|_| judge.granted(&start));
    }

    #[test]
    #[should_panic(expected = "closed: OutOfOrder")]
    fn a_stream_that_reorders() {
        Judge::default().leader_closed(Closing::OutOfOrder);
    }
}
