//! The segments that a worker writes: shared by all attempts, appended, never one file each.
//!
//! An attempt's bytes gather in memory until a chunk is full or the attempt has ended; a small
//! task costs one chunk in a write that it shares with others. All chunks of one attempt lie in
//! one segment, so its [`LogPlace`], from its first chunk to the end of its last, is all the
//! index there is: chunks of others between them are skipped by their fence. Nothing is fsynced.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use tracing::error;

use super::Stream;
use super::chunk::{self, Body};
use super::read::{LogError, segment_path};
use super::tail::Tail;

/// Bytes of one attempt that wait in memory; then they become a chunk.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the next write; then they are written at once.
const PENDING_BYTES: usize = 1 << 20;
/// Chunks that wait while nothing can be written, as on a full disk; beyond it bytes are dropped
/// and counted.
const STUCK_BYTES_MAX: usize = 16 << 20;
/// A segment that is longer takes no new attempts.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The writing side, and the way to read what is not written yet.
pub struct Segments {
    inner: Mutex<Inner>,
}

struct Inner {
    directory: PathBuf,
    /// The one that new attempts begin in.
    current: u32,
    open: HashMap<u32, Segment>,
    attempts: HashMap<Fence, Attempt>,
    /// A write failed, and was said once.
    stuck: bool,
}

struct Segment {
    file: File,
    /// On the file; `pending` follows it.
    written: u64,
    pending: Vec<u8>,
    attempts: usize,
}

struct Attempt {
    body: Body,
    /// None until its first chunk.
    segment: Option<u32>,
    chunks: Vec<(u64, u32)>,
    /// Payload in chunks.
    stored: u64,
    dropped: u64,
}

/// What an attempt left behind.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// None if it wrote nothing.
    pub place: Option<LogPlace>,
    /// Empty unless they were asked for.
    pub last_lines: String,
}

/// What an attempt wrote since some place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    pub pieces: Vec<(Stream, Vec<u8>)>,
    /// Where the next read begins: counts the bytes of both streams.
    pub next: u64,
}

impl Segments {
    /// Writes into `directory`, in files of its own behind all that are there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let last = super::read::segments_in(directory)?.last().copied().unwrap_or(0);
        let inner = Inner {
            directory: directory.to_owned(),
            current: last + 1,
            open: HashMap::new(),
            attempts: HashMap::new(),
            stuck: false,
        };
        Ok(Segments { inner: Mutex::new(inner) })
    }

    /// Where the segments lie, for whoever reads them.
    pub fn directory(&self) -> PathBuf {
        self.lock().directory.clone()
    }

    pub fn begin(&self, fence: Fence) {
        let attempt = Attempt {
            body: Body::new(fence),
            segment: None,
            chunks: Vec::new(),
            stored: 0,
            dropped: 0,
        };
        self.lock().attempts.insert(fence, attempt);
    }

    pub fn append(&self, fence: Fence, stream: Stream, bytes: &[u8]) {
        let mut inner = self.lock();
        for bytes in bytes.chunks(CHUNK_BYTES) {
            let Some(attempt) = inner.attempts.get_mut(&fence) else { return };
            attempt.body.push(stream, bytes);
            if attempt.body.len() >= CHUNK_BYTES {
                inner.seal(fence);
            }
        }
    }

    /// No more will come of this attempt. `dropped` were read from it and not appended.
    pub fn finish(&self, fence: Fence, dropped: u64, with_last_lines: bool) -> Finished {
        let mut inner = self.lock();
        let tail = if with_last_lines { inner.tail(fence) } else { Tail::default() };
        inner.seal(fence);
        let Some(attempt) = inner.attempts.remove(&fence) else { return Finished::default() };
        if let Some(segment) = attempt.segment.and_then(|number| inner.open.get_mut(&number)) {
            segment.attempts -= 1;
        }
        Finished { place: attempt.place(dropped), last_lines: tail.lines() }
    }

    /// Writes what is sealed. Before an outcome leaves, so that its place can be read.
    pub fn write(&self) {
        self.lock().write_all();
    }

    /// Seals and writes all that waits in memory, also of attempts that go on: now and then, so
    /// that a worker that is killed leaves what its tasks had said.
    pub fn checkpoint(&self) {
        let mut inner = self.lock();
        let waiting = inner.attempts.iter().filter(|(_, attempt)| !attempt.body.is_empty());
        let waiting: Vec<Fence> = waiting.map(|(fence, _)| *fence).collect();
        for fence in waiting {
            inner.seal(fence);
        }
        inner.write_all();
    }

    /// What an attempt that still runs wrote behind its first `from` bytes, about `most` of them
    /// at a time; None if it does not run: then its outcome says where its bytes lie.
    pub fn read_live(
        &self,
        fence: Fence,
        from: u64,
        most: usize,
    ) -> Result<Option<Live>, LogError> {
        self.lock().read_live(fence, from, most)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here is half done when something panics: the bytes are the worst of it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    fn place(&self, dropped: u64) -> Option<LogPlace> {
        let dropped = self.dropped + dropped;
        let (Some(segment), Some((first, _)), Some((last, length))) =
            (self.segment, self.chunks.first(), self.chunks.last())
        else {
            return (dropped > 0).then(|| LogPlace {
                fence: self.body.fence(),
                dropped,
                ..LogPlace::default()
            });
        };
        let length = last + u64::from(*length) - first;
        Some(LogPlace { fence: self.body.fence(), segment, offset: *first, length, dropped })
    }
}

impl Inner {
    /// Makes a chunk of what waits of one attempt.
    fn seal(&mut self, fence: Fence) {
        let Some(attempt) = self.attempts.get_mut(&fence) else { return };
        if attempt.body.is_empty() {
            return;
        }
        let number = match attempt.segment {
            Some(number) => number,
            None => match open_for_attempt(&self.directory, &mut self.current, &mut self.open) {
                Ok(number) => number,
                Err(error) => {
                    self.complain(&error);
                    self.drop_body(fence);
                    return;
                }
            },
        };
        let Some(segment) = self.open.get_mut(&number) else { return };
        if segment.pending.len() >= STUCK_BYTES_MAX {
            self.drop_body(fence);
            return;
        }
        if attempt.segment.replace(number).is_none() {
            segment.attempts += 1;
        }
        let offset = segment.written + segment.pending.len() as u64;
        attempt.stored += attempt.body.payload;
        let length = attempt.body.seal_into(&mut segment.pending);
        attempt.chunks.push((offset, length));
        if segment.pending.len() >= PENDING_BYTES {
            self.write_all();
        }
    }

    fn drop_body(&mut self, fence: Fence) {
        if let Some(attempt) = self.attempts.get_mut(&fence) {
            attempt.dropped += attempt.body.payload;
            attempt.body = Body::new(fence);
        }
    }

    fn write_all(&mut self) {
        let mut failed = None;
        for segment in self.open.values_mut().filter(|segment| !segment.pending.is_empty()) {
            match segment.file.write_all_at(&segment.pending, segment.written) {
                Ok(()) => {
                    segment.written += segment.pending.len() as u64;
                    segment.pending.clear();
                    segment.pending.shrink_to(PENDING_BYTES);
                }
                // Kept, and written over the torn try next time.
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => self.complain(&error),
            None => self.stuck = false,
        }
        let current = self.current;
        self.open.retain(|number, segment| {
            *number == current || segment.attempts > 0 || !segment.pending.is_empty()
        });
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.stuck, true) {
            let directory = self.directory.display();
            error!("cannot write logs to {directory}: {error}; kept in memory while there is room");
        }
    }

    fn tail(&self, fence: Fence) -> Tail {
        let mut tail = Tail::default();
        let Some(attempt) = self.attempts.get(&fence) else { return tail };
        if attempt.body.len() < CHUNK_BYTES / 4
            && let (Some(chunk), Some(segment)) = (attempt.chunks.last(), attempt.segment)
            && let Ok(bytes) = self.chunk(segment, *chunk)
            && let Ok((_, pieces, _)) = chunk::open_first(&bytes)
        {
            pieces.for_each(|(stream, bytes)| tail.push(stream, bytes));
        }
        attempt.body.pieces().for_each(|(stream, bytes)| tail.push(stream, bytes));
        tail
    }

    fn read_live(&self, fence: Fence, from: u64, most: usize) -> Result<Option<Live>, LogError> {
        let Some(attempt) = self.attempts.get(&fence) else { return Ok(None) };
        let mut live = Live { pieces: Vec::new(), next: from };
        let mut place = 0;
        if from < attempt.stored {
            let segment = attempt.segment.unwrap_or(0);
            for chunk in &attempt.chunks {
                let bytes = self.chunk(segment, *chunk)?;
                let (_, pieces, _) =
                    chunk::open_first(&bytes).map_err(|error| LogError::Damaged(segment, error))?;
                pieces.for_each(|(stream, bytes)| live.take(stream, bytes, &mut place));
                if live.next - from >= most as u64 {
                    return Ok(Some(live));
                }
            }
        }
        place = attempt.stored;
        attempt.body.pieces().for_each(|(stream, bytes)| live.take(stream, bytes, &mut place));
        Ok(Some(live))
    }

    fn chunk(&self, number: u32, (offset, length): (u64, u32)) -> Result<Vec<u8>, LogError> {
        let Some(segment) = self.open.get(&number) else { return Err(LogError::Gone(number)) };
        let length = length as usize;
        if offset >= segment.written {
            let start = (offset - segment.written) as usize;
            return Ok(segment.pending[start..start + length].to_vec());
        }
        let mut bytes = vec![0; length];
        segment.file.read_exact_at(&mut bytes, offset).map_err(LogError::Read)?;
        Ok(bytes)
    }
}

impl Live {
    /// The part of a piece at `place` that lies behind what was read before.
    fn take(&mut self, stream: Stream, bytes: &[u8], place: &mut u64) {
        let skipped = usize::try_from(self.next.saturating_sub(*place)).unwrap_or(usize::MAX);
        *place += bytes.len() as u64;
        if let Some(new @ [_, ..]) = bytes.get(skipped..) {
            self.pieces.push((stream, new.to_vec()));
            self.next = *place;
        }
    }
}

/// The segment in which a new attempt begins.
fn open_for_attempt(
    directory: &Path,
    current: &mut u32,
    open: &mut HashMap<u32, Segment>,
) -> io::Result<u32> {
    let full = |segment: &Segment| segment.written + segment.pending.len() as u64 >= SEGMENT_BYTES;
    if open.get(current).is_some_and(full) {
        *current += 1;
    }
    if !open.contains_key(current) {
        let path = segment_path(directory, *current);
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let segment = Segment { file, written: 0, pending: Vec::new(), attempts: 0 };
        open.insert(*current, segment);
    }
    Ok(*current)
}

#[cfg(test)]
mod tests;
