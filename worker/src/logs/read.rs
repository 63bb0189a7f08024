//! Stored logs: what an attempt wrote, read from segments by whoever has their directory.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::EnvelopeError;
use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use thiserror::Error;

use super::Stream;
use super::chunk;

/// One read of a segment, and more than any chunk.
const READ_BYTES: usize = 1 << 20;

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    #[error("log segment {0} is no longer here")]
    Gone(u32),
    #[error("cannot read a log segment: {0}")]
    Read(io::Error),
    #[error("log segment {0} is damaged: it {1}")]
    Damaged(u32, EnvelopeError),
    #[error("log segment {0} is damaged: a chunk of {1} bytes is longer than any")]
    TooLong(u32, usize),
}

impl LogError {
    /// The file in `directory` that shows it; the directory itself where none is known.
    pub fn place(&self, directory: &Path) -> PathBuf {
        match self {
            LogError::Gone(number)
            | LogError::Damaged(number, _)
            | LogError::TooLong(number, _) => segment_path(directory, *number),
            LogError::Read(_) => directory.to_owned(),
        }
    }
}

pub fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:08}.log"))
}

/// The numbers of the segments in `directory`, in order.
pub fn segments_in(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the attempt with `fence` wrote, as its outcome says where. Damage is an error, after what
/// lay before it.
pub fn read(
    directory: &Path,
    fence: Fence,
    place: &LogPlace,
    visit: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), LogError> {
    if place.length == 0 {
        return Ok(());
    }
    let range = place.offset..place.offset.saturating_add(place.length);
    walk(directory, place.segment, range, &mut |_, found, pieces| {
        if found == fence {
            pieces.for_each(|(stream, bytes)| visit(stream, bytes));
        }
    })
}

/// What is there of an attempt that never came to an outcome, as its worker was killed. The last
/// chunk of a segment may be torn; it ends there.
pub fn search(
    directory: &Path,
    fence: Fence,
    visit: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), LogError> {
    search_chunks(directory, |_, _, found, pieces| {
        if found == fence {
            pieces.for_each(|(stream, bytes)| visit(stream, bytes));
        }
    })
}

/// Where that lies. None: it wrote nothing that was kept.
pub fn locate(directory: &Path, fence: Fence) -> Result<Option<LogPlace>, LogError> {
    let mut place: Option<LogPlace> = None;
    search_chunks(directory, |segment, chunk, found, _| {
        if found == fence {
            let first = LogPlace { fence, segment, offset: chunk.start, ..LogPlace::default() };
            let place = place.get_or_insert(first);
            place.length = chunk.end - place.offset;
        }
    })?;
    Ok(place)
}

/// Every chunk of every segment, with the number of its segment.
fn search_chunks(
    directory: &Path,
    mut visit: impl FnMut(u32, Range<u64>, Fence, chunk::Pieces<'_>),
) -> Result<(), LogError> {
    for segment in segments_in(directory).map_err(LogError::Read)? {
        let mut visit = |chunk, found, pieces: chunk::Pieces<'_>| {
            visit(segment, chunk, found, pieces);
        };
        match walk(directory, segment, 0..u64::MAX, &mut visit) {
            Ok(()) | Err(LogError::Damaged(_, EnvelopeError::Torn { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Every chunk that begins in `range`.
fn walk(
    directory: &Path,
    number: u32,
    range: Range<u64>,
    visit: &mut dyn FnMut(Range<u64>, Fence, chunk::Pieces<'_>),
) -> Result<(), LogError> {
    let file = match File::open(segment_path(directory, number)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LogError::Gone(number));
        }
        Err(error) => return Err(LogError::Read(error)),
    };
    let (mut buffer, mut have, mut next) = (vec![0; READ_BYTES], 0, range.start);
    loop {
        let left = range.end.saturating_sub(next + have as u64);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - have);
        let at = next + have as u64;
        let read = match file.read_at(&mut buffer[have..have + room], at) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LogError::Read(error)),
        };
        have += read;
        let mut rest = &buffer[..have];
        while !rest.is_empty() {
            match chunk::open_first(rest) {
                Ok((fence, pieces, behind)) => {
                    let start = next + (have - rest.len()) as u64;
                    let end = next + (have - behind.len()) as u64;
                    visit(start..end, fence, pieces);
                    rest = behind;
                }
                Err(EnvelopeError::Torn { need, .. }) if need > READ_BYTES => {
                    return Err(LogError::TooLong(number, need));
                }
                Err(EnvelopeError::Torn { .. }) if read > 0 => break,
                Err(error) => return Err(LogError::Damaged(number, error)),
            }
        }
        let used = have - rest.len();
        if read == 0 {
            // Cut between two chunks, where only the range tells that there were more.
            return match range.end {
                u64::MAX => Ok(()),
                end if next + used as u64 == end => Ok(()),
                end => Err(LogError::Damaged(
                    number,
                    EnvelopeError::Torn {
                        have: usize::try_from(next - range.start).unwrap_or(usize::MAX),
                        need: usize::try_from(end - range.start).unwrap_or(usize::MAX),
                    },
                )),
            };
        }
        buffer.copy_within(used..have, 0);
        have -= used;
        next += used as u64;
    }
}
