//! One chunk of a log segment: pieces of both streams that one attempt wrote, in an envelope.
//!
//! Version 1 of its body: `fence u64`, then any number of `stream u8 | length u32 | bytes`,
//! little-endian; stream 1 is stdout, 2 is stderr.

use dagmar_common::envelope::{self, EnvelopeError, Kind};
use dagmar_common::ids::Fence;

use super::Stream;

const VERSION: u16 = 1;
const FENCE_BYTES: usize = 8;
const PIECE_HEAD_BYTES: usize = 5;

/// Pieces of one attempt that are not in a segment yet: the body of its next chunk.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    /// Where the head of the last piece begins, and its stream.
    last: Option<(usize, Stream)>,
    /// Of all pieces, without heads.
    pub payload: u64,
}

impl Body {
    pub fn new(fence: Fence) -> Self {
        Body { bytes: fence.0.to_le_bytes().to_vec(), last: None, payload: 0 }
    }

    pub fn fence(&self) -> Fence {
        Fence(self.bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    pub fn is_empty(&self) -> bool {
        self.payload == 0
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the stream that wrote last are added to its piece.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let head = match self.last {
            Some((head, last)) if last == stream => head,
            _ => {
                let head = self.bytes.len();
                self.bytes.push(number_of(stream));
                self.bytes.extend([0; 4]);
                self.last = Some((head, stream));
                head
            }
        };
        self.bytes.extend_from_slice(bytes);
        let length = (self.bytes.len() - head - PIECE_HEAD_BYTES) as u32;
        self.bytes[head + 1..head + PIECE_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
        self.payload += bytes.len() as u64;
    }

    /// Seals what is there into `out` and begins anew; how many bytes the chunk has.
    pub fn seal_into(&mut self, out: &mut Vec<u8>) -> u32 {
        let before = out.len();
        envelope::seal_into(Kind::LogChunk, VERSION, &self.bytes, out);
        self.bytes.truncate(FENCE_BYTES);
        self.bytes.shrink_to(4 << 10);
        self.last = None;
        self.payload = 0;
        (out.len() - before) as u32
    }

    pub fn pieces(&self) -> Pieces<'_> {
        Pieces(&self.bytes[FENCE_BYTES..])
    }
}

/// The first chunk in `bytes`: whose it is, its pieces, and what follows it.
pub fn open_first(bytes: &[u8]) -> Result<(Fence, Pieces<'_>, &[u8]), EnvelopeError> {
    let (_, body, rest) = envelope::open_first(Kind::LogChunk, VERSION, bytes)?;
    let Some((fence, pieces)) = body.split_first_chunk() else {
        return Err(EnvelopeError::Foreign);
    };
    Ok((Fence(u64::from_le_bytes(*fence)), Pieces(pieces), rest))
}

/// Pieces in the order in which they were read from the task.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = (Stream, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<PIECE_HEAD_BYTES>()?;
        let [stream, length @ ..] = *head;
        let stream =
            if stream == number_of(Stream::Stderr) { Stream::Stderr } else { Stream::Stdout };
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
        self.0 = rest;
        Some((stream, bytes))
    }
}

fn number_of(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_their_order_and_one_stream_makes_one_piece() {
        let mut body = Body::new(Fence(5));
        body.push(Stream::Stdout, b"a");
        body.push(Stream::Stdout, b"b\n");
        body.push(Stream::Stderr, b"oh");
        body.push(Stream::Stdout, b"c");
        assert_eq!(body.payload, 6);
        let mut out = b"before".to_vec();
        let length = body.seal_into(&mut out) as usize;
        assert_eq!(out.len(), 6 + length);
        assert!(body.is_empty());
        out.extend(b"after");
        let (fence, pieces, rest) = open_first(&out[6..]).unwrap();
        let expected: [(Stream, &[u8]); 3] =
            [(Stream::Stdout, b"ab\n"), (Stream::Stderr, b"oh"), (Stream::Stdout, b"c")];
        assert_eq!((fence, pieces.collect::<Vec<_>>()), (Fence(5), expected.to_vec()));
        assert_eq!(rest, b"after");
    }

    /// The stored form is frozen: these bytes are read by every later version.
    #[test]
    fn the_bytes_of_version_1_stand() {
        let mut body = Body::new(Fence(0x0102));
        body.push(Stream::Stderr, b"x");
        let mut out = Vec::new();
        body.seal_into(&mut out);
        let golden = [
            &b"DGM1"[..],
            &[12, 0, 1, 0, 14, 0, 0, 0],
            &[31, 229, 98, 6],
            &[2, 1, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, b'x'],
        ]
        .concat();
        assert_eq!(out, golden);
    }
}
