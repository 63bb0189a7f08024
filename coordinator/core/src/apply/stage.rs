//! Staging: a chunk of something too large for one entry.

use dagmar_common::ids::Digest;

use crate::effect::{Refusal, Reply};
use crate::state::State;
use crate::state::staging::NotTaken;

impl State {
    pub(super) fn stage(&mut self, digest: Digest, place: (u64, u64), bytes: Vec<u8>) -> Reply {
        match self.staging.add(self.time, digest, place, bytes) {
            Ok(()) => Reply::Done,
            Err(NotTaken::Full) => Reply::Refused(Refusal::StagingFull),
            Err(NotTaken::Gap) => Reply::Refused(Refusal::NotStaged),
        }
    }
}
