//! Who takes part: voters and learners, and the single steps by which that changes.

use dagmar_common::ids::ReplicaId;
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState};
use thiserror::Error;

/// A learner this close to the end of the log may become a voter; further behind it would
/// hold up every commit.
pub const PROMOTE_WITHIN_ENTRIES: u64 = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub voters: Vec<ReplicaId>,
    pub learners: Vec<ReplicaId>,
}

/// One step; the next may be proposed when this one is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every new member begins so.
    AddLearner(ReplicaId),
    Promote(ReplicaId),
    Remove(ReplicaId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    #[error("this replica does not lead{}", hint_text(*.hint))]
    NotLeader { hint: Option<ReplicaId> },
    #[error("another change of the membership is under way; try again when it is applied")]
    Pending,
    #[error("replica {0} is not a learner; add it as one first")]
    NotLearner(ReplicaId),
    #[error("replica {0} is a member already")]
    AlreadyMember(ReplicaId),
    #[error("replica {0} is no member")]
    NoMember(ReplicaId),
    #[error("learner {learner} is {entries} entries behind; promote it when it has caught up")]
    Behind { learner: ReplicaId, entries: u64 },
    #[error("replica {0} leads; transfer the leadership before you remove it")]
    Leads(ReplicaId),
    #[error("too much is uncommitted; try again")]
    Full,
}

pub(crate) fn hint_text(hint: Option<ReplicaId>) -> String {
    hint.map_or_else(|| " and knows no leader".into(), |id| format!("; replica {id} does"))
}

impl Membership {
    pub fn contains(&self, id: ReplicaId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }

    pub fn is_only_voter(&self, id: ReplicaId) -> bool {
        self.voters == [id]
    }

    pub(crate) fn to_raft(&self) -> ConfState {
        let numbers = |ids: &[ReplicaId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        ConfState::from((numbers(&self.voters), numbers(&self.learners)))
    }

    /// None for a joint configuration: we change one step at a time and never make one.
    pub(crate) fn from_raft(state: &ConfState) -> Option<Self> {
        let joint = !state.voters_outgoing.is_empty()
            || !state.learners_next.is_empty()
            || state.auto_leave;
        let sorted = |ids: &[u64]| {
            let mut ids: Vec<_> = ids.iter().map(|id| ReplicaId(*id)).collect();
            ids.sort_unstable();
            ids
        };
        let (voters, learners) = (sorted(&state.voters), sorted(&state.learners));
        (!joint).then_some(Membership { voters, learners })
    }
}

impl Change {
    pub(crate) fn to_raft(self) -> ConfChange {
        let (kind, id) = match self {
            Change::AddLearner(id) => (ConfChangeType::AddLearnerNode, id),
            Change::Promote(id) => (ConfChangeType::AddNode, id),
            Change::Remove(id) => (ConfChangeType::RemoveNode, id),
        };
        let mut change = ConfChange::default();
        change.set_change_type(kind);
        change.node_id = id.0;
        change
    }
}
