//! One member: what it owns, and the inputs by which it hears of the world.

use std::collections::VecDeque;

use dagmar_common::ids::{LogIndex, ReplicaId, StreamNo};
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::Begun;
use dagmar_coordinator_core::command::{Command, Position, WorkerHello};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::leader::Leader;
use dagmar_coordinator_core::stored::Frozen;
use dagmar_replica::durable::Incoherent;
use dagmar_replica::gate::Gate;
use dagmar_replica::waiters::Waiters;
use dagmar_replica::{
    Change, ChangeError, Committed, Membership, Proposed, Read, ReceiveError, Recovered, Replica,
    ReplicaConfig, SnapshotMeta, Standing, Status, TICK, Token,
};

use crate::apply::Fresh;
use crate::intake::{Intake, Proposal};
use crate::leading::{FromStream, Leading};
use crate::output::{Halt, Output};
use crate::pace::Pace;
use crate::reading::{Reader, Reading};
use crate::snapshots::{Brought, SnapshotRule, Snapshots};
use crate::turn::Turn;

/// Streams that a shell opens are numbered from here; below are those of workers born ready.
pub const SHELL_STREAMS_FROM: u64 = 1 << 32;

#[derive(Clone, Debug)]
pub struct MemberConfig {
    pub replica: ReplicaConfig,
    /// For workers that this member introduces; None: the default of `limits`.
    pub lost_after: Option<Span>,
    /// A worker in this very process, of a coordinator that is alone: it is born ready with each
    /// leadership.
    pub within: Option<WorkerHello>,
    pub snapshots: SnapshotRule,
}

/// `T` finds who waits for a reply, `L` who waits to look at the state.
pub struct Member<T, L> {
    pub(crate) replica: Replica,
    pub(crate) state: State,
    /// What the last entry led to.
    pub(crate) applied: Applied,
    /// How far the log is applied; marks of consensus, which the state never sees, count too.
    pub(crate) place: Position,
    pub(crate) membership: Membership,
    /// What its shell was told last.
    pub(crate) standing: Standing,
    /// Only while this replica leads.
    pub(crate) leading: Option<Leading>,
    pub(crate) intake: Intake<T>,
    pub(crate) waiters: Waiters<Vec<Option<T>>>,
    pub(crate) reading: Reading<L>,
    pub(crate) gate: Gate,
    pub(crate) pace: Pace,
    pub(crate) snapshots: Snapshots,
    /// Told by a leader, and not yet in a write.
    pub(crate) brought: Vec<Brought>,
    /// In the write that is out.
    pub(crate) installing: Option<Brought>,
    /// Durable, and not yet the state.
    pub(crate) installed: Option<Brought>,
    pub(crate) lost_after: Option<Span>,
    pub(crate) within: Option<WorkerHello>,
    pub(crate) streams_given: u64,
    /// A write is out: what arrives meanwhile waits for the next.
    pub(crate) writing: bool,
    /// The log takes nothing more before something is committed.
    pub(crate) is_full: bool,
    pub(crate) campaigns: bool,
    pub(crate) committed: VecDeque<Committed>,
    pub(crate) fresh: Option<Fresh>,
    pub(crate) reads: Vec<Read>,
    pub(crate) outputs: VecDeque<Output<T, L>>,
    pub(crate) turn: Turn,
    pub(crate) now: Now,
    pub(crate) next_tick: BootTime,
    pub(crate) has_halted: bool,
}

impl<T, L> Member<T, L> {
    /// `state` is as of the snapshot that the log begins behind. It stands still until it is
    /// asked for outputs, and stands for election by itself only after a while: see
    /// [`campaign`](Self::campaign).
    pub fn new(
        config: MemberConfig,
        recovered: Recovered,
        state: State,
        now: Now,
    ) -> Result<Self, Incoherent> {
        let base = recovered.base.clone();
        let replica = Replica::new(config.replica, recovered)?;
        Ok(Member {
            standing: replica.standing(),
            replica,
            state,
            applied: Applied::default(),
            place: Position { index: base.index, term: base.term },
            membership: base.membership,
            leading: None,
            intake: Intake::new(),
            waiters: Waiters::default(),
            reading: Reading::new(),
            gate: Gate::default(),
            pace: Pace::default(),
            snapshots: Snapshots::new(config.snapshots),
            brought: Vec::new(),
            installing: None,
            installed: None,
            lost_after: config.lost_after,
            within: config.within,
            streams_given: 0,
            writing: false,
            is_full: false,
            campaigns: false,
            committed: VecDeque::new(),
            fresh: None,
            reads: Vec::new(),
            outputs: VecDeque::new(),
            turn: Turn::default(),
            now,
            next_tick: now.boot + TICK,
            has_halted: false,
        })
    }

    /// Stands for election at once: a replica that is alone has nobody to wait for. What was
    /// asked before stands in its first entry, and that in its first write.
    pub fn campaign(&mut self) {
        self.campaigns = true;
    }

    /// Answered by [`Output::Reply`] when the command is durable and applied, or will not be
    /// here. Where another leads that is so at once.
    pub fn propose(&mut self, command: Command, ticket: Option<T>) {
        if let Some(leading) = &mut self.leading {
            leading.is_proposed(&command);
        }
        self.intake.put(Proposal { command, ticket });
    }

    /// A linearizable look at the state, released by [`Output::Look`].
    pub fn read(&mut self, ticket: L) {
        self.reading.ask(&mut self.replica, Reader::Look(ticket));
    }

    /// The write of that token is durable.
    pub fn persisted(&mut self, now: Now, token: Token) {
        self.writing = false;
        self.gate.finished();
        self.pace.written(now.boot);
        self.replica.persisted(token);
        self.installed = self.installing.take();
    }

    /// The snapshot that was due is durable.
    pub fn snapshot_saved(&mut self, meta: SnapshotMeta, bytes: u64) {
        let before = self.snapshots.saved(meta.index, bytes);
        self.replica.snapshot_saved(meta);
        self.outputs.push_back(Output::TruncateBefore(before));
    }

    /// Dropped unless this replica leads: nobody else has sessions.
    pub fn from_stream(&mut self, stream: StreamNo, what: FromStream) {
        if let Some(leading) = &mut self.leading {
            leading.hears(stream, what);
        }
    }

    /// A message of a replica whose name the transport has proved.
    pub fn from_peer(&mut self, from: ReplicaId, bytes: &[u8]) {
        let received = self.replica.receive(from, bytes);
        self.received(received);
    }

    /// The same for a message that [announces a snapshot](dagmar_replica::announced_snapshot)
    /// with this head: its chunks are durable here, and `state` was read from them.
    pub fn snapshot_from_peer(
        &mut self,
        from: ReplicaId,
        bytes: &[u8],
        meta: SnapshotMeta,
        state: State,
    ) {
        let received = self.replica.receive_snapshot(from, bytes, &meta);
        if received.is_ok() {
            self.brought.push(Brought { meta, state });
        }
        self.received(received);
    }

    fn received(&mut self, received: Result<(), ReceiveError>) {
        match received {
            Ok(()) => {}
            Err(lost @ ReceiveError::LostData { .. }) => self.halt(Halt::LostData(lost)),
            Err(refused) => self.outputs.push_back(Output::Refused(refused)),
        }
    }

    pub fn report_unreachable(&mut self, peer: ReplicaId) {
        self.replica.report_unreachable(peer);
    }

    /// Whether the peer holds the snapshot durably; until then nothing else is sent to it.
    pub fn report_snapshot(&mut self, peer: ReplicaId, durable_there: bool) {
        self.replica.report_snapshot(peer, durable_there);
    }

    /// One step of the membership; it counts when it is applied.
    pub fn change(&mut self, change: Change) -> Result<Proposed, ChangeError> {
        self.replica.change(change)
    }

    /// Hands the leadership over, if it has it.
    pub fn transfer(&mut self, to: ReplicaId) {
        self.replica.transfer(to);
    }

    /// The process ends: all who still wait for a reply.
    pub fn abandon(&mut self) -> Vec<T> {
        let waiting = self.waiters.abandon().into_iter().flat_map(|(_, tickets)| tickets);
        waiting.flatten().chain(self.intake.refuse()).collect()
    }

    /// When it is to be asked for outputs although nothing happens.
    pub fn wakes_at(&self, now: BootTime) -> BootTime {
        let (leading, waits) = (self.leading.as_ref(), self.is_held_up());
        let leading = leading.map(|leading| leading.wakes_at(&self.state, now, waits));
        leading.map_or(self.next_tick, |at| at.min(self.next_tick))
    }

    /// Something waits to be proposed.
    pub fn has_proposals(&self) -> bool {
        !self.intake.is_empty()
    }

    /// What waits to be proposed, in the order in which it came.
    pub fn proposals(&self) -> impl Iterator<Item = &Command> {
        self.intake.commands()
    }

    /// The leader that it has become, if it leads: to be looked at.
    pub fn leader(&self) -> Option<&Leader> {
        self.leading.as_ref().map(Leading::leader)
    }

    pub fn leads(&self) -> bool {
        self.leading.is_some()
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn status(&self) -> Status {
        self.replica.status()
    }

    /// As of the last entry that is applied.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    pub fn applied_to(&self) -> LogIndex {
        self.place.index
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// What runs, of all that is leased: a leader alone has heard of it.
    pub fn begun(&self) -> Begun {
        self.leading.as_ref().map(Leading::begun).unwrap_or_default()
    }

    /// What the entry that was just [applied](Output::Applied) led to: its replies by command.
    pub fn replies(&self) -> &[Reply] {
        &self.applied.replies
    }

    pub fn effects(&self) -> &[Effect] {
        &self.applied.effects
    }

    /// The state as it is now, to be asked or saved elsewhere.
    pub fn freeze(&mut self) -> Frozen {
        self.state.freeze()
    }

    /// An equal state in the place of this one, as a restart would read it: for simulators.
    pub fn replace_state(&mut self, state: State) {
        self.state = state;
    }

    /// Panics where what must hold of a leader between two turns does not.
    pub fn check(&self) {
        if let Some(leading) = &self.leading {
            leading.check();
        }
    }

    pub(crate) fn halt(&mut self, why: Halt) {
        self.has_halted = true;
        self.outputs.push_back(Output::Halt(why));
    }

    /// What was asked may or may not have happened: the same request finds out.
    pub(crate) fn drop_all(&mut self, tickets: impl IntoIterator<Item = Option<T>>) {
        let dropped = tickets.into_iter().flatten();
        let replies = dropped.map(|ticket| Output::Reply { ticket, reply: Reply::Dropped });
        self.outputs.extend(replies);
    }
}
