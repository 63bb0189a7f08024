//! One stream of a task: read whenever it has something, kept up to a bound, the rest counted.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::bounds::READ_BYTES;
use crate::protocol::{EventBatch, Stream};

pub struct Pipe {
    stream: Stream,
    /// None once the last writer has closed it, or we have.
    file: Option<OwnedFd>,
    kept: u64,
    dropped: u64,
    /// It stands in the list of pipes that have something.
    pub queued: bool,
}

/// How a turn of reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There may be more.
    More,
    Empty,
    Closed,
}

impl Pipe {
    pub fn new(stream: Stream, file: OwnedFd) -> Self {
        Pipe { stream, file: Some(file), kept: 0, dropped: 0, queued: false }
    }

    pub fn file(&self) -> Option<&OwnedFd> {
        self.file.as_ref()
    }

    pub fn is_closed(&self) -> bool {
        self.file.is_none()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What was read of it before anybody here knew it.
    pub fn take(&mut self, fence: u64, most: u64, bytes: &[u8], out: &mut EventBatch) {
        let left = usize::try_from(most - self.kept).unwrap_or(usize::MAX);
        let (kept, dropped) = bytes.split_at(bytes.len().min(left));
        if !kept.is_empty() {
            out.output(fence, self.stream, |into| {
                into.extend_from_slice(kept);
                kept.len()
            });
        }
        self.kept += kept.len() as u64;
        self.dropped += dropped.len() as u64;
    }

    /// Reads up to `budget` bytes into `out`; of all its turns together `most` are kept.
    pub fn read(
        &mut self,
        fence: u64,
        most: u64,
        mut budget: usize,
        out: &mut EventBatch,
        waste: &mut Vec<u8>,
    ) -> Turn {
        while budget > 0 {
            let Some(file) = &self.file else { return Turn::Closed };
            let left = usize::try_from(most - self.kept).unwrap_or(usize::MAX);
            let read = if left > 0 {
                read_kept(file, self.stream, fence, left, out)
            } else {
                waste.clear();
                waste.reserve(READ_BYTES);
                rustix::io::read(file, spare_capacity(waste))
            };
            match read {
                Ok(0) => break,
                Ok(length) => {
                    self.kept += length.min(left) as u64;
                    self.dropped += length.saturating_sub(left) as u64;
                    budget = budget.saturating_sub(length);
                }
                Err(Errno::AGAIN) => return Turn::Empty,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        if budget == 0 {
            return Turn::More;
        }
        self.file = None;
        Turn::Closed
    }
}

/// Reads straight into the event that will carry the bytes, at most `left` of them; how many
/// were read in all.
fn read_kept(
    file: &OwnedFd,
    stream: Stream,
    fence: u64,
    left: usize,
    out: &mut EventBatch,
) -> Result<usize, Errno> {
    let mut result = Ok(0);
    out.output(fence, stream, |bytes| {
        let before = bytes.len();
        bytes.reserve(READ_BYTES);
        result = rustix::io::read(file, spare_capacity(bytes));
        bytes.truncate(before.saturating_add(left));
        bytes.len() - before
    });
    result
}
