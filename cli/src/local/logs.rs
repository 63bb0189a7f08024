//! Stored output of tasks, read from a worker's segments in the words of the run service.

use std::path::{Path, PathBuf};

use dagmar_common::envelope::EnvelopeError;
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::Entry;
use dagmar_common::record::follow::Stream;
use dagmar_coordinator::services::Entries;
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
    let read = match place.is_cut() {
        // It wrote anywhere.
        true => dagmar_worker::logs::read::search(directory, place.fence, visit),
        false => dagmar_worker::logs::read::read(directory, place.fence, place, visit),
    };
    read.map_err(|error| unreadable(directory, &error))
}

/// The same entries; of attempts that died before they could say where they wrote it is looked up.
pub fn located(entries: Entries, directory: PathBuf) -> Entries {
    Box::new(entries.map(move |entry| {
        let mut entry = entry?;
        let nodes = match &mut entry {
            Entry::Node(node) => std::slice::from_mut(node),
            Entry::Alike(alike) => &mut alike.nodes[..],
            Entry::Frame(_) => &mut [],
        };
        for attempt in nodes.iter_mut().flat_map(|node| &mut node.attempts) {
            if let Some(place) = attempt.log.filter(LogPlace::is_cut) {
                let located = dagmar_worker::logs::read::locate(&directory, place.fence);
                // Damage there is for whoever reads it.
                attempt.log = located.unwrap_or(Some(place));
            }
        }
        Ok(entry)
    }))
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
        LogError::Damaged(_, EnvelopeError::Newer { .. }) => Code::Newer,
        LogError::Gone(_) | LogError::Damaged(..) | LogError::TooLong(..) => Code::Damaged,
    };
    damage::of_output(&error.place(directory), code, error)
}
