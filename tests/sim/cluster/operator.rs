//! The operator: takes a replica out of the cluster and puts a new one, with an empty disk, in its
//! place, step by step and at whoever leads.

use dagmar_common::ids::ReplicaId;
use dagmar_common::time::{BootTime, Span};
use dagmar_replica::{Change, ChangeError};

use super::air::Air;
use super::node::Node;

/// Between two looks at how far it is.
const LOOKS_EVERY: Span = Span::from_millis(500);

#[derive(Debug)]
pub struct Operator {
    /// Whose place is given to a newcomer, and the newcomer.
    replacing: Option<(usize, ReplicaId)>,
    looks_at: BootTime,
    last_given: ReplicaId,
    pub replaced: u64,
}

impl Operator {
    pub fn new(replicas: u64) -> Self {
        let last_given = ReplicaId(replicas);
        Operator { replacing: None, looks_at: BootTime(u64::MAX), last_given, replaced: 0 }
    }

    pub fn is_idle(&self) -> bool {
        self.replacing.is_none()
    }

    pub fn wakes_at(&self) -> BootTime {
        self.looks_at
    }

    pub fn replace(&mut self, place: usize, now: BootTime) {
        if self.is_idle() {
            self.last_given.0 += 1;
            (self.replacing, self.looks_at) = (Some((place, self.last_given)), now);
        }
    }

    /// The next step, if somebody leads who can take it.
    pub fn turn(&mut self, nodes: &mut [Node], air: &mut Air) {
        let Some((place, newcomer)) = self.replacing.filter(|_| self.looks_at <= air.now) else {
            return;
        };
        self.looks_at = air.now + LOOKS_EVERY;
        let up = |node: &&mut Node| !node.is_paused(air.now);
        let Some(leader) = nodes.iter_mut().filter(up).find(|node| node.is_up()) else { return };
        let Some(host) = &mut leader.host else { return };
        let (old, members) = (air.members[place], host.membership().clone());
        if members.voters.contains(&newcomer) {
            (self.replacing, self.looks_at) = (None, BootTime(u64::MAX));
            self.replaced += 1;
        } else if old == newcomer {
            let is_learner = members.learners.contains(&newcomer);
            let joins = Change::AddLearner(newcomer);
            // Refused while another is under way or it is behind: the next look tries again.
            let _ = host.change(if is_learner { Change::Promote(newcomer) } else { joins });
            leader.wakes = air.now;
        } else if members.contains(old) {
            if let Err(ChangeError::Leads(_)) = host.change(Change::Remove(old)) {
                let other = members.voters.iter().find(|voter| **voter != old);
                other.into_iter().for_each(|other| host.transfer(*other));
            }
            leader.wakes = air.now;
        } else {
            air.members[place] = newcomer;
            nodes[place].begins_as(newcomer, air);
        }
    }
}
