//! The clock of one machine: it counts from its boot, and a little too fast or too slow.

use dagmar_common::time::{BootTime, Now, Span, WallTime};

use crate::executor;
use crate::random::Random;

/// No clock drifts by more than this: 1 %.
const DRIFT_PPM_MAX: i64 = 10_000;
const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    booted: BootTime,
    /// Of its microseconds in a million of the world's, above a million.
    drift_ppm: i64,
    wall_offset: i64,
}

impl Clock {
    pub fn draw(random: &mut Random) -> Self {
        let drift_ppm = random.pick(&[0, 0, 200, -200, DRIFT_PPM_MAX, -DRIFT_PPM_MAX]);
        Clock { booted: BootTime(0), drift_ppm, wall_offset: 0 }
    }

    pub fn boot(&self, world: BootTime) -> BootTime {
        BootTime((world.0 - self.booted.0) * self.rate() / MILLION)
    }

    /// The first moment of the world at which it shows `boot`; the last of all times is never.
    pub fn world(&self, boot: BootTime) -> BootTime {
        if boot == BootTime(u64::MAX) {
            return boot;
        }
        let passed = u128::from(boot.0) * u128::from(MILLION);
        let passed = passed.div_ceil(u128::from(self.rate()));
        BootTime(self.booted.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    pub fn read(&self, world: BootTime) -> Now {
        let boot = self.boot(world);
        Now { boot, wall: WallTime(executor::wall(world).0 + self.wall_offset) }
    }

    /// Its machine starts anew.
    pub fn reboot(&mut self, world: BootTime) {
        self.booted = BootTime(world.0 - 1);
    }

    /// Somebody sets its wall time, up to an hour in either direction.
    pub fn jump(&mut self, random: &mut Random) {
        let hour = Span::from_secs(3_600).0;
        self.wall_offset += random.below(2 * hour as usize) as i64 - hour as i64;
    }

    fn rate(&self) -> u64 {
        MILLION.saturating_add_signed(self.drift_ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_at_which_it_shows_a_time_is_the_first_one() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let mut clock = Clock::draw(&mut random);
            clock.reboot(BootTime(1 + random.next() % 1_000_000_000));
            let boot = BootTime(random.next() % 1_000_000_000_000);
            let world = clock.world(boot);
            assert!(clock.boot(world) >= boot && clock.boot(BootTime(world.0 - 1)) < boot);
        }
        let mut clock = Clock::draw(&mut random);
        clock.reboot(BootTime(5));
        assert_eq!(clock.world(BootTime(u64::MAX)), BootTime(u64::MAX), "never");
    }
}
