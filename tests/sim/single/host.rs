//! The coordinator's process: replica, state and leader, driven in exactly the driver's order.

use std::collections::BTreeMap;

use dagmar_common::ids::{LogIndex, ReplicaId, RunId, RunNo, Term};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::command::{Command, Position};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};
use dagmar_coordinator_core::{State, stored};
use dagmar_replica::waiters::{Fate, Waiters};
use dagmar_replica::{
    Body, Committed, Membership, ReadFate, ReadId, Replica, ReplicaConfig, Role, SnapshotMeta,
    Standing, TICK, Token, Work,
};

use super::around::{Around, Ticket};
use super::faults::{Died, Point};
use super::intake::{Intake, Proposal};
use super::leading::Leading;

pub const REPLICA: ReplicaId = ReplicaId(1);

/// Far more than any input leads to; the disk answers only in between.
const TURNS_MAX: u32 = 100_000;

/// The last entry that is applied; marks of raft count too.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: LogIndex,
    term: Term,
}

pub struct Host {
    replica: Replica,
    pub state: State,
    applied: Applied,
    applied_to: Place,
    membership: Membership,
    writing: bool,
    leading: Option<Leading>,
    intake: Intake,
    waiters: Waiters<Vec<Option<Ticket>>>,
    /// This leader's first entry is applied.
    is_up: bool,
    reads: BTreeMap<ReadId, RunId>,
    /// Dropped for want of a leader; asked again with the next tick.
    looks_again: Vec<RunId>,
    next_tick: BootTime,
    /// Runs whose record is being written elsewhere.
    archiving: Vec<(BootTime, RunNo)>,
}

impl Host {
    /// A new process finds what the disk kept, and stands for election at once.
    pub fn start(around: &mut Around) -> Result<Host, Died> {
        let (recovered, chunks) = around.disk.recover();
        let (base, last) = (recovered.base.clone(), recovered.last_index());
        around.ledger.recovered(last);
        around.note(|| format!("starts from snapshot {} and log {last}", base.index));
        let state = match chunks {
            Some(chunks) => State::restore(&chunks).expect("a durable snapshot can be read"),
            None => State::new(),
        };
        let (seed, boot_nonce) = (around.random.next(), around.random.next());
        let config = ReplicaConfig { id: REPLICA, seed, boot_nonce };
        let replica = Replica::new(config, recovered).expect("a durable log holds together");
        let mut host = Host {
            replica,
            state,
            applied: Applied::default(),
            applied_to: Place { index: base.index, term: base.term },
            membership: base.membership,
            writing: false,
            leading: None,
            intake: Intake::default(),
            waiters: Waiters::default(),
            is_up: false,
            reads: BTreeMap::new(),
            looks_again: Vec::new(),
            next_tick: around.boot() + TICK,
            archiving: Vec::new(),
        };
        host.work(around)?;
        host.replica.campaign();
        host.stands(host.replica.standing(), around);
        host.work(around)?;
        Ok(host)
    }

    pub fn leads(&self) -> bool {
        self.leading.is_some()
    }

    /// It leads, and its state is as it was left.
    pub fn is_up(&self) -> bool {
        self.leads() && self.is_up
    }

    /// In the time of its machine's clock.
    pub fn wakes_at(&self, around: &Around) -> BootTime {
        let now = around.boot();
        let leading = self.leading.as_ref();
        let leading = leading.map(|leading| leading.wakes_at(&self.state, now, self.writing));
        let archives = self.archiving.iter().map(|(due, _)| *due);
        archives.chain(leading).fold(self.next_tick, BootTime::min)
    }

    pub fn propose(&mut self, command: Command, ticket: Ticket) {
        self.intake.put(Proposal { command, ticket: Some(ticket) });
    }

    /// A linearizable look for a run that somebody was told of before.
    pub fn look(&mut self, run: RunId) {
        self.reads.insert(self.replica.read(), run);
    }

    pub fn persisted(&mut self, token: Token) {
        self.writing = false;
        self.replica.persisted(token);
    }

    /// All that follows from what came in and from the time.
    pub fn turn(&mut self, around: &mut Around) -> Result<(), Died> {
        let now = around.boot();
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.replica.tick();
            for run in std::mem::take(&mut self.looks_again) {
                self.look(run);
            }
        }
        self.write_records(around);
        self.work(around)
    }

    fn work(&mut self, around: &mut Around) -> Result<(), Died> {
        for _ in 0..TURNS_MAX {
            self.lead(around);
            self.propose_next(around);
            let Some(work) = self.replica.ready() else { return Ok(()) };
            self.perform(work, around)?;
        }
        panic!("one input leads to work without end");
    }

    fn lead(&mut self, around: &mut Around) {
        let Some(leading) = &mut self.leading else { return };
        leading.begin(&self.state, self.applied_to.index, around, &mut self.intake);
        leading.turn(&self.state, &mut self.replica, around, &mut self.intake);
    }

    fn propose_next(&mut self, around: &mut Around) {
        let Some(leading) = &mut self.leading else { return };
        if self.writing {
            return;
        }
        let Some((batch, tickets)) = leading.next(&self.state, around, &mut self.intake) else {
            return;
        };
        let mut bytes = Vec::new();
        stored::encode_batch(&batch, &mut bytes);
        match self.replica.propose(bytes) {
            Ok(proposed) => {
                self.writing = true;
                self.waiters.wait(proposed, tickets);
            }
            Err(_) => answer_all(tickets, around),
        }
    }

    fn perform(&mut self, work: Work, around: &mut Around) -> Result<(), Died> {
        if let Some(standing) = work.standing {
            self.stands(standing, around);
        }
        assert!(work.send.is_empty(), "a replica that is alone has nobody to talk to");
        if let Some(persist) = work.persist {
            self.writing = true;
            around.fuse.passes(Point::BeforeWrite)?;
            around.disk.persist(persist, around.now, &mut around.random);
        }
        for committed in work.committed {
            around.fuse.passes(Point::BeforeApply)?;
            self.apply(committed, around)?;
        }
        for read in work.reads {
            let leading = self.leading.as_mut();
            if leading.is_some_and(|leading| leading.confirmed(&read, &mut self.replica)) {
                continue;
            }
            let Some(run) = self.reads.remove(&read.id) else { continue };
            match read.fate {
                ReadFate::Released { .. } => around.ledger.looked(&self.state, &run),
                ReadFate::Dropped => self.looks_again.push(run),
            }
        }
        Ok(())
    }

    fn stands(&mut self, standing: Standing, around: &mut Around) {
        if self.leading.as_ref().is_some_and(|leading| leading.leads_in(standing)) {
            return;
        }
        let leads = standing.role == Role::Leader;
        self.leading = leads.then(|| Leading::new(standing.term, self.replica.status().last));
        for (_, tickets) in self.waiters.abandon() {
            answer_all(tickets, around);
        }
        if !leads {
            let refused = self.intake.refuse();
            answer_all(refused.into_iter().map(Some).collect(), around);
        }
    }

    fn apply(&mut self, committed: Committed, around: &mut Around) -> Result<(), Died> {
        let Committed { index, term, body } = committed;
        self.applied.clear();
        let mut is_ours = false;
        let is_data = matches!(body, Body::Data(_));
        match body {
            Body::Data(bytes) => {
                let batch = stored::decode_batch(&bytes).expect("what was committed can be read");
                let position = Position { index, term };
                if let Some(leading) = &mut self.leading {
                    leading.committed(position, &batch);
                    is_ours = batch.term == leading.term();
                }
                self.state.apply(position, batch.clone(), &mut self.applied);
                if let Err(broken) = self.state.check() {
                    panic!("after entry {index}: {broken}");
                }
                around.applied(position, &bytes, batch, &self.applied);
            }
            Body::Nothing => around.ledger.marked(Position { index, term }),
            Body::Membership(membership) => self.membership = membership,
        }
        self.applied_to = Place { index, term };
        self.replica.applied(index);
        around.fuse.passes(Point::BeforeEffects)?;
        for (fate, tickets) in self.waiters.applied(term, index, !is_data) {
            match fate {
                Fate::Applied => {
                    let replies = self.applied.replies.drain(..);
                    for (ticket, reply) in tickets.into_iter().zip(replies) {
                        around.replies.extend(ticket.map(|ticket| (ticket, reply)));
                    }
                }
                Fate::Dropped | Fate::Unknown => answer_all(tickets, around),
            }
        }
        if let Some(leading) = &mut self.leading {
            leading.applied(index, &self.applied.effects, &self.state);
        }
        if is_ours {
            self.is_up = true;
            self.begin_records(around);
        }
        Ok(())
    }

    /// What came before this leader's own first entry is given again by that.
    fn begin_records(&mut self, around: &mut Around) {
        for effect in &self.applied.effects {
            if let Effect::Archive { run } = effect {
                let takes = Span::from_millis(around.random.pick(&[1, 5, 50, 2_000]));
                self.archiving.push((around.boot() + takes, *run));
            }
        }
    }

    /// Each record is durable elsewhere before the run may leave the state.
    fn write_records(&mut self, around: &mut Around) {
        let now = around.boot();
        let archiving = std::mem::take(&mut self.archiving);
        let (due, later): (Vec<_>, Vec<_>) = archiving.into_iter().partition(|(at, _)| *at <= now);
        self.archiving = later;
        for (_, run) in due {
            let Some(view) = self.state.run(run) else { continue };
            let id = view.run_id().clone();
            around.ledger.record(&self.state, run, &around.judge);
            self.intake.put(Proposal { command: Command::Archived { run: id }, ticket: None });
        }
    }

    /// From here on the state is one restored from its own snapshot.
    pub fn swap(&mut self) {
        let chunks = snapshot(&mut self.state);
        self.state = State::restore(&chunks).expect("a snapshot can be restored");
        let again = snapshot(&mut self.state);
        assert!(chunks == again, "the restored state writes another snapshot");
    }

    pub fn save(&mut self, around: &mut Around) {
        if around.disk.is_saving() || self.applied_to.index <= around.disk.newest_snapshot() {
            return;
        }
        let Place { index, term } = self.applied_to;
        let meta = SnapshotMeta { index, term, membership: self.membership.clone() };
        let chunks = snapshot(&mut self.state);
        around.disk.save(meta, chunks, around.now, &mut around.random);
    }

    pub fn saved(&mut self, meta: SnapshotMeta, around: &mut Around) {
        let index = meta.index;
        self.replica.snapshot_saved(meta);
        around.disk.truncate_before(index, around.now, &mut around.random);
        around.ledger.forget_before(index);
    }
}

pub fn snapshot(state: &mut State) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let written = state.freeze().write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    written.expect("memory takes it");
    chunks
}

fn answer_all(tickets: Vec<Option<Ticket>>, around: &mut Around) {
    let tickets = tickets.into_iter().flatten();
    around.replies.extend(tickets.map(|ticket| (ticket, Reply::Dropped)));
}
