//! Snapshots: a state that is restored writes itself, and that is the same state.

use dagmar_common::envelope::{HEAD_BYTES, Kind, seal};
use dagmar_coordinator_core::State;

/// One chunk, in its envelope.
pub const EVERYTHING: &[u8] =
    include_bytes!("../../../coordinator/core/src/stored/golden/snapshot-v1.bin");

/// Bodies, without their envelope.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![EVERYTHING[HEAD_BYTES..].to_vec()]
}

pub fn check(bytes: &[u8]) {
    let Ok(state) = State::restore([seal(Kind::SnapshotChunk, 1, bytes)]) else { return };
    let written = chunks(state);
    let again = State::restore(&written).expect("what was written is read");
    assert_eq!(chunks(again), written);
}

fn chunks(mut state: State) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let written = state.freeze().write(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    written.expect("memory takes all");
    chunks
}
