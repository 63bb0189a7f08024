//! The words of a snapshot: numbers, texts, views and tables, packed into checksummed chunks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use dagmar_common::envelope::{self, EnvelopeError, Kind};
use dagmar_common::ids::Digest;
use dagmar_common::value::Value;
use dagmar_common::view::View;

use crate::state::run::SharedGraph;

pub(super) const VERSION: u16 = 1;
/// Of one chunk in its envelope.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Number of the chunk, and whether it is the last.
const CHUNK_HEAD_BYTES: usize = 5;
/// Views are balanced: one of a million names is some fifty deep.
const VIEW_DEPTH_MAX: u32 = 512;
/// Shorter texts are written again rather than shared.
const SHARED_TEXT_BYTES_MIN: usize = 16;

/// Why a snapshot cannot be restored. None of it is ever guessed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreError {
    Envelope(EnvelopeError),
    /// A chunk is missing, comes twice, or in another order.
    Order {
        expected: u32,
        found: u32,
    },
    /// The chunks end before the state does.
    Truncated,
    /// The checksums hold and the content does not: written by another program.
    Malformed(&'static str),
    Graph(String),
}

/// How one thing stands in a snapshot.
pub(crate) trait Pack: Sized {
    fn pack(&self, out: &mut Writer<'_>);
    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError>;
}

/// Takes words and gives chunks. The first error of the sink ends all writing.
pub(crate) struct Writer<'a> {
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    buffer: Vec<u8>,
    chunks: u32,
    digests: Vec<u8>,
    failed: io::Result<()>,
    /// What was written already, by identity: shared parts are written once.
    views: BTreeMap<usize, u32>,
    texts: BTreeMap<usize, u32>,
}

impl<'a> Writer<'a> {
    pub fn new(sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>) -> Self {
        Writer {
            sink,
            buffer: Vec::with_capacity(CHUNK_BYTES_MAX),
            chunks: 0,
            digests: Vec::new(),
            failed: Ok(()),
            views: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    #[inline]
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.buffer.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.buffer.push(number as u8);
        self.flush_if_full();
    }

    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for part in bytes.chunks(CHUNK_BYTES_MAX / 2) {
            self.buffer.extend_from_slice(part);
            self.flush_if_full();
        }
    }

    pub fn text(&mut self, text: &str) {
        if text.len() < SHARED_TEXT_BYTES_MIN {
            self.number(text.len() as u64 + 1);
            self.buffer.extend_from_slice(text.as_bytes());
            return;
        }
        let next = self.texts.len() as u32;
        let known = *self.texts.entry(text.as_ptr() as usize).or_insert(next);
        if known != next {
            self.number(0);
            self.number(u64::from(known));
        } else {
            self.number(text.len() as u64 + 1);
            for part in text.as_bytes().chunks(CHUNK_BYTES_MAX / 2) {
                self.buffer.extend_from_slice(part);
                self.flush_if_full();
            }
        }
    }

    fn flush_if_full(&mut self) {
        if self.buffer.len() >= CHUNK_BYTES_MAX / 2 {
            self.flush(false);
        }
    }

    fn flush(&mut self, is_last: bool) {
        let room = CHUNK_BYTES_MAX - envelope::HEAD_BYTES - CHUNK_HEAD_BYTES;
        let length = self.buffer.len().min(room);
        let mut body = Vec::with_capacity(length + CHUNK_HEAD_BYTES);
        body.extend_from_slice(&self.chunks.to_le_bytes());
        body.push(u8::from(is_last));
        body.extend(self.buffer.drain(..length));
        self.chunks += 1;
        if self.failed.is_ok() {
            let sealed = envelope::seal(Kind::SnapshotChunk, VERSION, &body);
            self.digests.extend_from_slice(&Digest::of(&sealed).0);
            self.failed = (self.sink)(&sealed);
        }
    }

    /// The last chunk; the hash of the hashes of all.
    pub fn finish(mut self) -> io::Result<Digest> {
        self.flush(true);
        self.failed.map(|()| Digest::of(&self.digests))
    }
}

/// Takes chunks and gives words.
pub(crate) struct Reader<'a> {
    source: &'a mut dyn FnMut() -> Option<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    chunks: u32,
    is_last: bool,
    views: Vec<View>,
    texts: Vec<Arc<str>>,
    pub graphs: BTreeMap<Digest, Arc<SharedGraph>>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a mut dyn FnMut() -> Option<Vec<u8>>) -> Self {
        Reader {
            source,
            chunk: Vec::new(),
            at: 0,
            chunks: 0,
            is_last: false,
            views: Vec::new(),
            texts: Vec::new(),
            graphs: BTreeMap::new(),
        }
    }

    fn next_chunk(&mut self) -> Result<(), RestoreError> {
        if self.is_last {
            return Err(RestoreError::Truncated);
        }
        self.chunk = (self.source)().ok_or(RestoreError::Truncated)?;
        let (_, body) = envelope::open(Kind::SnapshotChunk, VERSION, &self.chunk)
            .map_err(RestoreError::Envelope)?;
        let Some((&[a, b, c, d, is_last], rest)) = body.split_first_chunk() else {
            return Err(RestoreError::Malformed("a chunk without its head"));
        };
        let found = u32::from_le_bytes([a, b, c, d]);
        if found != self.chunks {
            return Err(RestoreError::Order { expected: self.chunks, found });
        }
        self.chunks += 1;
        self.is_last = is_last != 0;
        self.at = self.chunk.len() - rest.len();
        Ok(())
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RestoreError> {
        while self.at == self.chunk.len() {
            self.next_chunk()?;
        }
        self.at += 1;
        Ok(self.chunk[self.at - 1])
    }

    #[inline]
    pub fn number(&mut self) -> Result<u64, RestoreError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RestoreError::Malformed("a number without end"))
    }

    pub fn signed(&mut self) -> Result<i64, RestoreError> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, RestoreError> {
        T::try_from(self.number()?).map_err(|_| RestoreError::Malformed("a number out of range"))
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, RestoreError> {
        let length = self.number()?;
        self.raw(length)
    }

    fn raw(&mut self, length: u64) -> Result<Vec<u8>, RestoreError> {
        let mut left = length as usize;
        let mut bytes = Vec::new();
        while left > 0 {
            if self.at == self.chunk.len() {
                self.next_chunk()?;
            }
            let here = left.min(self.chunk.len() - self.at);
            bytes.extend_from_slice(&self.chunk[self.at..self.at + here]);
            self.at += here;
            left -= here;
        }
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<Arc<str>, RestoreError> {
        let Some(length) = self.number()?.checked_sub(1) else {
            let known = self.number()?;
            let text = self.texts.get(known as usize).cloned();
            return text.ok_or(RestoreError::Malformed("a text that was not written before"));
        };
        let text: Arc<str> = String::from_utf8(self.raw(length)?)
            .map_err(|_| RestoreError::Malformed("a text that is none"))?
            .into();
        if text.len() >= SHARED_TEXT_BYTES_MIN {
            self.texts.push(text.clone());
        }
        Ok(text)
    }

    /// Nothing may follow.
    pub fn finish(mut self) -> Result<(), RestoreError> {
        while self.at == self.chunk.len() && !self.is_last {
            self.next_chunk()?;
        }
        if self.at == self.chunk.len() && (self.source)().is_none() {
            Ok(())
        } else {
            Err(RestoreError::Malformed("bytes are left over"))
        }
    }
}

impl Pack for View {
    fn pack(&self, out: &mut Writer<'_>) {
        let (Some(identity), Some((name, rank, value, left, right))) =
            (self.identity(), self.parts())
        else {
            return out.number(0);
        };
        if let Some(known) = out.views.get(&identity) {
            let known = u64::from(*known);
            return out.number(known + 2);
        }
        out.number(1);
        out.text(name);
        out.number(u64::from(rank));
        out.text(value.spelled());
        left.pack(out);
        right.pack(out);
        let next = out.views.len() as u32;
        out.views.insert(identity, next);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        unpack_view(from, VIEW_DEPTH_MAX)
    }
}

/// At most so deep: what is read must not decide how much of the stack it takes.
fn unpack_view(from: &mut Reader<'_>, depth: u32) -> Result<View, RestoreError> {
    match from.number()? {
        0 => Ok(View::default()),
        1 => {
            let depth =
                depth.checked_sub(1).ok_or(RestoreError::Malformed("a view deeper than any"))?;
            let (name, rank) = (from.text()?, from.small()?);
            let value = Value::unpack(from)?;
            let left = unpack_view(from, depth)?;
            let right = unpack_view(from, depth)?;
            let view = View::from_parts(name, rank, value, left, right);
            from.views.push(view.clone());
            Ok(view)
        }
        known => {
            let view = from.views.get(known as usize - 2).cloned();
            view.ok_or(RestoreError::Malformed("a view that was not written before"))
        }
    }
}

impl Pack for Value {
    fn pack(&self, out: &mut Writer<'_>) {
        out.text(self.spelled());
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        from.text().map(Value::from_spelled)
    }
}

impl Pack for Arc<str> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.text(self);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        from.text()
    }
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RestoreError::Envelope(error) => write!(f, "a chunk of the snapshot {error}"),
            RestoreError::Order { expected, found } => {
                write!(f, "chunk {found} of the snapshot stands where chunk {expected} belongs")
            }
            RestoreError::Truncated => f.write_str("the snapshot ends too early"),
            RestoreError::Malformed(what) => write!(f, "the snapshot holds {what}"),
            RestoreError::Graph(why) => write!(f, "a graph in the snapshot: {why}"),
        }
    }
}

impl std::error::Error for RestoreError {}
