//! Fences as they stand in stored forms: small, for those of one command lie side by side.

use dagmar_common::ids::Fence;

/// Fences as differences, each to the one before it.
#[derive(Default)]
pub(super) struct Fences(u64);

impl Fences {
    pub fn pack(&mut self, fence: Fence) -> i64 {
        let before = std::mem::replace(&mut self.0, fence.0);
        fence.0.wrapping_sub(before) as i64
    }

    pub fn unpack(&mut self, difference: i64) -> Fence {
        self.0 = self.0.wrapping_add(difference as u64);
        Fence(self.0)
    }

    pub fn pack_all(fences: &[Fence]) -> Vec<i64> {
        let mut packed = Fences::default();
        fences.iter().map(|fence| packed.pack(*fence)).collect()
    }

    pub fn unpack_all(packed: Vec<i64>) -> Vec<Fence> {
        let mut fences = Fences::default();
        packed.into_iter().map(|difference| fences.unpack(difference)).collect()
    }
}
