//! The frozen first form of a submission's parameters.

use std::sync::Arc;

use bincode::{BorrowDecode, Encode};
use dagmar_common::value::Value;

use super::StoredError;
use super::v1::{read, write};

/// What a length takes at most.
const LENGTH_BYTES_MAX: usize = 9;

/// Names and values, not copied on the way: a list of a million items may be among them.
#[derive(Encode, BorrowDecode)]
struct ParametersV1<'a>(Vec<(&'a str, &'a str)>);

/// Initial values as a submission carries them, sorted by name.
pub fn encode_parameters(parameters: &[(Arc<str>, Value)]) -> Vec<u8> {
    let pairs = || parameters.iter().map(|(name, value)| (&**name, value.spelled()));
    let lengths = pairs().map(|(name, value)| name.len() + value.len() + 2 * LENGTH_BYTES_MAX);
    let mut out = Vec::with_capacity(LENGTH_BYTES_MAX + lengths.sum::<usize>());
    write(&ParametersV1(pairs().collect()), &mut out);
    out
}

pub fn decode_parameters(bytes: &[u8]) -> Result<Vec<(Arc<str>, Value)>, StoredError> {
    let ParametersV1(pairs) = read(bytes)?;
    Ok(pairs.into_iter().map(|(name, value)| (name.into(), Value::from_spelled(value))).collect())
}
