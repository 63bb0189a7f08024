//! A run's events as changes that people understand: each looked up where it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use dagmar_common::ids::{NodeNo, RunId, RunNo, SectionNo};
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{AttemptEnd, Change, Detail, StepChange};
use dagmar_common::record::{AttemptStatus, NodeRecord, NodeStatus, RunStatus};
use dagmar_common::time::WallTime;
use dagmar_coordinator_core::ask::RunView;
use dagmar_coordinator_core::effect::Event;

use super::here::{Here, spawn};
use crate::handle::{Interest, Watched};

/// Changes that wait for a slow reader; beyond that this thread waits, and the driver's events
/// are dropped and counted.
const CHANGES_MAX: usize = 1 << 10;
/// Events that are looked up in one look at the state.
const EVENTS_A_LOOK: usize = 256;

pub fn watch(here: &Here, run: &RunId, detail: Detail) -> Result<Receiver<Change>, Problem> {
    // First the events, then the look: what happens between is seen twice rather than never.
    let watched = here.handle.watch(Interest::Nodes).map_err(|it| here.stopped(it))?;
    let number = here.look(run, |view| view.number())?;
    let (changes, receiver) = bounded(CHANGES_MAX);
    let watcher = Watcher::new(here.clone(), run.clone(), number, detail, changes);
    spawn("watch", move || watcher.run(&watched))?;
    Ok(receiver)
}

/// The only run of a process from its beginning on, or from where it goes on. Asked before the
/// submission, so that nothing of it is missed.
pub fn follow(here: &Here, detail: Detail) -> Result<Receiver<Change>, Problem> {
    let watched = here.handle.watch(Interest::Nodes).map_err(|it| here.stopped(it))?;
    let (changes, receiver) = bounded(CHANGES_MAX);
    let here = here.clone();
    let work = move || {
        let Some((run, number)) = first_run(&here, &watched) else { return };
        let Ok(at) = here.look(&run, |view| view.record().submitted) else { return };
        let watcher = Watcher::new(here, run, number, detail, changes);
        if watcher.tell(Change::Started { at }) {
            watcher.run(&watched);
        }
    };
    spawn("follow", work)?;
    Ok(receiver)
}

/// The run that is there, or the first that comes. None: the driver has stopped.
fn first_run(here: &Here, watched: &Receiver<Watched>) -> Option<(RunId, RunNo)> {
    loop {
        let first = here.handle.read(|state| {
            let view = state.runs().next()?;
            Some((view.run_id().clone(), view.number()))
        });
        match first {
            Ok(Some(first)) => return Some(first),
            // Before a run there are no events of nodes to lose.
            Ok(None) => watched.recv().ok()?,
            Err(_) => return None,
        };
    }
}

struct Watcher {
    here: Here,
    run: RunId,
    number: RunNo,
    detail: Detail,
    changes: Sender<Change>,
    /// Nodes that wait before another attempt.
    backing_off: BTreeSet<Place>,
    /// The attempt that a node is leased for, where it is not the first.
    retried: BTreeMap<Place, u32>,
}

type Place = (SectionNo, NodeNo, Arc<[u32]>);

/// A node that changed, to be looked up.
struct Changed {
    section: SectionNo,
    node: NodeNo,
    indices: Arc<[u32]>,
    status: NodeStatus,
    attempt: u32,
    at: WallTime,
}

impl Watcher {
    fn new(here: Here, run: RunId, number: RunNo, detail: Detail, changes: Sender<Change>) -> Self {
        let (backing_off, retried) = (BTreeSet::new(), BTreeMap::new());
        Watcher { here, run, number, detail, changes, backing_off, retried }
    }

    /// Until the run has ended, its reader has gone, or the driver has stopped.
    fn run(mut self, watched: &Receiver<Watched>) {
        let mut end = self.end();
        while end.is_none() {
            let Ok(first) = watched.recv() else { return };
            let rest = watched.try_iter().take(EVENTS_A_LOOK);
            let Some(is_over) = self.tell_of(std::iter::once(first).chain(rest)) else { return };
            if is_over {
                end = self.end();
            }
        }
        // What led to the end was there before it could be seen.
        let before = watched.try_iter().take(watched.len()).collect::<Vec<_>>();
        if self.tell_of(before).is_some()
            && let Some(end) = end
        {
            self.tell(end);
        }
    }

    /// Whether the run may have ended by now; None once nobody reads or nobody answers.
    fn tell_of(&mut self, several: impl IntoIterator<Item = Watched>) -> Option<bool> {
        let (mut changed, mut is_over, mut count) = (Vec::new(), false, 0);
        for watched in several {
            match watched {
                Watched::Event(event) => is_over |= self.sort(event, &mut changed),
                Watched::Reset { missed } => count += missed,
            }
        }
        if count > 0 && !self.tell(Change::Missed { count }) {
            return None;
        }
        self.tell_changed(changed).then_some(is_over || count > 0)
    }

    /// True if the run has ended.
    fn sort(&mut self, event: Event, changed: &mut Vec<Changed>) -> bool {
        match event {
            Event::Node { run, section, node, indices, status, attempt, at }
                if run == self.number =>
            {
                let place = (section, node, indices.clone());
                if !self.is_again(place, status, attempt)
                    && self.is_wanted(&indices, status, attempt)
                    && !self.is_told(section, node, &indices, status)
                {
                    changed.push(Changed { section, node, indices, status, attempt, at });
                }
                false
            }
            Event::RunEnded { run, .. } => run == self.number,
            _ => false,
        }
    }

    /// An attempt that was lost is begun again: the failure before it was told when it began.
    fn is_again(&mut self, place: Place, status: NodeStatus, attempt: u32) -> bool {
        if attempt <= 1 {
            return false;
        }
        if status == NodeStatus::Leased {
            self.retried.insert(place, attempt);
            return false;
        }
        let is_again = self.retried.remove(&place) == Some(attempt) && !status.has_ended();
        if is_again && status == NodeStatus::Waiting {
            self.backing_off.insert(place);
        }
        is_again
    }

    /// An attempt that failed was told when the wait for the next one began.
    fn is_told(
        &mut self,
        section: SectionNo,
        node: NodeNo,
        indices: &Arc<[u32]>,
        status: NodeStatus,
    ) -> bool {
        let place = (section, node, indices.clone());
        match status {
            NodeStatus::Waiting => !self.backing_off.insert(place),
            _ => self.backing_off.remove(&place) && status == NodeStatus::Ready,
        }
    }

    fn is_wanted(&self, indices: &[u32], status: NodeStatus, attempt: u32) -> bool {
        let is_retry = attempt > 1 && matches!(status, NodeStatus::Ready | NodeStatus::Waiting);
        match self.detail {
            Detail::Everything => true,
            Detail::Steps if indices.is_empty() => status.has_ended() || is_retry,
            Detail::Steps => is_retry || (status.has_ended() && status != NodeStatus::Succeeded),
        }
    }

    fn tell_changed(&self, changed: Vec<Changed>) -> bool {
        if changed.is_empty() {
            return true;
        }
        let changes = self.here.look(&self.run, move |view| {
            changed.iter().filter_map(|one| change(view, one)).collect::<Vec<_>>()
        });
        let Ok(changes) = changes else { return false };
        changes.into_iter().all(|change| self.tell(Change::Step(change)))
    }

    /// How the run ended, once it has.
    fn end(&self) -> Option<Change> {
        let record = self.here.look(&self.run, |view| view.record()).ok()?;
        if record.status == RunStatus::Running {
            return None;
        }
        Some(Change::Ended {
            at: record.ended?,
            status: record.status,
            reason: record.reason.into(),
        })
    }

    /// False once nobody reads.
    fn tell(&self, change: Change) -> bool {
        self.changes.send(change).is_ok()
    }
}

fn change(view: &RunView<'_>, changed: &Changed) -> Option<StepChange> {
    let Changed { section, node, indices, status, attempt, at } = changed;
    let record = view.step(*section, *node, indices)?;
    let is_retry = *attempt > 1 && matches!(status, NodeStatus::Ready | NodeStatus::Waiting);
    let number = if is_retry { attempt - 1 } else { *attempt };
    let tells_end = is_retry || status.has_ended();
    let ended = if tells_end { attempt_end(&record, number) } else { None };
    let at = match &ended {
        Some((at, _)) if *at > WallTime(0) => *at,
        // It had no process, or nobody saw it end.
        _ => *at,
    };
    Some(StepChange {
        at,
        path: record.path.clone(),
        status: *status,
        attempt: if record.attempts.is_empty() { 0 } else { *attempt },
        ended: ended.map(|(_, end)| end),
        reason: record.reason,
    })
}

fn attempt_end(record: &NodeRecord, number: u32) -> Option<(WallTime, AttemptEnd)> {
    let attempt = record
        .attempts
        .iter()
        .rfind(|one| one.number == number && one.status != AttemptStatus::Running)?;
    let last_line = attempt.last_lines.lines().last().unwrap_or_default();
    let end = AttemptEnd {
        number,
        status: attempt.status,
        reason: attempt.reason,
        took: attempt.took,
        last_line: last_line.into(),
    };
    Some((attempt.began.plus(attempt.took), end))
}

#[cfg(test)]
mod tests;
