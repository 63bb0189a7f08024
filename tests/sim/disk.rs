//! The model disk of one replica: what is written, what is durable, and what a crash leaves of it.

use std::collections::VecDeque;
use std::sync::Arc;

use dagmar_common::ids::LogIndex;
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::{BootTime, Span};
use dagmar_replica::{HardState, LogEntry, Persist, Recovered, SnapshotMeta, Token};

use crate::random::Random;

/// The last one, and the one before for whoever still reads it.
const SNAPSHOTS_KEPT: usize = 2;

/// A place in the life of a write or a snapshot at which its process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Written, and not yet durable.
    Unsynced,
    /// Durable, and nobody was told.
    Unanswered,
    /// Some chunks of a snapshot lie there, others do not.
    HalfSaved,
    /// The same of one that another replica sent.
    HalfReceived,
    /// The snapshot has its name; the log still holds all that it holds.
    Untruncated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Passed(Moment),
    Persisted(Token),
    /// So many bytes under this head.
    Saved(SnapshotMeta, u64),
    /// Another replica's snapshot is durable here.
    Received(SnapshotMeta, Chunks),
}

/// A snapshot as it lies on a disk.
pub type Chunks = Arc<Vec<Vec<u8>>>;

/// Whether a crash took the memory of the machine with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Process,
    Power,
}

#[derive(Clone, Debug)]
enum Order {
    Persist(Persist),
    TruncateBefore(LogIndex),
}

/// Of the order at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    Written,
    Synced,
}

/// A log as transactions leave it.
#[derive(Clone, Debug)]
struct Log {
    hard_state: HardState,
    foundation: SnapshotMeta,
    entries: VecDeque<LogEntry>,
}

#[derive(Clone, Debug)]
struct File {
    meta: SnapshotMeta,
    chunks: Chunks,
}

#[derive(Debug)]
struct Saving {
    file: File,
    written: usize,
    is_named: bool,
    due: BootTime,
}

/// Times are those of the world, which no crash of a machine turns back.
#[derive(Debug)]
pub struct Disk {
    /// None before the first write makes the log.
    log: Option<Log>,
    /// What an empty directory stands for.
    first: Recovered,
    orders: VecDeque<Order>,
    stage: Stage,
    due: BootTime,
    /// The sync that is under way.
    pub sync_takes: Span,
    snapshots: Vec<File>,
    saving: Option<Saving>,
    receiving: Option<Saving>,
    /// Every sync takes at least so long until it is over.
    pub slow: Span,
    /// A disk that is broken on purpose: a crash may take the last entry, durable or not.
    pub forgets: bool,
    /// The log before its last write, where that is said to be durable and is not.
    unsynced: Option<Option<Log>>,
    /// And another one: it is always about to do something.
    pub dawdles: bool,
    pub writes: u64,
    pub saves: u64,
}

impl Disk {
    pub fn new(first: Recovered) -> Self {
        Disk {
            log: None,
            first,
            orders: VecDeque::new(),
            stage: Stage::Begun,
            due: BootTime(0),
            sync_takes: Span(0),
            snapshots: Vec::new(),
            saving: None,
            receiving: None,
            slow: Span(0),
            forgets: false,
            unsynced: None,
            dawdles: false,
            writes: 0,
            saves: 0,
        }
    }

    pub fn persist(&mut self, persist: Persist, now: BootTime, random: &mut Random) {
        let is_out = self.orders.iter().any(|order| matches!(order, Order::Persist(_)));
        assert!(!is_out, "a second write is handed out before the first is answered");
        self.order(Order::Persist(persist), now, random);
    }

    /// Forgets the entries before `index`; a durable snapshot must hold them.
    pub fn truncate_before(&mut self, index: LogIndex, now: BootTime, random: &mut Random) {
        let held = self.snapshots.last().map_or(0, |file| file.meta.index.0);
        assert!(index.0 <= held + 1, "entries up to {index} go, the snapshot ends at {held}");
        self.order(Order::TruncateBefore(index), now, random);
    }

    fn order(&mut self, order: Order, now: BootTime, random: &mut Random) {
        if self.orders.is_empty() {
            (self.stage, self.due) = (Stage::Begun, now + brief(random));
        }
        self.orders.push_back(order);
    }

    pub fn save(
        &mut self,
        meta: SnapshotMeta,
        chunks: Vec<Vec<u8>>,
        now: BootTime,
        random: &mut Random,
    ) {
        assert!(self.saving.is_none(), "one snapshot at a time");
        self.saving = Some(Saving::new(meta, Arc::new(chunks), now + brief(random)));
    }

    /// Another replica's; false while one is being received already.
    pub fn receive(
        &mut self,
        meta: SnapshotMeta,
        chunks: Chunks,
        now: BootTime,
        random: &mut Random,
    ) -> bool {
        let is_free = self.receiving.is_none();
        if is_free {
            self.receiving = Some(Saving::new(meta, chunks, now + brief(random)));
        }
        is_free
    }

    /// What can be sent to a replica that needs it.
    pub fn snapshot(&self, meta: &SnapshotMeta) -> Option<Chunks> {
        self.snapshots.iter().find(|file| file.meta == *meta).map(|file| file.chunks.clone())
    }

    pub fn wakes_at(&self) -> Option<BootTime> {
        let order = (!self.orders.is_empty()).then_some(self.due);
        let files = self.saving.iter().chain(&self.receiving).map(|saving| saving.due);
        order.into_iter().chain(files).min()
    }

    /// The next thing that is due at `now`.
    pub fn step(&mut self, now: BootTime, random: &mut Random) -> Option<Progress> {
        if self.dawdles {
            return None;
        }
        if !self.orders.is_empty() && self.due <= now {
            return self.step_order(now, random);
        }
        if self.saving.as_ref().is_some_and(|saving| saving.due <= now) {
            return self.step_saving(now, random);
        }
        if self.receiving.as_ref().is_some_and(|receiving| receiving.due <= now) {
            return self.step_receiving(now, random);
        }
        None
    }

    fn step_order(&mut self, now: BootTime, random: &mut Random) -> Option<Progress> {
        match self.stage {
            Stage::Begun => {
                self.sync_takes = Span(sync(random).0 + self.slow.0);
                (self.stage, self.due) = (Stage::Written, now + self.sync_takes);
                Some(Progress::Passed(Moment::Unsynced))
            }
            Stage::Written => {
                let order = self.orders.front()?.clone();
                self.take(&order);
                (self.stage, self.due) = (Stage::Synced, now + brief(random));
                Some(Progress::Passed(Moment::Unanswered))
            }
            Stage::Synced => {
                let order = self.orders.pop_front()?;
                (self.stage, self.due) = (Stage::Begun, now + brief(random));
                match order {
                    Order::Persist(persist) => Some(Progress::Persisted(persist.token)),
                    Order::TruncateBefore(_) => self.step(now, random),
                }
            }
        }
    }

    fn step_saving(&mut self, now: BootTime, random: &mut Random) -> Option<Progress> {
        let saving = self.saving.as_mut()?;
        if saving.writes(now, self.slow, random) {
            return Some(Progress::Passed(Moment::HalfSaved));
        }
        if !saving.is_named {
            saving.is_named = true;
            saving.due = now + brief(random);
            let file = saving.file.clone();
            self.name(file);
            return Some(Progress::Passed(Moment::Untruncated));
        }
        let File { meta, chunks } = self.saving.take()?.file;
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Some(Progress::Saved(meta, bytes))
    }

    fn step_receiving(&mut self, now: BootTime, random: &mut Random) -> Option<Progress> {
        if self.receiving.as_mut()?.writes(now, self.slow, random) {
            return Some(Progress::Passed(Moment::HalfReceived));
        }
        let file = self.receiving.take()?.file;
        self.name(file.clone());
        Some(Progress::Received(file.meta, file.chunks))
    }

    /// A snapshot that is whole; the newest ones stay.
    fn name(&mut self, file: File) {
        let place = self.snapshots.partition_point(|one| one.meta.index <= file.meta.index);
        self.snapshots.insert(place, file);
        let surplus = self.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        self.snapshots.drain(..surplus);
        self.saves += 1;
    }

    /// One transaction, whole.
    fn take(&mut self, order: &Order) {
        self.writes += 1;
        if lives(Mutant::NoFsync) {
            self.unsynced = Some(self.log.clone());
        }
        let log = self.log.get_or_insert_with(|| Log::new(&self.first));
        match order {
            Order::Persist(persist) => log.persist(persist),
            Order::TruncateBefore(index) => {
                while log.entries.front().is_some_and(|entry| entry.index < *index) {
                    log.entries.pop_front();
                }
            }
        }
    }

    /// What was durable stays. Of what was written and not synced all or nothing is found again:
    /// a killed process leaves it to the machine's memory, a power loss to luck.
    pub fn crash(&mut self, crash: Crash, random: &mut Random) {
        let odds = if crash == Crash::Process { 2 } else { 1 };
        if self.stage == Stage::Written
            && random.chance(odds, 4)
            && let Some(order) = self.orders.front().cloned()
        {
            self.take(&order);
        }
        self.orders.clear();
        self.stage = Stage::Begun;
        (self.saving, self.receiving) = (None, None);
        if let Some(log) = self.unsynced.take_if(|_| crash == Crash::Power) {
            self.log = log;
        }
        if let Some(log) = self.log.as_mut().filter(|_| self.forgets) {
            log.entries.pop_back();
            let last = log.entries.back().map_or(log.foundation.index, |last| last.index);
            log.hard_state.commit = log.hard_state.commit.min(last);
        }
    }

    /// What a new process finds, and the chunks of the snapshot that it stands on. As the store
    /// does, it puts a log that an interrupted install left behind onto its snapshot.
    pub fn recover(&mut self) -> (Recovered, Option<Chunks>) {
        let log = self.log.clone().unwrap_or_else(|| Log::new(&self.first));
        let newest = self.snapshots.last().filter(|file| file.meta.index >= log.foundation.index);
        let is_first = log.foundation == self.first.base;
        assert!(newest.is_some() || is_first, "the snapshot that the log stands on is gone");
        let base = newest.map_or(&log.foundation, |file| &file.meta).clone();
        let found = log.entries.len();
        let last = log.entries.back().map_or(log.foundation.index, |last| last.index);
        let entries = log.entries.into_iter().collect();
        let recovered = Recovered { hard_state: log.hard_state, base, entries };
        let recovered = recovered.settled().expect("a durable log holds together");
        if recovered.entries.len() < found || last < recovered.base.index {
            self.log = Some(Log::new(&recovered));
        }
        (recovered, newest.map(|file| file.chunks.clone()))
    }

    /// The first entry that a new process would apply.
    pub fn begins_at(&self) -> LogIndex {
        let foundation = self.log.as_ref().map_or(&self.first.base, |log| &log.foundation);
        let newest = self.snapshots.last().map_or(LogIndex(0), |file| file.meta.index);
        LogIndex(newest.max(foundation.index).0 + 1)
    }

    /// The last entry that no crash can take.
    pub fn last_durable(&self) -> LogIndex {
        let last = self.log.as_ref().and_then(|log| log.entries.back());
        let snapshot = self.snapshots.last().map_or(LogIndex(0), |file| file.meta.index);
        last.map_or(snapshot, |entry| entry.index.max(snapshot))
    }
}

impl Saving {
    fn new(meta: SnapshotMeta, chunks: Chunks, due: BootTime) -> Self {
        Saving { file: File { meta, chunks }, written: 0, is_named: false, due }
    }

    /// The next chunk, unless all are written.
    fn writes(&mut self, now: BootTime, slow: Span, random: &mut Random) -> bool {
        let any = self.written < self.file.chunks.len();
        if any {
            self.written += 1;
            self.due = now + sync(random) + slow;
        }
        any
    }
}

impl Log {
    fn new(first: &Recovered) -> Self {
        let (hard_state, foundation) = (first.hard_state, first.base.clone());
        Log { hard_state, foundation, entries: VecDeque::new() }
    }

    fn persist(&mut self, persist: &Persist) {
        if let Some(base) = &persist.snapshot {
            self.foundation = base.clone();
            self.entries.clear();
        }
        if let Some(first) = persist.entries.first() {
            while self.entries.back().is_some_and(|last| last.index >= first.index) {
                self.entries.pop_back();
            }
            let fits = self.entries.back().is_none_or(|last| last.index.0 + 1 == first.index.0);
            assert!(fits, "entry {} leaves a gap in the log", first.index);
            self.entries.extend(persist.entries.iter().cloned());
        }
        self.hard_state = persist.hard_state;
    }
}

fn brief(random: &mut Random) -> Span {
    Span(10 + random.below(90) as u64)
}

fn sync(random: &mut Random) -> Span {
    Span(random.pick(&[150, 300, 300, 600, 2_000, 20_000]) + random.below(100) as u64)
}

#[cfg(test)]
mod tests {
    use dagmar_common::ids::ReplicaId;
    use dagmar_replica::{Replica, ReplicaConfig};

    use super::*;

    const ID: ReplicaId = ReplicaId(1);

    fn replica(disk: &mut Disk) -> Replica {
        let config = ReplicaConfig { id: ID, seed: 1, boot_nonce: 1 };
        let mut replica = Replica::new(config, disk.recover().0).expect("it holds together");
        replica.campaign();
        replica
    }

    /// Hands the next write of a replica to the disk.
    fn write(replica: &mut Replica, disk: &mut Disk, random: &mut Random) {
        let work = replica.ready().expect("something is to be written");
        disk.persist(work.persist.expect("a write"), BootTime(0), random);
    }

    fn until(disk: &mut Disk, random: &mut Random, what: &Progress) {
        while disk.step(BootTime(u64::MAX), random).expect("it comes to that") != *what {}
    }

    #[test]
    fn what_was_written_and_not_synced_is_found_whole_or_not_at_all() {
        let mut found = [0, 0];
        for seed in 0..100 {
            let (mut disk, mut random) =
                (Disk::new(Recovered::bootstrap(&[ID])), Random::new(seed));
            let mut replica = replica(&mut disk);
            replica.propose(b"one".to_vec()).expect("it leads");
            write(&mut replica, &mut disk, &mut random);
            until(&mut disk, &mut random, &Progress::Passed(Moment::Unsynced));
            disk.crash(Crash::Process, &mut random);
            let entries = disk.recover().0.entries.len();
            assert!(entries == 0 || entries == 2, "{entries} of its two entries are there");
            found[usize::from(entries == 2)] += 1;
        }
        assert!(found.iter().all(|times| *times > 20), "{found:?}");
    }

    #[test]
    fn what_was_synced_survives_and_a_half_saved_snapshot_does_not() {
        let (mut disk, mut random) = (Disk::new(Recovered::bootstrap(&[ID])), Random::new(1));
        let mut replica = replica(&mut disk);
        write(&mut replica, &mut disk, &mut random);
        until(&mut disk, &mut random, &Progress::Passed(Moment::Unanswered));
        let meta = SnapshotMeta { index: LogIndex(2), ..disk.recover().0.base };
        disk.save(meta, vec![vec![1], vec![2]], BootTime(0), &mut random);
        disk.crash(Crash::Power, &mut random);
        let (recovered, chunks) = disk.recover();
        assert_eq!((recovered.entries.len(), chunks), (1, None));
        assert_eq!(disk.last_durable(), LogIndex(2));
    }

    #[test]
    #[should_panic(expected = "the snapshot ends at 0")]
    fn entries_that_no_snapshot_holds_do_not_go() {
        let (mut disk, mut random) = (Disk::new(Recovered::bootstrap(&[ID])), Random::new(1));
        disk.truncate_before(LogIndex(3), BootTime(0), &mut random);
    }
}
