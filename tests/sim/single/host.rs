//! The coordinator's process: the very member that the driver owns, and a shell that may die.

use dagmar_common::ids::{ReplicaId, RunId, RunNo, StreamNo};
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::stored::{self, Frozen};
use dagmar_member::{Entry, FromStream, Halt, Member, MemberConfig, Output};
use dagmar_replica::{ReplicaConfig, SnapshotMeta, Token};

use super::around::{Around, Home, Ticket};
use super::faults::{Died, Point};
use crate::disk::Crash;

pub const REPLICA: ReplicaId = ReplicaId(1);

/// So long without a word a worker is given up.
pub const LOST_AFTER: Span = Span::from_secs(60);
/// Entries from one look at all of the state to the next; it costs more than they do.
const CHECKED_EVERY: u64 = 4;
/// Far more than any input leads to; the disk answers only in between.
const OUTPUTS_MAX: u32 = 100_000;

pub struct Host {
    member: Member<Ticket, RunId>,
    /// This leader's first entry is applied.
    is_up: bool,
    /// Runs whose record is being written elsewhere.
    archiving: Vec<(BootTime, RunNo)>,
    arrived: Vec<(StreamNo, FromStream)>,
}

impl Host {
    /// A new process finds what the disk kept, and stands for election at once.
    pub fn start(around: &mut Around) -> Result<Host, Died> {
        let (recovered, chunks) = around.disk.recover();
        let (base, last) = (recovered.base.index, recovered.last_index());
        around.ledger.recovered(last);
        around.note(|| format!("starts from snapshot {base} and log {last}"));
        let state = match chunks {
            Some(chunks) => {
                State::restore(chunks.as_slice()).expect("a durable snapshot can be read")
            }
            None => State::new(),
        };
        let (seed, boot_nonce) = (around.random.next(), around.random.next());
        let within = around.home == Home::Within;
        let config = MemberConfig {
            replica: ReplicaConfig { id: REPLICA, seed, boot_nonce },
            lost_after: Some(LOST_AFTER),
            within: within.then(|| around.worker.introduction(LOST_AFTER)),
            snapshots: around.snapshots,
        };
        let member = Member::new(config, recovered, state, around.clocks());
        let mut member = member.expect("a durable log holds together");
        member.campaign();
        let (archiving, arrived) = (Vec::new(), Vec::new());
        let mut host = Host { member, is_up: false, archiving, arrived };
        host.turn(around)?;
        Ok(host)
    }

    pub fn state(&self) -> &State {
        self.member.state()
    }

    pub fn freeze(&mut self) -> Frozen {
        self.member.freeze()
    }

    pub fn leads(&self) -> bool {
        self.member.leads()
    }

    /// It leads, and its state is as it was left.
    pub fn is_up(&self) -> bool {
        self.leads() && self.is_up
    }

    /// In the time of its machine's clock.
    pub fn wakes_at(&self, around: &Around) -> BootTime {
        let archives = self.archiving.iter().map(|(due, _)| *due);
        archives.fold(self.member.wakes_at(around.boot()), BootTime::min)
    }

    pub fn propose(&mut self, command: Command, ticket: Ticket) {
        self.member.propose(command, Some(ticket));
    }

    /// A linearizable look for a run that somebody was told of before.
    pub fn look(&mut self, run: RunId) {
        self.member.read(run);
    }

    pub fn persisted(&mut self, token: Token, around: &Around) {
        self.member.persisted(around.clocks(), token);
    }

    pub fn saved(&mut self, meta: SnapshotMeta, bytes: u64) {
        self.member.snapshot_saved(meta, bytes);
    }

    /// All that follows from what came in and from the time.
    pub fn turn(&mut self, around: &mut Around) -> Result<(), Died> {
        self.write_records(around);
        for _ in 0..OUTPUTS_MAX {
            let Some(output) = self.member.next_output(around.clocks()) else { return Ok(()) };
            self.perform(output, around)?;
        }
        panic!("one input leads to work without end");
    }

    fn perform(&mut self, output: Output<Ticket, RunId>, around: &mut Around) -> Result<(), Died> {
        match output {
            Output::Standing(standing) => around.note(|| format!("{standing:?}")),
            Output::Persist(persist) => {
                around.fuse.passes(Point::BeforeWrite)?;
                around.disk.persist(persist, around.now, &mut around.random);
            }
            Output::Applied(entry) => {
                around.fuse.passes(Point::BeforeApply)?;
                self.applied(&entry, around);
                around.fuse.passes(Point::BeforeEffects)?;
            }
            Output::Reply { ticket, reply } => {
                around.fuse.passes(Point::BeforeReply)?;
                around.replies.push((ticket, reply));
            }
            Output::Look(run) => around.ledger.looked(self.member.state(), &run),
            Output::BornReady { stream, session } => around.connected(stream, Some(session)),
            Output::ToWorker { stream, message } => {
                around.fuse.passes(Point::BeforeMessage)?;
                around.send(stream, message);
            }
            Output::CloseWorker { stream, why } => {
                around.note(|| format!("the leader closes stream {stream}: {why:?}"));
                around.judge.leader_closed(why);
                around.close(stream);
            }
            Output::Hear => {
                self.member.check();
                around.exchange(&mut self.arrived);
                for (stream, what) in self.arrived.drain(..) {
                    self.member.from_stream(stream, what);
                }
            }
            Output::Archive { run } => {
                let takes = Span::from_millis(around.random.pick(&[1, 5, 50, 2_000]));
                self.archiving.push((around.boot() + takes, run));
            }
            Output::SnapshotDue(meta) => {
                let chunks = chunks(&self.member.freeze());
                around.disk.save(meta, chunks, around.now, &mut around.random);
            }
            Output::TruncateBefore(index) => {
                around.fuse.passes(Point::BeforeTruncate)?;
                around.disk.truncate_before(index, around.now, &mut around.random);
                around.ledger.forget_before(index);
            }
            Output::Halt(Halt::Hung) => {
                around.hung();
                return Err(Died(Crash::Process));
            }
            Output::Halt(why) => panic!("{why}"),
            Output::ToPeer(_) | Output::Installed(_) | Output::Refused(_) => {
                panic!("a replica that is alone has nobody to talk to");
            }
        }
        Ok(())
    }

    /// The judges see an entry before anybody acts upon it.
    fn applied(&mut self, entry: &Entry, around: &mut Around) {
        let Entry { position, bytes } = entry;
        let Some(bytes) = bytes else { return around.ledger.marked(*position) };
        let batch = stored::decode_batch(bytes).expect("what was committed can be read");
        let looks = position.index.0 % CHECKED_EVERY == 0;
        if looks && let Err(broken) = self.member.state().check() {
            panic!("at entry {} or shortly before: {broken}", position.index);
        }
        self.is_up |= self.leads() && batch.term == self.member.standing().term;
        around.applied(*position, bytes, batch, self.member.replies(), self.member.effects());
    }

    /// Each record is durable elsewhere before the run may leave the state.
    fn write_records(&mut self, around: &mut Around) {
        let now = around.boot();
        let archiving = std::mem::take(&mut self.archiving);
        let (due, later): (Vec<_>, Vec<_>) = archiving.into_iter().partition(|(at, _)| *at <= now);
        self.archiving = later;
        for (_, run) in due {
            let Some(view) = self.member.state().run(run) else { continue };
            let id = view.run_id().clone();
            around.ledger.record(self.member.state(), run, &around.judge);
            self.member.propose(Command::Archived { run: id }, None);
        }
    }

    /// From here on the state is one restored from its own snapshot.
    pub fn swap(&mut self) {
        let before = chunks(&self.member.freeze());
        self.member.replace_state(State::restore(&before).expect("a snapshot can be restored"));
        let again = chunks(&self.member.freeze());
        assert!(before == again, "the restored state writes another snapshot");
    }
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
