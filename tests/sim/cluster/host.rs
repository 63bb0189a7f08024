//! The process of one replica: the very member that the driver owns, and a shell that may die.

use dagmar_common::ids::{ReplicaId, RunNo};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, Now, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::Effect;
use dagmar_coordinator_core::leader::Leader;
use dagmar_coordinator_core::stored::{self, Frozen};
use dagmar_member::{Entry, Halt, Member, MemberConfig, Output};
use dagmar_replica::{
    Change, ChangeError, Membership, Outgoing, Persist, Proposed, ReplicaConfig, Role,
    SnapshotMeta, Standing,
};

use super::air::Air;
use super::clients::{Look, Ticket, saw};
use super::fuse::{Died, Point};
use super::machine::Machine;
use super::network::{Answer, Asked, Life, Parcel, Place};
use super::witness::check;
use crate::disk::{Chunks, Crash, Progress};
use crate::manners::Manners;

/// So long without a word a worker is given up.
pub const LOST_AFTER: Span = Span::from_secs(60);
/// Far more than any input leads to; the disk answers only in between.
const OUTPUTS_MAX: u32 = 100_000;

type Wanted = Output<Ticket, (Ticket, Look)>;

pub struct Host {
    member: Member<Ticket, (Ticket, Look)>,
    pub life: Life,
    /// This leader's first entry is applied.
    is_up: bool,
    /// The processor's time for what was done in this turn.
    busy: Span,
    /// Runs whose record is being written elsewhere.
    archiving: Vec<(BootTime, RunNo)>,
    /// A snapshot that is on its way to this disk, and the message that brought it.
    receiving: Option<(Life, Vec<u8>)>,
    /// Of the leader that it is, if it leads.
    manners: Manners,
}

impl Host {
    /// A new process finds what the disk kept; one that is alone stands for election at once.
    pub fn start(life: Life, here: &mut Machine, air: &mut Air) -> Host {
        let (recovered, chunks) = here.disk.recover();
        let (base, last) = (recovered.base.index, recovered.last_index());
        air.witness.recovered(here.applied, last);
        air.note(|| format!("n{} starts from snapshot {base} and log {last}", life.node));
        let state = chunks.map_or_else(State::new, |chunks| restore(&chunks));
        let seed = air.random.next();
        let config = MemberConfig {
            replica: ReplicaConfig { id: life.replica, seed, boot_nonce: life.number },
            lost_after: Some(LOST_AFTER),
            within: here.inner.as_ref().map(|inner| inner.introduction(LOST_AFTER)),
            snapshots: here.snapshots,
        };
        let member = Member::new(config, recovered, state, here.clock.read(air.now));
        let mut member = member.expect("a durable log holds together");
        if here.is_alone {
            member.campaign();
        }
        Host {
            member,
            life,
            is_up: false,
            busy: Span(0),
            archiving: Vec::new(),
            receiving: None,
            manners: Manners::default(),
        }
    }

    pub fn state(&self) -> &State {
        self.member.state()
    }

    pub fn freeze(&mut self) -> Frozen {
        self.member.freeze()
    }

    pub fn applied_to(&self) -> dagmar_common::ids::LogIndex {
        self.member.applied_to()
    }

    pub fn leads(&self) -> bool {
        self.member.leads()
    }

    /// It leads, and its state is as it was left.
    pub fn is_up(&self) -> bool {
        self.leads() && self.is_up
    }

    pub fn membership(&self) -> &Membership {
        self.member.membership()
    }

    pub fn change(&mut self, change: Change) -> Result<Proposed, ChangeError> {
        self.member.change(change)
    }

    pub fn transfer(&mut self, to: ReplicaId) {
        self.member.transfer(to);
    }

    /// Somebody asks who waits for no answer.
    pub fn propose(&mut self, command: Command) {
        self.member.propose(command, None);
    }

    /// In the time of the world.
    pub fn wakes_at(&self, here: &Machine, now: BootTime) -> BootTime {
        let member = here.clock.world(self.member.wakes_at(here.clock.boot(now)));
        self.archiving.iter().map(|(due, _)| *due).fold(member, BootTime::min)
    }

    /// What came in from outside.
    pub fn hears(&mut self, parcel: Parcel, here: &mut Machine, air: &mut Air) {
        match parcel {
            Parcel::Peer { from, bytes, .. } => self.member.from_peer(from.replica, &bytes),
            Parcel::Snapshot { from, bytes, meta, chunks, .. } => {
                match here.disk.receive(meta, chunks, air.now, &mut air.random) {
                    true => self.receiving = Some((from, bytes)),
                    false => self.report(from, false, air),
                }
            }
            Parcel::Reported { to, about, durable } if to == self.life => {
                self.member.report_snapshot(about, durable);
            }
            Parcel::Unreachable { to, about } if to == self.life => {
                self.member.report_unreachable(about);
            }
            Parcel::Asked { ticket, what } => self.asked(ticket, what, air),
            Parcel::Reported { .. } | Parcel::Unreachable { .. } | Parcel::Told { .. } => {}
        }
    }

    fn report(&self, to: Life, durable: bool, air: &mut Air) {
        let parcel = Parcel::Reported { to, about: self.life.replica, durable };
        air.send(Place::Node(self.life.node), Place::Node(to.node), parcel);
    }

    /// Whoever knows the leader names it; not always in time, then the log refuses.
    fn asked(&mut self, ticket: Ticket, what: Asked, air: &mut Air) {
        let Standing { role, .. } = self.member.standing();
        match (what, role) {
            (Asked::Look(look), _) => self.member.read((ticket, look)),
            (Asked::Command(_), Role::Follower { leader: Some(leader) })
                if air.random.chance(3, 4) =>
            {
                self.tell(ticket, Answer::NotHere(Some(leader)), air);
            }
            (Asked::Command(command), _) => self.member.propose(command, Some(ticket)),
        }
    }

    fn tell(&self, ticket: Ticket, answer: Answer, air: &mut Air) {
        let parcel = Parcel::Told { ticket, answer };
        air.send(Place::Node(self.life.node), Place::Client(ticket.client), parcel);
    }

    /// What the disk has done by now.
    pub fn disk(&mut self, here: &mut Machine, air: &mut Air) -> Result<(), Died> {
        while let Some(progress) = here.disk.step(air.now, &mut air.random) {
            match progress {
                Progress::Passed(moment) => here.fuse.passes(Point::OnDisk(moment))?,
                Progress::Persisted(token) => self.member.persisted(self.clocks(here, air), token),
                Progress::Saved(meta, bytes) => self.member.snapshot_saved(meta, bytes),
                Progress::Received(meta, chunks) => {
                    here.fuse.passes(Point::BeforeInstall)?;
                    self.received(meta, &chunks, air);
                }
            }
        }
        Ok(())
    }

    fn received(&mut self, meta: SnapshotMeta, chunks: &Chunks, air: &mut Air) {
        let Some((from, bytes)) = self.receiving.take() else { return };
        self.member.snapshot_from_peer(from.replica, &bytes, meta, restore(chunks));
        self.report(from, true, air);
    }

    fn clocks(&self, here: &Machine, air: &Air) -> Now {
        here.clock.read(air.now + self.busy)
    }

    /// All that follows from what came in and from the time.
    pub fn turn(&mut self, here: &mut Machine, air: &mut Air) -> Result<(), Died> {
        self.busy = Span(0);
        self.write_records(air);
        self.looks();
        for _ in 0..OUTPUTS_MAX {
            let now = self.clocks(here, air);
            let Some(output) = self.member.next_output(now) else {
                self.manners.turned(self.member.state());
                here.paused_until = here.paused_until.max(air.now + self.busy);
                return Ok(());
            };
            self.perform(output, here, air)?;
        }
        panic!("one input leads to work without end");
    }

    fn perform(&mut self, output: Wanted, here: &mut Machine, air: &mut Air) -> Result<(), Died> {
        let passes = |here: &mut Machine, point| here.fuse.passes(point);
        match output {
            Output::Standing(standing) => self.stands(standing, here, air),
            Output::ToPeer(message) => {
                passes(here, Point::BeforeSend)?;
                self.sends(message, here, air);
            }
            Output::Persist(persist) => {
                passes(here, Point::BeforeWrite)?;
                self.writes(&persist);
                here.disk.persist(persist, air.now, &mut air.random);
            }
            Output::Applied(entry) => {
                passes(here, Point::BeforeApply)?;
                self.applied(&entry, here, air);
                passes(here, Point::BeforeEffects)?;
            }
            Output::Reply { ticket, reply } => {
                passes(here, Point::BeforeReply)?;
                self.tell(ticket, Answer::Reply(reply), air);
            }
            Output::Look((ticket, look)) => {
                passes(here, Point::BeforeLook)?;
                let seen = saw(self.state(), &look);
                self.tell(ticket, Answer::Saw(seen), air);
            }
            output @ (Output::BornReady { .. }
            | Output::ToWorker { .. }
            | Output::CloseWorker { .. }) => return self.speak(output, here, air),
            Output::Hear => {
                self.member.check();
                self.manners.turned(self.member.state());
                self.looks();
                here.inner_turn(air);
                for (stream, what) in here.arrived.drain(..) {
                    self.manners.heard(stream, &what);
                    self.member.from_stream(stream, what);
                }
            }
            Output::Archive { run } => {
                let takes = Span::from_millis(air.random.pick(&[1, 5, 50, 2_000]));
                self.archiving.push((air.now + takes, run));
            }
            output
            @ (Output::SnapshotDue(_) | Output::TruncateBefore(_) | Output::Installed(_)) => {
                return self.keep(output, here, air);
            }
            Output::Refused(why) => {
                air.note(|| format!("n{} refuses a message: {why}", here.place));
                air.told.refused += 1;
            }
            Output::Halt(Halt::Hung) => {
                here.hung(air);
                return Err(Died(Crash::Process));
            }
            Output::Halt(why) => panic!("n{}: {why}", here.place),
        }
        Ok(())
    }

    /// What concerns snapshots.
    fn keep(&mut self, output: Wanted, here: &mut Machine, air: &mut Air) -> Result<(), Died> {
        match output {
            Output::SnapshotDue(meta) => {
                let chunks = chunks(&self.member.freeze());
                here.disk.save(meta, chunks, air.now, &mut air.random);
            }
            Output::TruncateBefore(index) => {
                here.fuse.passes(Point::BeforeTruncate)?;
                here.disk.truncate_before(index, air.now, &mut air.random);
            }
            Output::Installed(meta) => {
                air.note(|| format!("n{} has the snapshot at {}", here.place, meta.index));
                air.told.installs += 1;
                here.applied = here.applied.max(meta.index);
                check(self.member.state());
                here.fuse.passes(Point::Installed)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The streams of what it was end with it.
    fn stands(&mut self, standing: Standing, here: &mut Machine, air: &mut Air) {
        air.note(|| format!("n{} {standing:?}", here.place));
        air.told.reigns += u64::from(standing.role == Role::Leader);
        self.is_up = false;
        self.manners = Manners::default();
        if !lives(Mutant::StreamOutlivesLeader) {
            here.leaves_all(Span(0), air);
        }
    }

    /// What is under way in the name of the leader that this is: its judge remembers it.
    fn looks(&mut self) {
        let Some(leader) = self.member.leader() else { return };
        self.manners.rounds = leader.rounds();
        self.manners.looks(self.member.proposals());
    }

    fn writes(&mut self, persist: &Persist) {
        if !self.leads() {
            return;
        }
        let term = self.member.standing().term;
        for entry in persist.entries.iter().filter(|entry| entry.term == term) {
            if let Ok(batch) = stored::decode_batch(&entry.data) {
                self.manners.writes(entry.index, &batch);
            }
        }
        self.looks();
    }

    /// What concerns workers.
    fn speak(&mut self, output: Wanted, here: &mut Machine, air: &mut Air) -> Result<(), Died> {
        self.manners.rounds = self.member.leader().map_or((0, 0), Leader::rounds);
        match output {
            Output::BornReady { stream, session } => {
                if let Some(inner) = &here.inner {
                    self.manners.born_ready(stream, inner.id, session);
                }
                here.connected(stream, Some(session), air);
            }
            Output::ToWorker { stream, message } => {
                self.manners.says(stream, &message.message, self.member.state());
                here.fuse.passes(Point::BeforeMessage)?;
                here.send(stream, message, air);
            }
            Output::CloseWorker { stream, why } => {
                air.note(|| format!("n{} closes stream {stream}: {why:?}", here.place));
                self.manners.closed(stream);
                air.judge.leader_closed(why);
                air.told.endings += 1;
                here.close(stream, air);
            }
            _ => {}
        }
        Ok(())
    }

    fn sends(&mut self, message: Outgoing, here: &Machine, air: &mut Air) {
        let Outgoing { to, bytes, snapshot } = message;
        let from = self.life;
        let place = air.members.iter().position(|one| *one == to);
        let parcel = match snapshot {
            None => Parcel::Peer { from, to, bytes },
            Some(meta) => match here.disk.snapshot(&meta) {
                Some(chunks) => Parcel::Snapshot { from, to, bytes, meta, chunks },
                // A newer one took its place since.
                None => return self.member.report_snapshot(to, false),
            },
        };
        if let Some(place) = place {
            air.send(Place::Node(from.node), Place::Node(place), parcel);
        }
    }

    /// The judges see an entry before anybody acts upon it.
    fn applied(&mut self, entry: &Entry, here: &mut Machine, air: &mut Air) {
        let index = entry.position.index;
        self.busy.0 += here.entry_takes.0;
        here.applied = here.applied.max(index);
        self.is_up |= self.leads()
            && entry.bytes.is_some()
            && entry.position.term == self.member.standing().term;
        self.manners.is_up = self.is_up;
        self.manners.applied(index);
        self.looks();
        let (replies, effects) = (self.member.replies(), self.member.effects());
        if let Some(batch) = air.witness.applied(entry, replies, effects) {
            air.witness.time_is(self.member.state().log_time(), air.now);
            air.judge.applied(&crate::judge::Entry { batch: &batch, effects });
            for effect in effects {
                if let Effect::Start { worker, fence } = effect
                    && let Some(start) = self.member.state().start_message(*worker, *fence)
                {
                    air.judge.granted(&start);
                }
            }
            if let Some(bytes) = &entry.bytes {
                air.history.mix(air.now, bytes);
            }
            air.history.note(air.now, || {
                format!("entry {index}: {:?} -> {replies:?} {effects:?}", batch.commands)
            });
        }
        if air.witness.hashes_at(index) {
            check(self.member.state());
            let state = self.member.freeze();
            air.witness.compare(index, &state);
        }
    }

    /// Each record is durable elsewhere before the run may leave the state.
    fn write_records(&mut self, air: &mut Air) {
        let archiving = std::mem::take(&mut self.archiving);
        let (due, later): (Vec<_>, Vec<_>) =
            archiving.into_iter().partition(|(at, _)| *at <= air.now);
        self.archiving = later;
        for (_, run) in due {
            let Some(view) = self.member.state().run(run) else { continue };
            let id = view.run_id().clone();
            air.promises.record(self.member.state(), run, &air.judge);
            self.member.propose(Command::Archived { run: id }, None);
        }
    }

    /// From here on the state is one restored from its own snapshot.
    pub fn swap(&mut self) {
        let before = chunks(&self.member.freeze());
        let state = State::restore(&before).expect("a snapshot can be restored");
        check(&state);
        self.member.replace_state(state);
        let again = chunks(&self.member.freeze());
        assert!(before == again, "the restored state writes another snapshot");
    }

    /// Whoever sent a snapshot that is not here yet sees the connection break.
    pub fn ends(self, air: &mut Air) {
        if let Some((from, _)) = self.receiving {
            self.report(from, false, air);
        }
    }
}

fn restore(chunks: &Chunks) -> State {
    State::restore(chunks.as_slice()).expect("a durable snapshot can be read")
}

/// A snapshot as it would lie on a disk.
pub fn chunks(frozen: &Frozen) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let written = frozen.write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    written.expect("memory takes it");
    chunks
}
