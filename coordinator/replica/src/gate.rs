//! The disk-progress gate: a replica whose disk hangs must not look alive.
//!
//! A leader whose heartbeats go on while nothing can be committed holds up everyone. So ticks
//! pass only while the disk makes progress; without them the leader falls silent, the others
//! elect, and a replica whose disk does not come back is aborted.

use dagmar_common::time::Span;

use crate::config::{ELECTION_TICKS, TICK};

/// A write that is out for longer holds back the ticks.
pub const SLOW_AFTER: Span = Span(TICK.0 * ELECTION_TICKS / 2);
/// A write that is out for longer never comes back: the process aborts.
pub const HUNG_AFTER: Span = Span::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Nothing is out, or only for a moment: tick.
    Fine,
    /// Do not tick.
    Slow,
    /// Abort; what the write did is not known, and another would not tell.
    Hung,
}

/// Times are elapsed time of one clock that does not stop in suspend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    out_since: Option<Span>,
}

impl Gate {
    pub fn started(&mut self, now: Span) {
        self.out_since = Some(now);
    }

    pub fn finished(&mut self) {
        self.out_since = None;
    }

    pub fn disk(&self, now: Span) -> Disk {
        match self.out_since.map(|since| Span(now.0.saturating_sub(since.0))) {
            Some(out) if out >= HUNG_AFTER => Disk::Hung,
            Some(out) if out >= SLOW_AFTER => Disk::Slow,
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
        let at = Span::from_millis;
        assert_eq!(gate.disk(at(0)), Disk::Fine);
        gate.started(at(1_000));
        assert_eq!(gate.disk(at(1_499)), Disk::Fine);
        assert_eq!(gate.disk(at(1_500)), Disk::Slow);
        assert_eq!(gate.disk(at(30_999)), Disk::Slow);
        assert_eq!(gate.disk(at(31_000)), Disk::Hung);
        gate.finished();
        assert_eq!(gate.disk(at(31_000)), Disk::Fine);
        gate.started(at(32_000));
        assert_eq!(gate.disk(at(31_000)), Disk::Fine, "an earlier reading is no progress lost");
    }
}
