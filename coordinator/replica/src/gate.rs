//! The disk-progress gate: a replica whose disk hangs must not look alive.
//!
//! A leader whose heartbeats go on while nothing can be committed holds up everyone. So ticks
//! pass only while the disk makes progress; without them the leader falls silent, the others
//! elect, and a replica whose disk does not come back is aborted.

use crate::config::ELECTION_TICKS;

/// Ticks that a write may be out; then it holds them back.
const SLOW_AFTER_TICKS: u64 = ELECTION_TICKS / 2;
/// A write that is out for so many (30 s) never comes back: the process aborts.
const HUNG_AFTER_TICKS: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Nothing is out, or only for a moment: tick.
    Fine,
    /// Do not tick.
    Slow,
    /// Abort; what the write did is not known, and another would not tell.
    Hung,
}

/// It counts the ticks that a write was seen out, not the time: a machine that slept for an hour
/// has a disk that slept as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    out_for: Option<u64>,
}

impl Gate {
    pub fn started(&mut self) {
        self.out_for = Some(0);
    }

    pub fn finished(&mut self) {
        self.out_for = None;
    }

    pub fn tick(&mut self) -> Disk {
        let Some(ticks) = &mut self.out_for else { return Disk::Fine };
        *ticks += 1;
        match *ticks {
            HUNG_AFTER_TICKS.. => Disk::Hung,
            SLOW_AFTER_TICKS.. => Disk::Slow,
            _ => Disk::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_pass_until_a_write_is_out_for_half_an_election() {
        let mut gate = Gate::default();
        assert_eq!(gate.tick(), Disk::Fine);
        gate.started();
        let seen: Vec<_> = (0..300).map(|_| gate.tick()).collect();
        assert_eq!(seen[..4], [Disk::Fine; 4]);
        assert_eq!(seen[4..299], [Disk::Slow; 295]);
        assert_eq!(seen[299], Disk::Hung);
        gate.finished();
        assert_eq!(gate.tick(), Disk::Fine);
    }
}
