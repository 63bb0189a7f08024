//! One replica's inputs: ticks, messages, proposals, reads, and what became of its writes.

use std::mem;

use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use dagmar_common::mutant::{Mutant, lives};
use raft::eraftpb::{Message, MessageType};
use raft::{Error, RawNode, SnapshotStatus, StateRole};
use thiserror::Error as ThisError;

use crate::config::{ReplicaConfig, raft_config};
use crate::durable::{Incoherent, Recovered, SnapshotMeta, Token};
use crate::jitter::Jitter;
use crate::membership::{Change, ChangeError, Membership, PROMOTE_WITHIN_ENTRIES, hint_text};
use crate::message::{self, ReceiveError};
use crate::reads::{ReadId, Reads};
use crate::storage::LogTail;
use crate::writes::Writes;

pub struct Replica {
    pub(crate) id: ReplicaId,
    pub(crate) node: RawNode<LogTail>,
    /// What is on its way to the disk, and what waits to go.
    pub(crate) writes: Writes,
    pub(crate) reads: Reads,
    /// What the caller was told last.
    pub(crate) told: Standing,
    /// As far as the caller's state machine is.
    pub(crate) applied: LogIndex,
    /// What it was when the election timeout was drawn.
    drawn_at: Standing,
    election_ticks: usize,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Follower {
        leader: Option<ReplicaId>,
    },
    Candidate,
    /// Its own `LeaderUp` is the first thing it proposes.
    Leader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub term: Term,
    pub role: Role,
}

/// Where a proposal will stand if it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposed {
    pub term: Term,
    pub index: LogIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
pub enum ProposeError {
    #[error("this replica does not lead{}", hint_text(*.hint))]
    NotLeader { hint: Option<ReplicaId> },
    /// Too much is proposed and not committed.
    #[error("too much is uncommitted; try again")]
    Full,
}

/// For metrics and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub standing: Standing,
    pub commit: LogIndex,
    pub last: LogIndex,
    pub persisted: LogIndex,
    pub first_in_memory: LogIndex,
}

impl Replica {
    pub fn new(config: ReplicaConfig, recovered: Recovered) -> Result<Self, Incoherent> {
        let recovered = recovered.settled()?;
        let applied = recovered.base.index;
        let hard_state = recovered.hard_state;
        let raft_config = raft_config(config.id, applied.0);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&raft_config, LogTail::new(recovered), &logger)
            .map_err(|error| Incoherent { why: error.to_string() })?;
        let standing = standing_of(&node);
        let mut jitter = Jitter::new(config.seed);
        let election_ticks = jitter.draw();
        let mut replica = Replica {
            id: config.id,
            node,
            writes: Writes::new(hard_state),
            reads: Reads::new(config.id.0, config.boot_nonce),
            told: standing,
            applied,
            drawn_at: standing,
            election_ticks,
            jitter,
        };
        replica.settle();
        Ok(replica)
    }

    /// Every [`TICK`](crate::TICK), as long as the [gate](crate::gate) lets it pass.
    pub fn tick(&mut self) {
        self.reads.tick();
        if self.must_not_campaign() {
            return;
        }
        self.node.tick();
        if !self.leads() && self.node.raft.election_elapsed == 0 {
            self.election_ticks = self.jitter.draw();
        }
        self.settle();
    }

    /// Stands for election at once, as a start does: a replica that is alone leads right after.
    /// Hand out what is [ready](Self::ready) before, or a change of the membership that waits
    /// there forbids it.
    pub fn campaign(&mut self) {
        if !self.must_not_campaign() {
            // Refused only where it changes nothing: raft counts that as success too.
            let _ = self.node.campaign();
            self.settle();
        }
    }

    /// A message from a replica whose name the transport has proved.
    pub fn receive(&mut self, from: ReplicaId, bytes: &[u8]) -> Result<(), ReceiveError> {
        self.receive_with(from, bytes, None)
    }

    /// The same for one that announces a snapshot: its chunks are durable here.
    pub fn receive_snapshot(
        &mut self,
        from: ReplicaId,
        bytes: &[u8],
        here: &SnapshotMeta,
    ) -> Result<(), ReceiveError> {
        self.receive_with(from, bytes, Some(here))
    }

    fn receive_with(
        &mut self,
        from: ReplicaId,
        bytes: &[u8],
        here: Option<&SnapshotMeta>,
    ) -> Result<(), ReceiveError> {
        let message = message::open(from, self.id, bytes)?;
        if message::snapshot_meta(&message).as_ref() != here {
            let why = "it announces another snapshot than the one that is here";
            return Err(ReceiveError::Refused { from, why });
        }
        self.refuse_to_forget(&message)?;
        if self.is_better_lost(&message) {
            return Ok(());
        }
        match self.node.step(message) {
            // An answer from one who is no longer a member, or not yet.
            Ok(()) | Err(Error::StepPeerNotFound) => {}
            Err(_) => {
                let why = "it makes no sense to this replica";
                return Err(ReceiveError::Refused { from, why });
            }
        }
        self.settle();
        Ok(())
    }

    /// Appends to the log of a leader. It is never forwarded: a follower would lose the answer.
    pub fn propose(&mut self, data: Vec<u8>) -> Result<Proposed, ProposeError> {
        if !self.may_propose() {
            return Err(ProposeError::NotLeader { hint: self.hint() });
        }
        // It leads and hands nothing over, so all that can be wrong is the room.
        self.node.propose(Vec::new(), data).map_err(|_| ProposeError::Full)?;
        Ok(self.proposed())
    }

    pub fn change(&mut self, change: Change) -> Result<Proposed, ChangeError> {
        if !self.may_propose() {
            return Err(ChangeError::NotLeader { hint: self.hint() });
        }
        self.judge(change)?;
        let raw = change.to_raft();
        match self.node.propose_conf_change(Vec::new(), raw) {
            Ok(()) => Ok(self.proposed()),
            Err(_) => Err(ChangeError::Full),
        }
    }

    /// One try at a linearizable read; its fate comes with a later [`ready`](Self::ready).
    pub fn read(&mut self) -> ReadId {
        let (id, context) = self.reads.ask();
        let Some(context) = context else { return id };
        if lives(Mutant::LocalRead) {
            self.reads.confirm(&context, self.node.raft.raft_log.committed);
            return id;
        }
        if self.writes.installing() {
            self.reads.drop_read(id);
            return id;
        }
        let asked = |node: &RawNode<LogTail>| {
            (node.raft.pending_read_count(), node.raft.ready_read_count(), node.raft.msgs.len())
        };
        let before = asked(&self.node);
        self.node.read_index(context);
        // Without a leader, or when it has committed nothing in its term, raft says nothing.
        if asked(&self.node) == before {
            self.reads.drop_read(id);
        }
        id
    }

    /// The write of that token is durable; what it held back may leave now.
    pub fn persisted(&mut self, token: Token) {
        let done = self.writes.done(token);
        // First raft learns of it, then what it held back is released (with the next `ready`):
        // an answer to one of these messages may make this replica a leader.
        self.node.on_persist_ready(done.number);
        if done.installed {
            self.node.advance_apply();
        }
        self.settle();
    }

    /// The state machine holds everything up to `index`.
    pub fn applied(&mut self, index: LogIndex) {
        assert!(index >= self.applied, "applied went back from {} to {index}", self.applied);
        self.applied = index;
    }

    /// A snapshot of our own state is durable: memory before it may go.
    pub fn snapshot_saved(&mut self, meta: SnapshotMeta) {
        assert!(meta.index <= self.applied, "a snapshot of what is not applied: {}", meta.index);
        self.node.mut_store().snapshot_saved(meta);
    }

    pub fn report_unreachable(&mut self, peer: ReplicaId) {
        self.node.report_unreachable(peer.0);
    }

    /// Whether the peer holds the snapshot durably; until then nothing else is sent to it.
    pub fn report_snapshot(&mut self, peer: ReplicaId, durable_there: bool) {
        let status = if durable_there { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(peer.0, status);
    }

    /// Hands the leadership over; proposals are refused until it is done or given up.
    pub fn transfer(&mut self, to: ReplicaId) {
        if self.leads() {
            self.node.transfer_leader(to.0);
        }
    }

    /// It leads and proposes nothing: either another leads soon, or it goes on after a while.
    pub fn hands_over(&self) -> bool {
        self.leads() && self.node.raft.lead_transferee.is_some()
    }

    pub fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub fn standing(&self) -> Standing {
        standing_of(&self.node)
    }

    pub fn status(&self) -> Status {
        let log = &self.node.raft.raft_log;
        Status {
            standing: self.standing(),
            commit: LogIndex(log.committed),
            last: LogIndex(log.last_index()),
            persisted: LogIndex(log.persisted),
            first_in_memory: self.node.store().first_in_memory(),
        }
    }

    /// As far as changes are handed out.
    pub fn membership(&self) -> Membership {
        let state = self.node.raft.prs().conf().to_conf_state();
        // Only single steps are ever written (`message` refuses others), so it is never joint.
        Membership::from_raft(&state).unwrap_or_default()
    }

    fn proposed(&self) -> Proposed {
        let raft = &self.node.raft;
        Proposed { term: Term(raft.term), index: LogIndex(raft.raft_log.last_index()) }
    }

    fn may_propose(&self) -> bool {
        self.leads() && self.node.raft.lead_transferee.is_none()
    }

    fn hint(&self) -> Option<ReplicaId> {
        let raft = &self.node.raft;
        let next = raft.lead_transferee.unwrap_or(raft.leader_id);
        (next != 0 && next != self.id.0).then_some(ReplicaId(next))
    }

    fn judge(&self, change: Change) -> Result<(), ChangeError> {
        let (raft, members) = (&self.node.raft, self.membership());
        if raft.has_pending_conf() {
            return Err(ChangeError::Pending);
        }
        match change {
            Change::AddLearner(id) if members.contains(id) => Err(ChangeError::AlreadyMember(id)),
            Change::Promote(id) if !members.learners.contains(&id) => {
                Err(ChangeError::NotLearner(id))
            }
            Change::Promote(learner) => {
                let matched = raft.prs().get(learner.0).map_or(0, |progress| progress.matched);
                let entries = raft.raft_log.last_index().saturating_sub(matched);
                if entries > PROMOTE_WITHIN_ENTRIES {
                    return Err(ChangeError::Behind { learner, entries });
                }
                Ok(())
            }
            Change::Remove(id) if id == self.id => Err(ChangeError::Leads(id)),
            Change::Remove(id) if !members.contains(id) => Err(ChangeError::NoMember(id)),
            Change::AddLearner(_) | Change::Remove(_) => Ok(()),
        }
    }

    /// While a snapshot is being installed raft would look for entries that are gone. And an
    /// only voter wins in the same instant, when all of its log must be durable.
    fn must_not_campaign(&self) -> bool {
        let log = &self.node.raft.raft_log;
        let would_win_unpersisted = !self.leads()
            && self.membership().is_only_voter(self.id)
            && log.persisted < log.last_index();
        self.writes.installing() || would_win_unpersisted
    }

    /// A heartbeat commits only what its receiver has acknowledged, so it cannot be missing.
    fn refuse_to_forget(&self, message: &Message) -> Result<(), ReceiveError> {
        let last = self.node.raft.raft_log.last_index();
        let heartbeat = message.get_msg_type() == MessageType::MsgHeartbeat;
        let goes_on = lives(Mutant::ForgetsUnseen);
        if heartbeat && message.term >= self.node.raft.term && message.commit > last && !goes_on {
            let (id, acknowledged) = (self.id, LogIndex(message.commit));
            return Err(ReceiveError::LostData { id, last: LogIndex(last), acknowledged });
        }
        Ok(())
    }

    /// What is taken as if the network had lost it.
    fn is_better_lost(&self, message: &Message) -> bool {
        let out_of_season = match message.get_msg_type() {
            MessageType::MsgTimeoutNow => self.must_not_campaign(),
            // Asked of one who led: raft would pass it on in the name of the one who asked.
            MessageType::MsgReadIndex => !self.leads(),
            _ => false,
        };
        out_of_season || self.writes.installing() || self.is_late_rejection(message)
    }

    /// A rejection that overtook nothing but came late, from before its sender matched: the
    /// library (0.7.0) would go back behind what is known to match.
    fn is_late_rejection(&self, message: &Message) -> bool {
        let progress = self.node.raft.prs().get(message.from);
        message.get_msg_type() == MessageType::MsgAppendResponse
            && message.reject
            && message.term == self.node.raft.term
            && progress.is_some_and(|progress| message.reject_hint < progress.matched)
    }

    /// After every input: reads fall with their leader, and the election timeout is ours.
    pub(crate) fn settle(&mut self) {
        let standing = self.standing();
        if mem::replace(&mut self.drawn_at, standing) != standing {
            self.reads.drop_unconfirmed();
            self.election_ticks = self.jitter.draw();
        }
        self.node.raft.set_randomized_election_timeout(self.election_ticks);
    }
}

fn standing_of(node: &RawNode<LogTail>) -> Standing {
    let raft = &node.raft;
    let role = match raft.state {
        StateRole::Leader => Role::Leader,
        StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        StateRole::Follower => {
            Role::Follower { leader: (raft.leader_id != 0).then_some(ReplicaId(raft.leader_id)) }
        }
    };
    Standing { term: Term(raft.term), role }
}
