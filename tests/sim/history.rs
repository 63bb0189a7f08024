//! The history of one seed: a digest of all that happened, and its lines if somebody reads them.

use dagmar_common::ids::Fence;
use dagmar_common::time::BootTime;

#[derive(Debug, Default)]
pub struct History {
    digest: u64,
    pub is_loud: bool,
}

impl History {
    /// Something happened that is told by these bytes.
    pub fn mix(&mut self, now: BootTime, bytes: &[u8]) {
        let seed = self.digest ^ Fence(now.0).hash();
        let sum = bytes
            .iter()
            .fold(seed, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        self.digest = Fence(sum).hash();
    }

    pub fn note(&mut self, now: BootTime, line: impl FnOnce() -> String) {
        if self.is_loud {
            println!("{:>11.6} {}", now.0 as f64 / 1e6, line());
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }
}
