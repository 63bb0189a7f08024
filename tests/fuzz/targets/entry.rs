//! Entries of the log: what is read is written back, and no entry leaves a state that is none.

use dagmar_common::envelope::{HEAD_BYTES, Kind, seal};
use dagmar_common::ids::LogIndex;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Position;
use dagmar_coordinator_core::effect::Applied;
use dagmar_coordinator_core::stored::{
    decode_batch, decode_parameters, encode_batch, encode_parameters,
};

const EVERYTHING: &[u8] =
    include_bytes!("../../../coordinator/core/src/stored/golden/batch-v1.bin");

/// Bodies, without their envelope.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![EVERYTHING[HEAD_BYTES..].to_vec()]
}

pub fn check(bytes: &[u8]) {
    if let Ok(parameters) = decode_parameters(bytes) {
        let again = decode_parameters(&encode_parameters(&parameters));
        assert_eq!(again, Ok(parameters));
    }
    let Ok(batch) = decode_batch(&seal(Kind::Batch, 1, bytes)) else { return };
    let mut written = Vec::new();
    encode_batch(&batch, &mut written);
    assert_eq!(decode_batch(&written).as_ref(), Ok(&batch));
    let mut state = State::restore([super::snapshot::EVERYTHING]).expect("older ones are read");
    let index = LogIndex(state.last_applied().0 + 1);
    let mut applied = Applied::default();
    let commands = batch.commands.len();
    state.apply(Position { index, term: batch.term }, batch, &mut applied);
    assert_eq!(applied.replies.len(), commands);
    assert_eq!(state.check(), Ok(()));
}
