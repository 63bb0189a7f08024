//! How long writes and entries take here: it says how many turns of the agenda share a write.

use dagmar_common::time::{BootTime, Span};

/// Turns of the agenda in one write, at most: what arrives meanwhile waits for all of them.
const TURNS_MAX: u64 = 16;

#[derive(Debug, Default)]
pub struct Pace {
    begun: BootTime,
    write: Span,
    apply: Span,
}

impl Pace {
    pub fn writes(&mut self, now: BootTime) {
        self.begun = now;
    }

    pub fn written(&mut self, now: BootTime) {
        self.write = mean(self.write, Span(now.0.saturating_sub(self.begun.0)));
    }

    pub fn applied(&mut self, begun: BootTime, ended: BootTime) {
        self.apply = mean(self.apply, Span(ended.0.saturating_sub(begun.0)));
    }

    /// As many entries as are applied in the time of one write, so that neither the disk nor the
    /// state machine waits for the other.
    pub fn turns(&self) -> u64 {
        (self.write.0 / self.apply.0.max(1)).clamp(1, TURNS_MAX)
    }
}

/// Old ones fade by a quarter with each new one.
fn mean(before: Span, now: Span) -> Span {
    Span((before.0 * 3 + now.0) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_makes_turns_share_a_write_up_to_a_bound() {
        let mut pace = Pace::default();
        assert_eq!(pace.turns(), 1, "nothing is known yet");
        for _ in 0..20 {
            pace.writes(BootTime(0));
            pace.written(BootTime(8_000));
            pace.applied(BootTime(0), BootTime(1_000));
        }
        assert!((6..=8).contains(&pace.turns()), "{}", pace.turns());
        for _ in 0..20 {
            pace.applied(BootTime(0), BootTime(10));
        }
        assert_eq!(pace.turns(), TURNS_MAX);
    }
}
