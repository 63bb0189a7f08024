//! The operator: takes a replica out of the cluster and puts a new one, with an empty disk, in its
//! place, step by step; drains workers and removes them; all of it at whoever leads.

use dagmar_common::ids::{ReplicaId, WorkerId};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_replica::{Change, ChangeError};

use super::air::Air;
use super::node::Node;

/// Between two looks at how far it is.
const LOOKS_EVERY: Span = Span::from_millis(500);

/// What is wanted of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Drains(bool),
    Removed,
}

#[derive(Debug)]
pub struct Operator {
    /// Whose place is given to a newcomer, and the newcomer.
    replacing: Option<(usize, ReplicaId)>,
    wants: Vec<(WorkerId, Want)>,
    looks_at: BootTime,
    last_given: ReplicaId,
    pub replaced: u64,
    pub drained: u64,
    pub removed: u64,
    /// Whoever drains is to work again.
    is_calm: bool,
}

impl Operator {
    pub fn new(replicas: u64) -> Self {
        Operator {
            replacing: None,
            wants: Vec::new(),
            looks_at: BootTime(u64::MAX),
            last_given: ReplicaId(replicas),
            replaced: 0,
            drained: 0,
            removed: 0,
            is_calm: false,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.replacing.is_none() && self.wants.is_empty()
    }

    pub fn wakes_at(&self) -> BootTime {
        self.looks_at
    }

    pub fn replace(&mut self, place: usize, now: BootTime) {
        if self.replacing.is_none() {
            self.last_given.0 += 1;
            (self.replacing, self.looks_at) = (Some((place, self.last_given)), now);
        }
    }

    /// The last that is wanted of a worker counts.
    pub fn wants(&mut self, worker: WorkerId, want: Want, now: BootTime) {
        self.wants.retain(|(other, _)| *other != worker);
        self.wants.push((worker, want));
        self.looks_at = now;
    }

    pub fn calm_down(&mut self, now: BootTime) {
        self.is_calm = true;
        self.looks_at = now;
    }

    /// The next step, if somebody leads who can take it.
    pub fn turn(&mut self, nodes: &mut [Node], air: &mut Air) {
        if self.looks_at > air.now {
            return;
        }
        self.look_at_workers(&air.witness.shadow);
        let is_idle = self.is_idle() && !self.is_calm;
        self.looks_at = if is_idle { BootTime(u64::MAX) } else { air.now + LOOKS_EVERY };
        let Some(leader) = leader_of(nodes, air) else { return };
        let Some(host) = &mut leader.host else { return };
        for (worker, want) in self.wants.iter().copied() {
            host.propose(match want {
                Want::Drains(is_on) => Command::Drain { worker, is_on },
                Want::Removed => Command::RemoveWorker { worker },
            });
        }
        leader.wakes = air.now;
        if let Some((place, newcomer)) = self.replacing {
            self.replaces(place, newcomer, nodes, air);
        }
    }

    /// What the state shows is not wanted any more, nor of anybody whom nobody knows.
    fn look_at_workers(&mut self, state: &State) {
        let (drained, removed) = (&mut self.drained, &mut self.removed);
        self.wants.retain(|(id, want)| {
            let Some(worker) = state.workers().find(|worker| worker.id == *id) else {
                return false;
            };
            let is_so = match want {
                Want::Drains(is_on) => worker.drains == *is_on,
                Want::Removed => worker.is_removed,
            };
            *drained += u64::from(is_so && *want == Want::Drains(true));
            *removed += u64::from(is_so && *want == Want::Removed);
            !is_so && !worker.is_removed
        });
        if self.is_calm {
            self.wants.retain(|(_, want)| *want != Want::Drains(true));
            let drains = state.workers().filter(|worker| worker.drains && !worker.is_removed);
            for worker in drains.map(|worker| worker.id) {
                if !self.wants.contains(&(worker, Want::Drains(false))) {
                    self.wants.push((worker, Want::Drains(false)));
                }
            }
        }
    }

    fn replaces(&mut self, place: usize, newcomer: ReplicaId, nodes: &mut [Node], air: &mut Air) {
        let Some(host) = leader_of(nodes, air).and_then(|leader| leader.host.as_mut()) else {
            return;
        };
        let (old, members) = (air.members[place], host.membership().clone());
        if members.voters.contains(&newcomer) {
            self.replacing = None;
            self.replaced += 1;
        } else if old == newcomer {
            let is_learner = members.learners.contains(&newcomer);
            let joins = Change::AddLearner(newcomer);
            // Refused while another is under way or it is behind: the next look tries again.
            let _ = host.change(if is_learner { Change::Promote(newcomer) } else { joins });
        } else if members.contains(old) {
            if let Err(ChangeError::Leads(_)) = host.change(Change::Remove(old)) {
                let other = members.voters.iter().find(|voter| **voter != old);
                other.into_iter().for_each(|other| host.transfer(*other));
            }
        } else {
            air.members[place] = newcomer;
            nodes[place].begins_as(newcomer, air);
        }
    }
}

fn leader_of<'a>(nodes: &'a mut [Node], air: &Air) -> Option<&'a mut Node> {
    nodes.iter_mut().find(|node| !node.is_paused(air.now) && node.is_up())
}
