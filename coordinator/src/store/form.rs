//! The stored forms of the log, its snapshots and its watermark: the only place that knows them.
//!
//! Numbers are little-endian. A version that was ever written is frozen: a change is a new
//! version beside it, and the golden bytes below stay.

use bytes::Bytes;
use dagmar_common::envelope::{self, EnvelopeError, Kind};
use dagmar_common::ids::{ClusterId, Digest, LogIndex, ReplicaId, StorageId, Term};
use dagmar_replica::durable::EntryKind;
use dagmar_replica::{HardState, LogEntry, Membership, SnapshotMeta};

const VERSION: u16 = 1;
/// More members of one kind are damage.
const MEMBERS_MAX: u32 = 1_000;

/// Whose log this is. A replica that finds another storage than its own has lost its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub cluster: ClusterId,
    pub replica: ReplicaId,
    pub storage: StorageId,
}

/// The hard state, and what else every write of the log says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) hard_state: HardState,
    /// Counts the writes of this log; it never goes back, as an index may.
    pub(super) sequence: u64,
    /// The log holds all of these, or it is damaged. Nothing where `last` is before `first`.
    pub(super) first: LogIndex,
    pub(super) last: LogIndex,
}

/// Whose log it is, and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Foundation {
    pub(super) owner: Owner,
    pub(super) base: SnapshotMeta,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotHead {
    pub(super) cluster: ClusterId,
    pub(super) meta: SnapshotMeta,
    pub(super) chunks: u32,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

/// The furthest write that was ever acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    pub(super) storage: StorageId,
    pub(super) sequence: u64,
    pub(super) last: LogIndex,
}

/// A form and where it is written.
pub(super) trait Form: Sized {
    const KIND: Kind;
    fn write(&self, out: &mut Vec<u8>);
    fn read(from: &mut Reader<'_>) -> Option<Self>;

    fn sealed(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.write(&mut body);
        envelope::seal(Self::KIND, VERSION, &body)
    }

    fn opened(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let (_, body) = envelope::open(Self::KIND, VERSION, bytes)?;
        let mut reader = Reader(body);
        // Sealed by us and yet not of our form: a program that did not raise the version.
        Self::read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(EnvelopeError::Foreign)
    }
}

impl Form for State {
    const KIND: Kind = Kind::HardState;

    fn write(&self, out: &mut Vec<u8>) {
        let HardState { term, vote, commit } = self.hard_state;
        let vote = vote.map_or(0, |id| id.0);
        for number in [term.0, vote, commit.0, self.sequence, self.first.0, self.last.0] {
            put_u64(out, number);
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let term = Term(from.u64()?);
        let vote = Some(ReplicaId(from.u64()?)).filter(|id| id.0 != 0);
        let hard_state = HardState { term, vote, commit: LogIndex(from.u64()?) };
        let sequence = from.u64()?;
        let (first, last) = (LogIndex(from.u64()?), LogIndex(from.u64()?));
        Some(State { hard_state, sequence, first, last })
    }
}

impl Form for Foundation {
    const KIND: Kind = Kind::Membership;

    fn write(&self, out: &mut Vec<u8>) {
        let Owner { cluster, replica, storage } = self.owner;
        out.extend_from_slice(&cluster.0.to_le_bytes());
        put_u64(out, replica.0);
        out.extend_from_slice(&storage.0.to_le_bytes());
        put_meta(out, &self.base);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let cluster = ClusterId(from.u128()?);
        let replica = ReplicaId(from.u64()?);
        let storage = StorageId(from.u128()?);
        Some(Foundation { owner: Owner { cluster, replica, storage }, base: from.meta()? })
    }
}

impl Form for SnapshotHead {
    const KIND: Kind = Kind::SnapshotHead;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cluster.0.to_le_bytes());
        put_meta(out, &self.meta);
        out.extend_from_slice(&self.chunks.to_le_bytes());
        put_u64(out, self.bytes);
        out.extend_from_slice(&self.digest.0);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let cluster = ClusterId(from.u128()?);
        let meta = from.meta()?;
        let (chunks, bytes) = (from.u32()?, from.u64()?);
        Some(SnapshotHead { cluster, meta, chunks, bytes, digest: Digest(from.array()?) })
    }
}

impl Form for Watermark {
    const KIND: Kind = Kind::Watermark;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.storage.0.to_le_bytes());
        put_u64(out, self.sequence);
        put_u64(out, self.last.0);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let storage = StorageId(from.u128()?);
        Some(Watermark { storage, sequence: from.u64()?, last: LogIndex(from.u64()?) })
    }
}

/// An entry, its data as it came; `out` is used again from entry to entry.
pub(super) fn seal_entry(entry: &LogEntry, body: &mut Vec<u8>, out: &mut Vec<u8>) {
    body.clear();
    put_u64(body, entry.index.0);
    put_u64(body, entry.term.0);
    body.push(entry.kind as u8);
    body.extend_from_slice(&entry.data);
    out.clear();
    envelope::seal_into(Kind::LogEntry, VERSION, body, out);
}

pub(super) fn open_entry(bytes: &[u8]) -> Result<LogEntry, EnvelopeError> {
    let (_, body) = envelope::open(Kind::LogEntry, VERSION, bytes)?;
    let mut reader = Reader(body);
    let read = |reader: &mut Reader<'_>| {
        let (index, term) = (LogIndex(reader.u64()?), Term(reader.u64()?));
        let kind = EntryKind::from_number(u8::from_le_bytes(reader.array()?))?;
        Some(LogEntry { index, term, kind, data: Bytes::copy_from_slice(reader.0) })
    };
    read(&mut reader).ok_or(EnvelopeError::Foreign)
}

/// Chunks are numbered, so that one in the wrong place is seen at once.
pub(super) fn seal_chunk(number: u32, chunk: &[u8], body: &mut Vec<u8>, out: &mut Vec<u8>) {
    body.clear();
    body.extend_from_slice(&number.to_le_bytes());
    body.extend_from_slice(chunk);
    out.clear();
    envelope::seal_into(Kind::SnapshotChunk, VERSION, body, out);
}

pub(super) fn open_chunk(number: u32, bytes: &[u8]) -> Result<&[u8], EnvelopeError> {
    let (_, body) = envelope::open(Kind::SnapshotChunk, VERSION, bytes)?;
    let mut reader = Reader(body);
    match reader.u32() {
        Some(found) if found == number => Ok(reader.0),
        _ => Err(EnvelopeError::Foreign),
    }
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_meta(out: &mut Vec<u8>, meta: &SnapshotMeta) {
    put_u64(out, meta.index.0);
    put_u64(out, meta.term.0);
    for members in [&meta.membership.voters, &meta.membership.learners] {
        out.extend_from_slice(&(members.len() as u32).to_le_bytes());
        for id in members {
            put_u64(out, id.0);
        }
    }
}

/// What of a body is not read yet.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    fn members(&mut self) -> Option<Vec<ReplicaId>> {
        let count = self.u32().filter(|count| *count <= MEMBERS_MAX)?;
        (0..count).map(|_| self.u64().map(ReplicaId)).collect()
    }

    fn meta(&mut self) -> Option<SnapshotMeta> {
        let (index, term) = (LogIndex(self.u64()?), Term(self.u64()?));
        let membership = Membership { voters: self.members()?, learners: self.members()? };
        Some(SnapshotMeta { index, term, membership })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Debug;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn check<F: Form + PartialEq + Debug>(form: &F, golden: &str) {
        let sealed = form.sealed();
        assert_eq!(hex(&sealed), golden, "what was written once is written so for ever");
        assert_eq!(F::opened(&sealed).as_ref(), Ok(form));
        let mut body = Vec::new();
        form.write(&mut body);
        body.push(0);
        let longer = envelope::seal(F::KIND, VERSION, &body);
        assert!(F::opened(&longer).is_err(), "a byte too many");
        let shorter = envelope::seal(F::KIND, VERSION, &body[..body.len() - 2]);
        assert!(F::opened(&shorter).is_err(), "a byte too few");
    }

    fn meta() -> SnapshotMeta {
        let membership =
            Membership { voters: vec![ReplicaId(1), ReplicaId(2)], learners: vec![ReplicaId(3)] };
        SnapshotMeta { index: LogIndex(0x1122), term: Term(7), membership }
    }

    #[test]
    fn the_state_is_frozen() {
        let vote = Some(ReplicaId(2));
        let hard_state = HardState { term: Term(7), vote, commit: LogIndex(0x1122) };
        let (first, last) = (LogIndex(3), LogIndex(0x1133));
        check(&State { hard_state, sequence: 99, first, last }, GOLDEN_STATE);
    }

    #[test]
    fn the_foundation_is_frozen() {
        let owner = Owner { cluster: ClusterId(5), replica: ReplicaId(2), storage: StorageId(6) };
        check(&Foundation { owner, base: meta() }, GOLDEN_FOUNDATION);
    }

    #[test]
    fn the_head_of_a_snapshot_is_frozen() {
        let digest = Digest([0xab; 32]);
        let head =
            SnapshotHead { cluster: ClusterId(5), meta: meta(), chunks: 3, bytes: 4_000, digest };
        check(&head, GOLDEN_HEAD);
    }

    #[test]
    fn the_watermark_is_frozen() {
        let (storage, last) = (StorageId(6), LogIndex(0x1133));
        check(&Watermark { storage, sequence: 99, last }, GOLDEN_WATERMARK);
    }

    #[test]
    fn entries_and_chunks_are_frozen() {
        let entry = LogEntry {
            index: LogIndex(0x1122),
            term: Term(7),
            kind: EntryKind::Change,
            data: Bytes::from_static(b"data"),
        };
        let (mut body, mut sealed) = (Vec::new(), Vec::new());
        seal_entry(&entry, &mut body, &mut sealed);
        assert_eq!(hex(&sealed), GOLDEN_ENTRY);
        assert_eq!(open_entry(&sealed).unwrap(), entry);
        assert!(open_entry(&envelope::seal(Kind::LogEntry, VERSION, &body[..16])).is_err());
        body[16] = 2;
        assert!(open_entry(&envelope::seal(Kind::LogEntry, VERSION, &body)).is_err());
        seal_chunk(3, b"chunk", &mut body, &mut sealed);
        assert_eq!(hex(&sealed), GOLDEN_CHUNK);
        assert_eq!(open_chunk(3, &sealed).unwrap(), b"chunk");
        assert!(open_chunk(4, &sealed).is_err(), "in another's place");
    }

    const GOLDEN_STATE: &str = "\
        44474d31020001003000000094f6c1e5070000000000000002000000000000002211000000000000\
        630000000000000003000000000000003311000000000000";
    const GOLDEN_FOUNDATION: &str = "\
        44474d310300010058000000c7372734050000000000000000000000000000000200000000000000\
        06000000000000000000000000000000221100000000000007000000000000000200000001000000\
        000000000200000000000000010000000300000000000000";
    const GOLDEN_HEAD: &str = "\
        44474d31050001006c00000011db8f12050000000000000000000000000000002211000000000000\
        07000000000000000200000001000000000000000200000000000000010000000300000000000000\
        03000000a00f000000000000abababababababababababababababababababababababababababab\
        abababab";
    const GOLDEN_WATERMARK: &str = "\
        44474d3106000100200000007297370e060000000000000000000000000000006300000000000000\
        3311000000000000";
    const GOLDEN_ENTRY: &str =
        "44474d310a0001001500000080c02de0221100000000000007000000000000000164617461";
    const GOLDEN_CHUNK: &str = "44474d31040001000900000000ead33b030000006368756e6b";
}
