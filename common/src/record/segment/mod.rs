//! The archive of a run as bytes: a manifest, and segments with the story of its nodes.

mod v1;

use thiserror::Error;

use super::{CodeIdentity, Entry, RunRecord};
use crate::envelope::{self, EnvelopeError, Kind};
use crate::ids::Digest;
use crate::limits::SEGMENT_BYTES_MAX;

/// What the archive of one generation of a run consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub record: RunRecord,
    /// What the pipeline calls itself, or its file.
    pub pipeline: String,
    pub code: Vec<CodeIdentity>,
    /// In the order of the story.
    pub segments: Vec<SegmentName>,
    /// The workers' log segments that the records point into.
    pub logs: Vec<String>,
    /// The version of the program that wrote it.
    pub program: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentName {
    /// Of the whole file, envelope included.
    pub digest: Digest,
    pub bytes: u64,
    pub entries: u32,
}

/// Why stored bytes are not a part of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("is another file than the one that was written: {found:.12} where {expected:.12} was")]
    OtherContent { expected: Digest, found: Digest },
    #[error("does not decode: {0}")]
    Form(String),
}

const MANIFEST_VERSION: u16 = 1;
const SEGMENT_VERSION: u16 = 1;

pub fn seal_manifest(manifest: &Manifest) -> Result<Vec<u8>, Unreadable> {
    let mut body = Vec::new();
    v1::encode_manifest(manifest, &mut body)?;
    Ok(envelope::seal(Kind::Manifest, MANIFEST_VERSION, &body))
}

pub fn open_manifest(bytes: &[u8]) -> Result<Manifest, Unreadable> {
    let (_, body) = envelope::open(Kind::Manifest, MANIFEST_VERSION, bytes)?;
    v1::decode_manifest(body)
}

/// Cuts a story into segments.
#[derive(Debug, Default)]
pub struct SegmentWriter {
    body: Vec<u8>,
    entries: u32,
    scratch: Vec<u8>,
}

impl SegmentWriter {
    /// Takes one entry; the segment that it no longer fitted into, when there is one.
    ///
    /// An entry that is larger than a segment by itself gets one of its own.
    pub fn push(&mut self, entry: &Entry) -> Result<Option<(SegmentName, Vec<u8>)>, Unreadable> {
        self.scratch.clear();
        v1::encode_entry(entry, &mut self.scratch)?;
        let room = SEGMENT_BYTES_MAX - envelope::HEAD_BYTES;
        let is_full = self.entries > 0 && self.body.len() + self.scratch.len() > room;
        let full = if is_full { self.finish() } else { None };
        self.body.extend_from_slice(&self.scratch);
        self.entries += 1;
        Ok(full)
    }

    pub fn finish(&mut self) -> Option<(SegmentName, Vec<u8>)> {
        if self.entries == 0 {
            return None;
        }
        let bytes = envelope::seal(Kind::Segment, SEGMENT_VERSION, &self.body);
        let digest = Digest::of(&bytes);
        let name = SegmentName { digest, bytes: bytes.len() as u64, entries: self.entries };
        self.body.clear();
        self.entries = 0;
        Some((name, bytes))
    }
}

/// Whether `bytes` are the segment of this name; looks at every byte, decodes nothing.
pub fn verify_segment(name: &SegmentName, bytes: &[u8]) -> Result<(), Unreadable> {
    let found = Digest::of(bytes);
    if found == name.digest {
        Ok(())
    } else {
        Err(Unreadable::OtherContent { expected: name.digest, found })
    }
}

/// Calls `visit` with each entry of one segment, after the whole of it was verified.
pub fn read_segment<E: From<Unreadable>>(
    name: &SegmentName,
    bytes: &[u8],
    visit: &mut dyn FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    verify_segment(name, bytes)?;
    let opened = envelope::open(Kind::Segment, SEGMENT_VERSION, bytes);
    let (_, mut body) = opened.map_err(|error| E::from(Unreadable::from(error)))?;
    while !body.is_empty() {
        let (entry, taken) = v1::decode_entry(body)?;
        body = &body[taken..];
        visit(entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
