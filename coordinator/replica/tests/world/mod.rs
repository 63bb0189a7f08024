//! The world around a few replicas: a network, disks, clients, and what must hold of them.

mod member;

use std::collections::{BTreeMap, BTreeSet};

use dagmar_common::ids::{LogIndex, ReplicaId, Term};
use dagmar_replica::{Outgoing, Role};
use member::Member;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    Honest,
    /// They say durable at once, and lose what they had not written when the power goes.
    Lying,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub acknowledged: u64,
    pub dropped: u64,
    pub reads: u64,
    pub crashes: u64,
    pub partitions: u64,
    pub elections: u64,
    pub installs: u64,
}

impl Totals {
    #[allow(dead_code)] // The simulator, which lives in this world too, needs no totals.
    pub fn add(&mut self, other: &Totals) {
        self.acknowledged += other.acknowledged;
        self.dropped += other.dropped;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.elections += other.elections;
        self.installs += other.installs;
    }
}

/// Chance, from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }

    /// One time in so many.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What all replicas together have shown, judged as it is seen.
#[derive(Debug, Default)]
pub struct Judge {
    leaders: BTreeMap<Term, ReplicaId>,
    applied: BTreeMap<LogIndex, (Term, Vec<u8>)>,
    /// Proposals whose client was told that they happened, by content.
    acknowledged: BTreeSet<Vec<u8>>,
    acknowledged_up_to: LogIndex,
    never: BTreeSet<Vec<u8>>,
}

impl Judge {
    fn leads(&mut self, term: Term, id: ReplicaId) -> Result<bool, String> {
        match self.leaders.insert(term, id) {
            Some(other) if other != id => Err(format!("{other} and {id} lead in term {term}")),
            before => Ok(before.is_none()),
        }
    }

    fn applied(&mut self, at: LogIndex, term: Term, data: &[u8]) -> Result<(), String> {
        if self.never.contains(data) {
            return Err(format!("entry {at} was said to be dropped"));
        }
        let entry = (term, data.to_vec());
        match self.applied.get(&at) {
            Some(known) if *known != entry => Err(format!("two entries at {at}")),
            Some(_) => Ok(()),
            None => {
                self.applied.insert(at, entry);
                Ok(())
            }
        }
    }

    fn acknowledge(&mut self, at: LogIndex, data: &[u8]) {
        self.acknowledged.insert(data.to_vec());
        self.acknowledged_up_to = self.acknowledged_up_to.max(at);
    }

    fn all_there(&self) -> Result<(), String> {
        let there: BTreeSet<_> = self.applied.values().map(|(_, data)| data).collect();
        match self.acknowledged.iter().find(|data| !there.contains(data)) {
            Some(lost) => Err(format!("{lost:?} was acknowledged and is lost")),
            None => Ok(()),
        }
    }
}

pub struct World {
    now: u64,
    chance: Chance,
    members: Vec<Member>,
    /// On their way: (arrives at, count) → (from, message).
    network: BTreeMap<(u64, u64), (ReplicaId, Outgoing)>,
    sent: u64,
    cut: BTreeSet<(ReplicaId, ReplicaId)>,
    cut_until: u64,
    loss_percent: u64,
    delay_max: u64,
    judge: Judge,
    proposals: u64,
    faults: bool,
    pub totals: Totals,
}

impl World {
    pub fn new(seed: u64, members: u64, disks: Disks) -> Self {
        let mut chance = Chance(seed);
        let ids: Vec<_> = (1..=members).map(ReplicaId).collect();
        let members = ids.iter().map(|id| Member::new(*id, &ids, disks, &mut chance)).collect();
        World {
            now: 0,
            members,
            network: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            cut_until: 0,
            loss_percent: chance.below(20),
            delay_max: 1 + chance.below(15),
            judge: Judge::default(),
            proposals: 0,
            faults: true,
            totals: Totals::default(),
            chance,
        }
    }

    pub fn run(&mut self, steps: u32) -> Result<(), String> {
        for _ in 0..steps {
            self.step()?;
        }
        self.judge.all_there()
    }

    /// After the last fault everybody comes to agree, and work goes on.
    pub fn heal(&mut self) -> Result<(), String> {
        (self.faults, self.loss_percent, self.delay_max) = (false, 0, 2);
        self.cut.clear();
        let goal = self.totals.acknowledged + 20;
        for _ in 0..6_000 {
            self.step()?;
            let applied = self.members.iter().map(|member| member.applied().unwrap_or_default());
            let last = self.judge.applied.keys().next_back().copied();
            let agreed = applied.min() >= last;
            if agreed && self.totals.acknowledged >= goal {
                return self.judge.all_there();
            }
        }
        Err("a minute without faults, and the work does not go on".into())
    }

    #[allow(dead_code)]
    pub fn digest(&self) -> String {
        format!("{} {} {:?}", self.now, self.sent, self.judge.applied.iter().next_back())
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += 1;
        if self.faults {
            self.inject();
        }
        self.deliver()?;
        for place in 0..self.members.len() {
            let now = self.now;
            self.members[place].wake(now, &mut self.chance);
            if self.chance.one_in(3) {
                self.propose(place);
            }
            if self.chance.one_in(10) {
                let floor = self.judge.acknowledged_up_to;
                self.members[place].read(floor);
            }
            self.turn(place)?;
        }
        Ok(())
    }

    fn inject(&mut self) {
        let (now, members) = (self.now, self.members.len() as u64);
        if self.chance.one_in(400) {
            let place = self.chance.below(members) as usize;
            self.crash(place);
        }
        if self.chance.one_in(3_000) {
            (0..self.members.len()).for_each(|place| self.crash(place));
        }
        if self.cut_until <= now {
            self.cut.clear();
            if self.chance.one_in(300) {
                self.totals.partitions += 1;
                self.cut_until = now + 50 + self.chance.below(600);
                for from in 1..=members {
                    for to in 1..=members {
                        if self.chance.one_in(2) {
                            self.cut.insert((ReplicaId(from), ReplicaId(to)));
                        }
                    }
                }
            }
        }
        if self.chance.one_in(200) {
            let place = self.chance.below(members) as usize;
            let until = now + self.chance.below(150);
            self.members[place].slow_disk(until);
        }
    }

    fn crash(&mut self, place: usize) {
        let restart = self.now + 10 + self.chance.below(500);
        if self.members[place].crash(restart, &mut self.chance) {
            self.totals.crashes += 1;
        }
    }

    fn propose(&mut self, place: usize) {
        self.proposals += 1;
        let data = self.proposals.to_le_bytes().to_vec();
        self.members[place].propose(data);
    }

    fn deliver(&mut self) -> Result<(), String> {
        let later = self.network.split_off(&(self.now + 1, 0));
        for (from, message) in std::mem::replace(&mut self.network, later).into_values() {
            let (sender, to) = (from.0 as usize - 1, message.to);
            let heard = if self.cut.contains(&(from, to)) {
                false
            } else {
                let meta = message.snapshot.as_ref();
                let chunks = meta.and_then(|meta| self.members[sender].snapshot_of(meta));
                self.members[to.0 as usize - 1].receive(from, &message.bytes, chunks)?
            };
            if message.snapshot.is_some() {
                self.members[sender].report_snapshot(to, heard);
            }
        }
        Ok(())
    }

    fn turn(&mut self, place: usize) -> Result<(), String> {
        let now = self.now;
        let shown = self.members[place].turn(now, &mut self.chance)?;
        for outgoing in shown.sent {
            let (from, lost) = (self.members[place].id, self.loss_percent);
            let copies = if self.faults && self.chance.one_in(20) { 2 } else { 1 };
            for _ in 0..copies {
                if self.chance.below(100) >= lost {
                    let arrives = now + 1 + self.chance.below(self.delay_max);
                    self.sent += 1;
                    self.network.insert((arrives, self.sent), (from, outgoing.clone()));
                } else if outgoing.snapshot.is_some() {
                    self.members[place].report_snapshot(outgoing.to, false);
                }
            }
        }
        for standing in shown.standings {
            if standing.role == Role::Leader {
                let new = self.judge.leads(standing.term, self.members[place].id)?;
                self.totals.elections += u64::from(new);
            }
        }
        for (index, term, data) in shown.applied {
            self.judge.applied(index, term, &data)?;
        }
        for (index, data) in shown.acknowledged {
            self.totals.acknowledged += 1;
            self.judge.acknowledge(index, &data);
        }
        for data in shown.dropped {
            self.totals.dropped += 1;
            self.judge.never.insert(data);
        }
        self.totals.reads += shown.reads;
        self.totals.installs += shown.installs;
        Ok(())
    }
}
