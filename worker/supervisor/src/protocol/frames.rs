//! Frames as they are cut from a stream of bytes that arrives in any pieces.

use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::Malformed;
use crate::bounds::FRAME_BYTES_MAX;

/// Room that is offered to each read.
const READ_ROOM: usize = 64 << 10;

/// Bytes that have arrived and are not yet taken as frames.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// One read; how many bytes came, 0 at the end of the stream.
    pub fn read_from(&mut self, source: impl AsFd) -> Result<usize, Errno> {
        self.make_room();
        rustix::io::read(source, spare_capacity(&mut self.bytes))
    }

    #[cfg(test)]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.make_room();
        self.bytes.extend_from_slice(bytes);
    }

    /// The body of the next whole frame: version, kind, fields.
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(head) = self.bytes[self.taken..].first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Malformed::TooLong { bytes: length });
        }
        let start = self.taken + 4;
        if self.bytes.len() - start < length {
            return Ok(None);
        }
        self.taken = start + length;
        Ok(Some(&self.bytes[start..start + length]))
    }

    fn make_room(&mut self) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            // What a large frame once needed is not kept for ever.
            self.bytes.shrink_to(4 * READ_ROOM);
        } else if self.taken > 0 {
            self.bytes.drain(..self.taken);
        }
        self.taken = 0;
        self.bytes.reserve(READ_ROOM);
    }
}
