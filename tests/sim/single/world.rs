//! The world of one seed: time, what is due in it, and what breaks, from the first write to calm.

use dagmar_common::time::{BootTime, Span};
use dagmar_member::SnapshotRule;
use dagmar_replica::Recovered;

use super::around::{Around, HANGS, Home};
use super::clients::Clients;
use super::faults::{Climate, Died, Fault, POINTS, Point};
use super::host::{Host, REPLICA, chunks};
use crate::disk::{Crash, Disk, Moment, Progress};
use crate::executor::Habits;
use crate::pipelines::WRITTEN;
use crate::random::Random;
use crate::working::Worker;

/// So long (world time) a calm is enough for all that was asked to end.
const CALM_MAX: Span = Span::from_secs(4 * 3_600);
/// So many steps without time going on are a loop that waits for something by being awake.
const SPIN: u32 = 1_000;
/// Between two disks that hang: nothing goes on while one does.
const HANGS_AGAIN: Span = Span::from_secs(300);
/// A fuse is put out after so long: its point may never be passed.
const FUSE_LASTS: Span = Span::from_secs(20);

pub struct World {
    pub around: Around,
    /// None while its process is down.
    host: Option<Host>,
    pub clients: Clients,
    climate: Climate,
    starts_at: BootTime,
    paused_until: BootTime,
    next_fault: BootTime,
    fuse_out_at: BootTime,
    disk_slow_until: BootTime,
    may_hang_at: BootTime,
    worker_starts_at: BootTime,
    is_calm: bool,
    /// Steps since time went on.
    steps_at_once: u32,
    pub told: Told,
}

/// What a seed can be asked about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub crashes: u64,
    pub swaps: u64,
    pub faults: u64,
    pub time: Span,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let home = random.pick(&[Home::Within, Home::Apart]);
        let cpus = random.pick(&[2_000, 4_000]);
        let keeps = home == Home::Apart && random.chance(2, 3);
        let mut worker = Worker::new(0, cpus, keeps);
        let millis: &[&[u64]] = &[&[1, 20, 400, 3_000, 8_000], &[1, 5, 20, 100], &[20, 400]];
        worker.executor.habits = Habits { millis: random.pick(millis), writes: &WRITTEN };
        let climate = Climate::draw(&mut random);
        let clients = Clients::new(2 + random.below(4) as u64, random.pick(&[10, 20, 50, 100]));
        let mut around =
            Around::new(home, worker, Disk::new(Recovered::bootstrap(&[REPLICA])), random);
        let random = &mut around.random;
        around.entry_takes = Span(random.pick(&[0, 20, 200]));
        around.snapshots = SnapshotRule {
            log_bytes_min: random.pick(&[1, 8, 64]) << 10,
            entries_kept: random.pick(&[0, 0, 10, 1_000]),
        };
        World {
            around,
            host: None,
            clients,
            climate,
            starts_at: BootTime(0),
            paused_until: BootTime(0),
            next_fault: BootTime(0),
            fuse_out_at: BootTime(u64::MAX),
            disk_slow_until: BootTime(0),
            may_hang_at: BootTime(0),
            worker_starts_at: BootTime(0),
            is_calm: false,
            steps_at_once: 0,
            told: Told::default(),
        }
    }

    /// Weather for `span`, then calm until nothing is left to do, then the last judgement.
    pub fn live(&mut self, span: Span) {
        let begins = self.around.now;
        while self.around.now < begins + span {
            self.step();
        }
        self.calm_down();
        let until = self.around.now + CALM_MAX;
        while !self.is_quiet() {
            assert!(self.around.now < until, "{}", self.unfinished());
            self.step();
        }
        self.told.time = Span(self.around.now.0 - begins.0);
        let Some(host) = &mut self.host else { return };
        let written = chunks(&host.freeze());
        self.around.ledger.finish(host.state(), &written);
    }

    fn unfinished(&self) -> String {
        let runs = self.host.as_ref().map(|host| {
            host.state().runs().map(|run| (run.run_id().clone(), run.counts())).collect::<Vec<_>>()
        });
        let (asking, idle) = (!self.clients.are_done(), self.around.worker.is_quiet());
        format!("something is left undone: clients ask: {asking}, worker idle: {idle}, {runs:?}")
    }

    /// Time goes to the next thing that is due, and all that is due then happens.
    fn step(&mut self) {
        let next = self.wakes_at();
        self.steps_at_once = if next > self.around.now { 0 } else { self.steps_at_once + 1 };
        assert!(self.steps_at_once < SPIN, "somebody is awake for nothing");
        self.around.now = self.around.now.max(next);
        if !self.is_calm && self.around.now >= self.next_fault {
            let pause = self.climate.pause(&mut self.around.random);
            self.next_fault = self.around.now + pause;
            let fault = self.climate.next(&mut self.around.random);
            self.fault(fault);
        }
        self.machines();
        if self.around.now < self.paused_until {
            return;
        }
        if let Err(died) = self.process() {
            self.dies(died);
        }
    }

    fn wakes_at(&self) -> BootTime {
        let around = &self.around;
        let mut wakes = vec![around.next_delivery()];
        if !self.is_calm {
            wakes.push(Some(self.next_fault));
        }
        match &self.host {
            _ if around.now < self.paused_until => wakes.push(Some(self.paused_until)),
            None => wakes.push(Some(self.starts_at)),
            Some(host) => {
                wakes.push(around.disk.wakes_at());
                wakes.push(Some(around.world_time(host.wakes_at(around))));
                wakes.push(self.clients.wakes_at());
            }
        }
        wakes.push(self.worker_wakes_at());
        wakes.into_iter().flatten().fold(BootTime(u64::MAX), BootTime::min)
    }

    fn worker_wakes_at(&self) -> Option<BootTime> {
        let (around, worker) = (&self.around, &self.around.worker);
        let agent = worker.agent.as_ref();
        if around.home == Home::Within {
            let boot = agent?.wakes_at().into_iter().chain(worker.executor.wakes_at()).min()?;
            let at = around.world_time(boot);
            return Some(at.max(self.paused_until));
        }
        let daemon = match agent {
            None => Some(self.worker_starts_at),
            Some(_) if worker.stream.is_none() => Some(around.connects_at),
            Some(agent) => agent.wakes_at(),
        };
        daemon.into_iter().chain(worker.executor.wakes_at()).min()
    }

    /// What happens outside of the coordinator's process.
    fn machines(&mut self) {
        let around = &mut self.around;
        let now = around.now;
        if now >= self.fuse_out_at {
            around.fuse.put_out();
            self.fuse_out_at = BootTime(u64::MAX);
        }
        if now >= self.disk_slow_until {
            around.disk.slow = Span(0);
        }
        let clock = if around.home == Home::Within { around.boot() } else { now };
        around.worker.executor.advance(clock, &mut around.random);
        if around.home == Home::Apart {
            if around.worker.agent.is_none() && now >= self.worker_starts_at {
                around.note(|| "the worker starts".into());
                around.worker.starts();
                around.connects_soon();
            }
            around.connect(self.host.as_ref().is_some_and(Host::leads));
            around.deliver();
            around.worker_turn();
            around.plan_deliveries();
        }
    }

    /// One turn of the coordinator's process, from its inputs to all that follows.
    fn process(&mut self) -> Result<(), Died> {
        let around = &mut self.around;
        let Some(host) = &mut self.host else {
            if around.now >= self.starts_at {
                if around.home == Home::Within && around.worker.agent.is_none() {
                    around.worker.starts();
                }
                self.host = Some(Host::start(around)?);
            }
            return Ok(());
        };
        around.fuse.passes(Point::Anywhere)?;
        while let Some(progress) = around.disk.step(around.now, &mut around.random) {
            match progress {
                Progress::Passed(moment) => around.fuse.passes(Point::OnDisk(moment))?,
                Progress::Persisted(token) => host.persisted(token, around),
                Progress::Saved(meta, bytes) => host.saved(meta, bytes),
                Progress::Received(..) => panic!("nobody sends a snapshot"),
            }
        }
        self.clients.turn(Some(host), around);
        host.turn(around)?;
        self.clients.hear(around);
        around.plan_deliveries();
        Ok(())
    }

    fn dies(&mut self, Died(crash): Died) {
        let around = &mut self.around;
        around.note(|| format!("-- the coordinator dies ({crash:?}) --"));
        self.told.crashes += 1;
        self.host = None;
        around.fuse.put_out();
        around.disk.crash(crash, &mut around.random);
        around.leader_is_gone();
        self.clients.disconnected(around);
        let millis = match around.random.chance(1, 16) {
            true => 100_000,
            false => around.random.pick(&[1, 1, 500, 5_000]),
        };
        self.starts_at = around.now + Span::from_millis(millis);
        if crash == Crash::Power {
            // Its clock begins anew; the worker within began with it.
            around.booted = BootTime(around.now.0 - 1);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let around = &mut self.around;
        let (now, random) = (around.now, &mut around.random);
        self.told.faults += 1;
        match fault {
            Fault::Crash => {
                let point = random.pick(&POINTS);
                // A snapshot here is short (a chunk or two), and the next one far.
                let passes = match point {
                    Point::OnDisk(Moment::HalfSaved | Moment::Untruncated)
                    | Point::BeforeTruncate => 0,
                    _ => random.below(4) as u32,
                };
                let crash = random.pick(&[Crash::Process, Crash::Process, Crash::Power]);
                around.fuse.set(point, passes, Died(crash));
                self.fuse_out_at = now + FUSE_LASTS;
            }
            Fault::Pause => {
                let millis = match random.chance(1, 8) {
                    true => random.pick(&[12_000, 40_000]),
                    false => random.pick(&[20, 50, 200, 1_000, 4_000]),
                };
                let span = Span::from_millis(millis);
                self.paused_until = now + span;
                around.note(|| format!("-- a pause of {} ms --", span.0 / 1_000));
            }
            Fault::Swap => {
                if let Some(host) = &mut self.host {
                    host.swap();
                    self.told.swaps += 1;
                    around.note(|| "-- the state is swapped --".into());
                }
            }
            Fault::SlowDisk => {
                around.disk.slow = Span::from_millis(random.pick(&[10, 200, 3_000]));
                self.disk_slow_until = now + Span::from_secs(10);
            }
            Fault::HungDisk if now >= self.may_hang_at => {
                // Whatever is written now: nobody sees the end of it.
                around.disk.slow = HANGS;
                self.disk_slow_until = now + Span::from_secs(5);
                self.may_hang_at = now + HANGS_AGAIN;
            }
            Fault::HungDisk => {}
            Fault::WallJump => {
                around.wall_offset += random.below(7_200_000_000) as i64 - 3_600_000_000;
            }
            Fault::WorkerDies if around.home == Home::Apart => {
                let millis = random.pick(&[1, 1_000, 20_000, 100_000]);
                self.worker_starts_at = now + Span::from_millis(millis);
                if random.chance(1, 4) {
                    around.worker.executor.all_dies();
                }
                around.worker_dies();
                around.note(|| "-- the worker dies --".into());
            }
            Fault::StreamBreaks => {
                let (leader, worker) = (random.below(4), random.below(4));
                for stream in around.streams.numbers() {
                    around.streams.cut(stream, leader, worker);
                }
            }
            Fault::WorkerDies => {}
        }
    }

    fn calm_down(&mut self) {
        self.is_calm = true;
        self.around.note(|| "-- faults stop --".into());
        self.around.fuse.put_out();
        self.clients.all.iter_mut().for_each(|client| client.is_calm = true);
    }

    fn is_quiet(&self) -> bool {
        let Some(host) = &self.host else { return false };
        host.is_up()
            && self.clients.are_done()
            && host.state().runs().next().is_none()
            && self.around.worker.is_quiet()
    }
}
