//! The envelope around everything of ours that is stored: magic, kind, version, length, checksum.

use thiserror::Error;

/// Bytes before the body.
pub const HEAD_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"DGM1";

/// What lies in an envelope. Numbers are never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// One entry of the replicated log.
    Batch = 1,
    /// Raft's hard state.
    HardState = 2,
    /// Raft's configuration and who owns this log.
    Membership = 3,
    /// One chunk of a snapshot of the state.
    SnapshotChunk = 4,
    /// The head of a snapshot: what its chunks are.
    SnapshotHead = 5,
    /// The `highest_durable` file.
    Watermark = 6,
    /// A segment of a run's archive.
    Segment = 7,
    /// The manifest of a run's archive.
    Manifest = 8,
    /// A worker's record of a start or an exit.
    WorkerRecord = 9,
    /// One piece of a raft entry as the log keeps it.
    LogEntry = 10,
    /// The canonical bytes of a graph in a run's archive.
    Graph = 11,
    /// Bytes that one attempt wrote, in a worker's log segment.
    LogChunk = 12,
}

impl Kind {
    fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Kind::Batch,
            2 => Kind::HardState,
            3 => Kind::Membership,
            4 => Kind::SnapshotChunk,
            5 => Kind::SnapshotHead,
            6 => Kind::Watermark,
            7 => Kind::Segment,
            8 => Kind::Manifest,
            9 => Kind::WorkerRecord,
            10 => Kind::LogEntry,
            11 => Kind::Graph,
            12 => Kind::LogChunk,
            _ => return None,
        })
    }
}

/// Why bytes are not the envelope that was expected. Only `Torn` can be an unfinished write, and it
/// is nothing else: a length that was damaged is told from a body that did not come.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    #[error("ends after {have} of {need} bytes")]
    Torn { have: usize, need: usize },
    #[error("does not begin as a file of Dagmar")]
    Foreign,
    #[error("has checksum {found:08x} where {expected:08x} is written")]
    Corrupt { expected: u32, found: u32 },
    #[error("holds kind {found} where kind {expected} belongs")]
    OtherKind { expected: u16, found: u16 },
    #[error("is version {found} of kind {kind}; this program knows up to {known}")]
    Newer { kind: u16, found: u16, known: u16 },
}

/// `body` in its envelope, appended to `out`.
pub fn seal_into(kind: Kind, version: u16, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(kind as u16).to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let sum = checksum(&out[start..], body);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(body);
}

pub fn seal(kind: Kind, version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + body.len());
    seal_into(kind, version, body, &mut out);
    out
}

/// The version and body of one envelope that fills `bytes` exactly.
pub fn open(kind: Kind, known: u16, bytes: &[u8]) -> Result<(u16, &[u8]), EnvelopeError> {
    let (version, body, rest) = open_first(kind, known, bytes)?;
    if rest.is_empty() { Ok((version, body)) } else { Err(EnvelopeError::Foreign) }
}

/// The first of several envelopes in a row, and what follows it.
pub fn open_first(
    kind: Kind,
    known: u16,
    bytes: &[u8],
) -> Result<(u16, &[u8], &[u8]), EnvelopeError> {
    let magic = &bytes[..bytes.len().min(4)];
    if !MAGIC.starts_with(magic) {
        return Err(EnvelopeError::Foreign);
    }
    if bytes.len() < HEAD_BYTES {
        return Err(EnvelopeError::Torn { have: bytes.len(), need: HEAD_BYTES });
    }
    let number =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (found_kind, version) = (number(4) as u16, (number(4) >> 16) as u16);
    let need = HEAD_BYTES.saturating_add(number(8) as usize);
    let expected = number(12);
    let Some(body) = bytes.get(HEAD_BYTES..need) else {
        return Err(match sum_at_another_length(bytes, expected) {
            Some(found) => EnvelopeError::Corrupt { expected, found },
            None => EnvelopeError::Torn { have: bytes.len(), need },
        });
    };
    let found = checksum(&bytes[..12], body);
    if expected != found {
        return Err(EnvelopeError::Corrupt { expected, found });
    }
    if Kind::from_number(found_kind) != Some(kind) {
        return Err(EnvelopeError::OtherKind { expected: kind as u16, found: found_kind });
    }
    if version > known || version == 0 {
        return Err(EnvelopeError::Newer { kind: found_kind, found: version, known });
    }
    Ok((version, body, &bytes[need..]))
}

/// An envelope that says that it is longer than what is there, and is whole at another length: then
/// its length is damaged, and what follows it is no less there. What its checksum is as it stands.
fn sum_at_another_length(bytes: &[u8], expected: u32) -> Option<u32> {
    let (head, rest) = (&bytes[..8], &bytes[HEAD_BYTES..]);
    let (mut body_sum, mut summed) = (0, 0);
    for end in (0..=rest.len()).filter(|end| begins_another(&rest[*end..])) {
        body_sum = crc32c::crc32c_append(body_sum, &rest[summed..end]);
        summed = end;
        let length = (end as u32).to_le_bytes();
        let head_sum = crc32c::crc32c_append(crc32c::crc32c(head), &length);
        if crc32c::crc32c_combine(head_sum, body_sum, end) == expected {
            return Some(checksum(&bytes[..12], rest));
        }
    }
    None
}

/// Nothing, or an envelope as far as it is there.
fn begins_another(rest: &[u8]) -> bool {
    MAGIC.starts_with(&rest[..rest.len().min(MAGIC.len())])
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let sealed = seal(Kind::Manifest, 1, b"what was run");
        assert_eq!(open(Kind::Manifest, 1, &sealed), Ok((1, &b"what was run"[..])));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = open(Kind::Manifest, 1, &damaged).expect_err("it is damaged");
            assert!(!matches!(error, EnvelopeError::Torn { .. }), "bit {bit}: {error}");
        }
        for length in 0..sealed.len() {
            let torn = open(Kind::Manifest, 1, &sealed[..length]);
            assert!(matches!(torn, Err(EnvelopeError::Torn { .. })), "cut at {length}");
        }
    }

    /// Appended one after another, each flip is damage and each cut is an unfinished write.
    #[test]
    fn a_damaged_length_is_told_from_an_unfinished_write() {
        let mut row = Vec::new();
        let bodies: [&[u8]; 4] = [b"one", b"", b"a third, with DGM1 in it", b"four"];
        bodies.iter().for_each(|body| seal_into(Kind::LogChunk, 1, body, &mut row));
        let read = |mut bytes: &[u8]| -> Result<usize, EnvelopeError> {
            let mut count = 0;
            while !bytes.is_empty() {
                bytes = open_first(Kind::LogChunk, 1, bytes)?.2;
                count += 1;
            }
            Ok(count)
        };
        for length in 0..row.len() {
            let torn = |error| matches!(error, EnvelopeError::Torn { .. });
            let cut = read(&row[..length]);
            assert!(cut.clone().map_or_else(torn, |count| count < 4), "cut at {length}: {cut:?}");
            // Damage before a torn end is damage all the same.
            for bit in 0..(length.min(HEAD_BYTES + 3)) * 8 {
                let mut damaged = row[..length].to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let error = read(&damaged).expect_err("it is damaged");
                let is_told = length < HEAD_BYTES + 3 || !torn(error.clone());
                assert!(is_told, "bit {bit}, cut at {length}: {error}");
            }
        }
        for bit in 0..row.len() * 8 {
            let mut damaged = row.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged).expect_err("it is damaged");
            assert!(!matches!(error, EnvelopeError::Torn { .. }), "bit {bit}: {error}");
        }
    }

    #[test]
    fn another_kind_or_a_newer_version_is_named() {
        let sealed = seal(Kind::Segment, 2, b"");
        assert!(matches!(open(Kind::Manifest, 2, &sealed), Err(EnvelopeError::OtherKind { .. })));
        assert!(matches!(open(Kind::Segment, 1, &sealed), Err(EnvelopeError::Newer { .. })));
    }
}
