//! Stored output of tasks, read from a worker's segments in the words of the run service.

use std::path::Path;

use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::Stream;
use dagmar_worker::logs::read::LogError;

use super::damage;

/// About what one look at a running attempt brings.
pub const PIECE_BYTES: usize = 64 << 10;

/// Hands on the bytes at one place of the segments in `directory`, until `take` says no.
pub fn read(
    directory: &Path,
    place: &LogPlace,
    take: &mut dyn FnMut(Stream, &[u8]) -> bool,
) -> Result<(), Problem> {
    let mut wanted = true;
    let visit = &mut |from, bytes: &[u8]| wanted = wanted && take(stream(from), bytes);
    dagmar_worker::logs::read::read(directory, place.fence, place, visit)
        .map_err(|error| unreadable(directory, &error))
}

/// The same of an attempt that never came to an outcome.
pub fn search(
    directory: &Path,
    fence: Fence,
    take: &mut dyn FnMut(Stream, &[u8]) -> bool,
) -> Result<(), Problem> {
    let mut wanted = true;
    let visit = &mut |from, bytes: &[u8]| wanted = wanted && take(stream(from), bytes);
    dagmar_worker::logs::read::search(directory, fence, visit)
        .map_err(|error| unreadable(directory, &error))
}

pub fn stream(stream: dagmar_worker::logs::Stream) -> Stream {
    match stream {
        dagmar_worker::logs::Stream::Stdout => Stream::Stdout,
        dagmar_worker::logs::Stream::Stderr => Stream::Stderr,
    }
}

pub fn unreadable(directory: &Path, error: &LogError) -> Problem {
    let code = match error {
        LogError::Read(_) => Code::Storage,
        LogError::Gone(_) | LogError::Damaged(_) | LogError::TooLong(_) => Code::Damaged,
    };
    damage::of_output(directory, code, error)
}
