//! What an earlier life left: read from its records, and killed before anything new starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use dagmar_common::envelope::{self, EnvelopeError, Kind};
use dagmar_common::ids::Fence;
use dagmar_supervisor::family::{self, Shown};

use super::synced;
use super::{Began, Record, VERSION, boot_id};
use crate::supervisor::{Mark, kill_marked};

/// How long what a sweep killed is waited for.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);
/// Of start times in /proc (USER_HZ), the same on every machine that Linux still runs on.
const TICKS_PER_SECOND: u128 = 100;
/// Start times are that coarse, and the clock was read a moment before the start.
const START_SLACK_TICKS: u64 = 100;

/// What a worker of an earlier life left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// None if the host was started anew since, or nothing was recorded.
    pub(super) mark: Option<Mark>,
    /// What had been asked for and not answered; with its process if that was heard of.
    pub open: BTreeMap<Fence, Option<Began>>,
    /// A life was noted. Else there are no records: whoever took them away, or a loss of power
    /// before anything was started that may not run twice.
    pub is_noted: bool,
}

impl Left {
    /// What the records at `path` say; nothing if there are none.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                let (left, noted) = Left::replay_all(&bytes, &boot_id()?)?;
                noted.map_or(Ok(()), |(life, length)| synced::check(path, &life, length))?;
                Ok(left)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Left::default()),
            Err(error) => Err(error),
        }
    }

    /// What these bytes say to a host of this boot.
    pub fn replay(bytes: &[u8], boot_now: &str) -> io::Result<Self> {
        Left::replay_all(bytes, boot_now).map(|(left, _)| left)
    }

    /// And whose they are, and how many bytes of them are whole.
    fn replay_all(bytes: &[u8], boot_now: &str) -> io::Result<(Self, Option<(Mark, u64)>)> {
        let (mut left, mut life, mut rest) = (Left::default(), None, bytes);
        while !rest.is_empty() {
            let (body, behind) = match envelope::open_first(Kind::WorkerRecord, VERSION, rest) {
                Ok((_, body, behind)) => (body, behind),
                // The worker was killed in this write, and had asked for nothing in it yet.
                Err(EnvelopeError::Torn { .. }) => break,
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            rest = behind;
            let Some(record) = Record::read(body) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown record"));
            };
            if !left.is_noted && !matches!(record, Record::Opened { .. }) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no life began them"));
            }
            match record {
                Record::Opened { boot, mark } => {
                    left.is_noted = true;
                    left.mark = (boot == boot_now).then(|| Mark(mark.clone()));
                    life = Some(Mark(mark));
                }
                Record::Asked { fence } => {
                    left.open.insert(fence, None);
                }
                Record::Began(began) => {
                    left.open.insert(began.fence, Some(began));
                }
                Record::Ended { fence } => {
                    left.open.remove(&fence);
                }
            }
        }
        let whole = (bytes.len() - rest.len()) as u64;
        Ok((left, life.map(|life| (life, whole))))
    }

    /// Kills what still runs of it, also where worker and supervisor died at one moment; how many
    /// processes there were. After it nothing of it runs.
    pub fn sweep(&self) -> usize {
        let Some(mark) = &self.mark else { return 0 };
        // By identity first: a process may have thrown away its environment, and with it the mark.
        kill_groups(self.open.values().flatten()) + kill_marked(mark, SWEEP_WITHIN)
    }
}

/// Kills the groups of these processes and waits until they are gone; how many there were.
pub(super) fn kill_groups<'a>(all: impl Iterator<Item = &'a Began>) -> usize {
    let give_up_at = Instant::now() + SWEEP_WITHIN;
    let killed: Vec<Shown> = all.flat_map(group_of).collect();
    killed.iter().for_each(|shown| family::kill(shown.pid));
    let lives = |was: &Shown| {
        let now = family::show(was.pid);
        now.is_some_and(|now| now.start_ticks == was.start_ticks && !now.zombie)
    };
    while killed.iter().any(lives) && Instant::now() < give_up_at {
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.len()
}

/// The members of a process's group, if it is still there to prove that the number is its own:
/// one that is another's by now is known by its start.
fn group_of(began: &Began) -> Vec<Shown> {
    let Some(leader) = family::show(began.pid) else { return Vec::new() };
    let ticks = u128::from(began.boot_us) * TICKS_PER_SECOND;
    let expected = u64::try_from(ticks / 1_000_000).unwrap_or(u64::MAX);
    if leader.start_ticks.abs_diff(expected) > START_SLACK_TICKS || leader.group != began.pid {
        return Vec::new();
    }
    let everyone = family::everyone().filter_map(family::show);
    everyone.filter(|shown| shown.group == began.pid && !shown.zombie).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Killed when it is dropped, whatever the test came to.
    struct Sleeper(Child);

    impl Sleeper {
        fn new(mark: &str) -> Self {
            let mut command = Command::new("sleep");
            command.arg("1000").env_clear().process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if !mark.is_empty() {
                command.env("DAGMAR_SUPERVISOR", mark);
            }
            Sleeper(command.spawn().unwrap())
        }

        /// Ended, whoever has reaped it.
        fn is_gone(&self) -> bool {
            family::show(self.0.id()).is_none_or(|shown| shown.zombie)
        }

        fn named(&self, boot_us: u64) -> Option<Began> {
            Some(Began { fence: Fence(1), pid: self.0.id(), boot_us })
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn left(mark: &Mark, began: Option<Began>) -> Left {
        Left { mark: Some(mark.clone()), open: [(Fence(1), began)].into(), is_noted: true }
    }

    #[test]
    fn a_sweep_kills_by_mark_and_by_identity_and_nothing_else() {
        let mark = Mark::random().unwrap();
        let boot_us = dagmar_supervisor::clock::boot_us();
        let (marked, bare) = (Sleeper::new(&mark.0), Sleeper::new(""));
        let (stranger, later) = (Sleeper::new("another"), Sleeper::new(""));
        assert!(left(&mark, None).sweep() >= 1);
        assert!(marked.is_gone());
        // The same number, but begun at another time: not the process that was recorded.
        left(&mark, later.named(boot_us.saturating_sub(3_600_000_000))).sweep();
        left(&mark, bare.named(boot_us)).sweep();
        assert!(bare.is_gone());
        assert!(!stranger.is_gone() && !later.is_gone());
    }
}
