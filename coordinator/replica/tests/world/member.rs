//! One replica with a model disk: writes take time, and a crash loses the one that is out.

use std::collections::BTreeMap;

use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use dagmar_replica::waiters::{Fate, Waiters};
use dagmar_replica::{
    Body, Membership, Outgoing, Persist, ReadFate, ReadId, Recovered, Replica, ReplicaConfig,
    SnapshotMeta, Standing, Work,
};

use super::{Chance, Disks};

/// Applied entries between two snapshots.
const SNAPSHOT_EVERY: u64 = 150;
/// Steps between two ticks, about.
const TICK_EVERY: u64 = 10;

/// The state: everything applied, by index.
type State = BTreeMap<LogIndex, (Term, Vec<u8>)>;

/// What one turn let the world see.
#[derive(Default)]
pub struct Shown {
    pub sent: Vec<Outgoing>,
    pub standings: Vec<Standing>,
    pub applied: Vec<(LogIndex, Term, Vec<u8>)>,
    pub acknowledged: Vec<(LogIndex, Vec<u8>)>,
    pub dropped: Vec<Vec<u8>>,
    pub reads: u64,
    pub installs: u64,
}

#[derive(Clone)]
struct Disk {
    log: Recovered,
    snapshots: BTreeMap<LogIndex, (SnapshotMeta, State)>,
}

struct Life {
    replica: Replica,
    state: State,
    applied: (LogIndex, Term),
    membership: Membership,
    waiters: Waiters<Vec<u8>>,
    reads: BTreeMap<ReadId, LogIndex>,
    /// A write and when it will be durable.
    out: Option<(Persist, u64)>,
    next_tick: u64,
}

pub struct Member {
    pub id: ReplicaId,
    disks: Disks,
    disk: Disk,
    /// What a lying disk claims beyond what it holds.
    claimed: Vec<Persist>,
    life: Option<Life>,
    wakes_at: u64,
    slow_until: u64,
    boots: u64,
}

impl Member {
    pub fn new(id: ReplicaId, all: &[ReplicaId], disks: Disks, chance: &mut Chance) -> Self {
        let log = Recovered::bootstrap(all);
        Member {
            id,
            disks,
            disk: Disk { log, snapshots: BTreeMap::new() },
            claimed: Vec::new(),
            life: None,
            wakes_at: chance.below(50),
            slow_until: 0,
            boots: 0,
        }
    }

    pub fn applied(&self) -> Option<LogIndex> {
        self.life.as_ref().map(|life| life.applied.0)
    }

    pub fn wake(&mut self, now: u64, chance: &mut Chance) {
        if self.life.is_none() && self.wakes_at <= now {
            self.boot(now, chance);
        }
        if let Some(life) = &mut self.life
            && life.next_tick <= now
        {
            life.next_tick = now + TICK_EVERY - 1 + chance.below(3);
            life.replica.tick();
        }
    }

    pub fn slow_disk(&mut self, until: u64) {
        self.slow_until = until;
    }

    pub fn crash(&mut self, restart: u64, chance: &mut Chance) -> bool {
        let Some(life) = self.life.take() else { return false };
        // The write that was out reached the disk, or it did not.
        if let Some((persist, _)) = life.out
            && chance.one_in(2)
            && self.disks == Disks::Honest
        {
            write(&mut self.disk.log, &persist);
        }
        // A lying disk has written some of what it claimed.
        let written = chance.below(self.claimed.len() as u64 + 1) as usize;
        for persist in self.claimed.drain(..).take(written) {
            write(&mut self.disk.log, &persist);
        }
        self.wakes_at = restart;
        true
    }

    pub fn propose(&mut self, data: Vec<u8>) {
        if let Some(life) = &mut self.life
            && let Ok(proposed) = life.replica.propose(data.clone())
        {
            life.waiters.wait(proposed, data);
        }
    }

    pub fn read(&mut self, floor: LogIndex) {
        if let Some(life) = &mut self.life {
            let id = life.replica.read();
            life.reads.insert(id, floor);
        }
    }

    pub fn snapshot_of(&self, meta: &SnapshotMeta) -> Option<State> {
        let (known, state) = self.disk.snapshots.get(&meta.index)?;
        assert_eq!(known, meta, "the head that was sent is the head that is kept");
        Some(state.clone())
    }

    /// Whether it was there to hear it, and could keep the snapshot that came along.
    pub fn receive(
        &mut self,
        from: ReplicaId,
        bytes: &[u8],
        chunks: Option<State>,
    ) -> Result<bool, String> {
        let Some(life) = &mut self.life else { return Ok(false) };
        let received = match dagmar_replica::announced_snapshot(bytes) {
            None => life.replica.receive(from, bytes),
            Some(meta) => {
                // The chunks are durable before raft hears of the snapshot.
                let Some(chunks) = chunks else { return Ok(false) };
                self.disk.snapshots.insert(meta.index, (meta.clone(), chunks));
                life.replica.receive_snapshot(from, bytes, &meta)
            }
        };
        received.map_err(|error| error.to_string())?;
        Ok(true)
    }

    pub fn report_snapshot(&mut self, peer: ReplicaId, durable: bool) {
        if let Some(life) = &mut self.life {
            life.replica.report_snapshot(peer, durable);
        }
    }

    pub fn turn(&mut self, now: u64, chance: &mut Chance) -> Result<Shown, String> {
        let mut shown = Shown::default();
        let Some(mut life) = self.life.take() else { return Ok(shown) };
        if let Some((persist, _)) = life.out.take_if(|(_, durable_at)| *durable_at <= now) {
            self.durable(&mut life, persist, &mut shown);
        }
        while let Some(work) = life.replica.ready() {
            self.perform(&mut life, work, now, chance, &mut shown)?;
        }
        self.snapshot(&mut life);
        self.life = Some(life);
        Ok(shown)
    }

    fn boot(&mut self, now: u64, chance: &mut Chance) {
        self.boots += 1;
        let mut log = self.disk.log.clone();
        let newest = self.disk.snapshots.values().next_back();
        let state = newest.map_or_else(State::new, |(_, state)| state.clone());
        if let Some((meta, _)) = newest {
            log.base = meta.clone();
        }
        let config =
            ReplicaConfig { id: self.id, seed: chance.below(1 << 40), boot_nonce: self.boots };
        let applied = (log.base.index, log.base.term);
        let membership = log.base.membership.clone();
        let replica = Replica::new(config, log).expect("what honest disks hold fits together");
        self.life = Some(Life {
            replica,
            state,
            applied,
            membership,
            waiters: Waiters::default(),
            reads: BTreeMap::new(),
            out: None,
            next_tick: now + chance.below(TICK_EVERY),
        });
    }

    fn durable(&mut self, life: &mut Life, persist: Persist, shown: &mut Shown) {
        if self.disks == Disks::Honest {
            write(&mut self.disk.log, &persist);
        }
        life.replica.persisted(persist.token);
        if let Some(meta) = &persist.snapshot {
            // From here on the state is the leader's; what waited before it is not known.
            shown.installs += 1;
            life.state = self.disk.snapshots[&meta.index].1.clone();
            life.applied = (meta.index, meta.term);
            life.membership = meta.membership.clone();
            life.waiters.passed(meta.index);
            life.replica.applied(meta.index);
        }
    }

    fn perform(
        &mut self,
        life: &mut Life,
        work: Work,
        now: u64,
        chance: &mut Chance,
        shown: &mut Shown,
    ) -> Result<(), String> {
        shown.standings.extend(work.standing);
        shown.sent.extend(work.send);
        if let Some(persist) = work.persist {
            assert!(life.out.is_none(), "one write at a time");
            if self.disks == Disks::Lying {
                self.claimed.push(persist.clone());
                self.durable(life, persist, shown);
            } else {
                let takes = chance.below(3) + self.slow_until.saturating_sub(now);
                life.out = Some((persist, now + takes));
            }
        }
        for committed in work.committed {
            let (index, term) = (committed.index, committed.term);
            if index.0 != life.applied.0.0 + 1 {
                return Err(format!("{index} is applied after {}", life.applied.0));
            }
            life.applied = (index, term);
            let data = match committed.body {
                Body::Data(data) => data.to_vec(),
                Body::Nothing => Vec::new(),
                Body::Membership(membership) => {
                    life.membership = membership;
                    Vec::new()
                }
            };
            for (fate, waited) in life.waiters.applied(term, index, data.is_empty()) {
                match fate {
                    Fate::Applied if waited != data => return Err(format!("wrong answer {index}")),
                    Fate::Applied => shown.acknowledged.push((index, waited)),
                    Fate::Dropped => shown.dropped.push(waited),
                    Fate::Unknown => {}
                }
            }
            life.state.insert(index, (term, data.clone()));
            shown.applied.push((index, term, data));
        }
        life.replica.applied(life.applied.0);
        for read in work.reads {
            let floor = life.reads.remove(&read.id).ok_or("an answer to nobody")?;
            if let ReadFate::Released { .. } = read.fate {
                if life.applied.0 < floor {
                    return Err(format!("a read misses {floor}, it sees {}", life.applied.0));
                }
                shown.reads += 1;
            }
        }
        Ok(())
    }

    fn snapshot(&mut self, life: &mut Life) {
        let newest = self
            .disk
            .log
            .base
            .index
            .max(self.disk.snapshots.keys().next_back().copied().unwrap_or_default());
        let (index, term) = life.applied;
        if index.0 < newest.0 + SNAPSHOT_EVERY || life.out.is_some() || !self.claimed.is_empty() {
            return;
        }
        let meta = SnapshotMeta { index, term, membership: life.membership.clone() };
        self.disk.snapshots.insert(index, (meta.clone(), life.state.clone()));
        while self.disk.snapshots.len() > 2 {
            self.disk.snapshots.pop_first();
        }
        life.replica.snapshot_saved(meta);
        let log = &mut self.disk.log;
        log.entries.retain(|entry| entry.index >= index);
    }
}

fn write(log: &mut Recovered, persist: &Persist) {
    if let Some(meta) = &persist.snapshot {
        log.entries.clear();
        log.base = meta.clone();
    }
    if let Some(first) = persist.entries.first() {
        log.entries.retain(|entry| entry.index < first.index);
        log.entries.extend(persist.entries.iter().cloned());
    }
    log.hard_state = persist.hard_state;
}
