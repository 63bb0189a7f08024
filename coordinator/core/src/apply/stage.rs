//! Staging: a chunk of something too large for one entry, and the checks of what has come.

use dagmar_common::ids::Digest;
use dagmar_common::limits::EDGES_PER_UNIT;

use crate::command::Part;
use crate::effect::{Refusal, Reply};
use crate::state::State;
use crate::state::staging::NotTaken;

impl State {
    pub(super) fn stage(
        &mut self,
        name: (Digest, Part),
        place: (u64, u64),
        bytes: Vec<u8>,
    ) -> Reply {
        match self.staging.add(self.time, name, place, bytes) {
            Ok(()) => Reply::Done,
            Err(NotTaken::Full) => Reply::Refused(Refusal::StagingFull),
            Err(NotTaken::Gap) => Reply::Refused(Refusal::NotStaged),
        }
    }

    /// Checks of staged graphs go on for at most `units`; units that are left.
    pub(super) fn check_staged(&mut self, units: u32) -> u32 {
        let left = self.staging.check(u64::from(units) * u64::from(EDGES_PER_UNIT));
        (left / u64::from(EDGES_PER_UNIT)) as u32
    }
}
