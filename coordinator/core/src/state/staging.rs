//! Parts of submissions that arrive in chunks: a graph is read as it comes and checked in turns.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::graph::{Assembly, DecodeError, Graph};
use dagmar_common::ids::Digest;
use dagmar_common::limits::{REQUEST_MEMORY, STAGED_BYTES_MAX};
use dagmar_common::time::LogTime;

use crate::command::{Part, Payload};

#[derive(Debug, Default)]
pub(crate) struct Staging {
    pub blobs: BTreeMap<Digest, Blob>,
}

#[derive(Debug)]
pub(crate) struct Blob {
    pub part: Part,
    pub total: u64,
    pub have: u64,
    pub chunks: Vec<Arc<[u8]>>,
    pub touched: LogTime,
    pub phase: Phase,
    /// What the chunks and the phase make of a graph. It follows from them: a restored state makes
    /// it again when it is asked for, and a snapshot need not hold what changes with every turn.
    assembly: Option<Box<Assembly>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Coming,
    /// All is there; so many units of its checks are done.
    Checking {
        done: u64,
    },
    Whole,
    /// No graph that runs.
    Bad {
        why: String,
    },
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Full,
    /// Something before it is missing: staging begins again.
    Gap,
}

impl Staging {
    /// Of a chunk only what is not there yet is taken: repeats do no harm, and nor does somebody
    /// who began in pieces of another size and went away.
    pub fn add(
        &mut self,
        now: LogTime,
        (digest, part): (Digest, Part),
        (offset, total): (u64, u64),
        mut bytes: Vec<u8>,
    ) -> Result<(), NotTaken> {
        if !self.blobs.contains_key(&digest) {
            let held: u64 = self.blobs.values().map(|blob| blob.total).sum();
            if held.saturating_add(total) > STAGED_BYTES_MAX as u64 {
                return Err(NotTaken::Full);
            }
        }
        let blob = self.blobs.entry(digest).or_insert_with(|| Blob::new(part, total, now));
        blob.touched = now;
        let end = offset.saturating_add(bytes.len() as u64);
        if end <= blob.have {
            return Ok(());
        }
        if offset > blob.have || end > blob.total || (part, total) != (blob.part, blob.total) {
            return Err(NotTaken::Gap);
        }
        bytes.drain(..(blob.have - offset) as usize);
        blob.add(bytes);
        Ok(())
    }

    /// Nothing more is to be waited for.
    pub fn is_ready(&self, digest: Digest, part: Part) -> bool {
        let blob = self.blobs.get(&digest).filter(|blob| blob.part == part);
        blob.is_some_and(|blob| matches!(blob.phase, Phase::Whole | Phase::Bad { .. }))
    }

    /// It is there and being checked.
    pub fn is_at_work(&self, payload: &Payload) -> bool {
        let Payload::Staged(digest) = payload else { return false };
        self.blobs.get(digest).is_some_and(Blob::is_checking)
    }

    /// Some graph is there and not checked to its end.
    pub fn is_checking(&self) -> bool {
        self.blobs.values().any(Blob::is_checking)
    }

    /// Checks graphs that are there, for `units` nodes and edges; what is left of them.
    pub fn check(&mut self, mut units: u64) -> u64 {
        for blob in self.blobs.values_mut() {
            while units > 0 && blob.is_checking() {
                units = blob.check(units);
            }
        }
        units
    }

    /// The whole blob, if it is there and what its name says. It leaves the staging.
    pub fn take(&mut self, digest: Digest) -> Option<Vec<u8>> {
        let bytes = self.blobs.remove(&digest)?.chunks.concat();
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    /// A graph whose checks are done, or what they found. It leaves the staging; None: what came
    /// is not what its name says.
    pub fn take_graph(&mut self, digest: Digest) -> Option<Result<Graph, String>> {
        let mut blob = self.blobs.remove(&digest)?;
        if let Phase::Bad { why } = blob.phase {
            return Some(Err(why));
        }
        let graph = blob.assembly().and_then(|assembly| assembly.finish());
        match graph {
            Ok((graph, found)) => (found == digest).then_some(Ok(graph)),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// What nobody named or continued for a day is dropped.
    pub fn forget_old(&mut self, now: LogTime) {
        self.blobs.retain(|_, blob| blob.touched + REQUEST_MEMORY > now);
    }

    pub fn freeze(&self) -> Self {
        let blobs = self.blobs.iter().map(|(digest, blob)| (*digest, blob.freeze()));
        Staging { blobs: blobs.collect() }
    }
}

impl Blob {
    pub fn new(part: Part, total: u64, touched: LogTime) -> Self {
        let (have, chunks, phase, assembly) = (0, Vec::new(), Phase::Coming, None);
        Blob { part, total, have, chunks, touched, phase, assembly }
    }

    fn freeze(&self) -> Self {
        let (chunks, phase) = (self.chunks.clone(), self.phase.clone());
        Blob { have: self.have, chunks, phase, ..Blob::new(self.part, self.total, self.touched) }
    }

    fn is_checking(&self) -> bool {
        matches!(self.phase, Phase::Checking { .. })
    }

    fn add(&mut self, bytes: Vec<u8>) {
        let read = match (self.part, &self.phase) {
            (Part::Graph, Phase::Coming) => self.work(|assembly| assembly.push(&bytes)),
            _ => Ok(()),
        };
        self.have += bytes.len() as u64;
        if let Err(error) = read {
            self.refuse(&error);
        }
        if self.phase != Phase::Coming {
            return;
        }
        self.chunks.push(bytes.into());
        if self.have == self.total {
            self.phase = match self.part {
                Part::Graph => Phase::Checking { done: 0 },
                Part::Parameters => Phase::Whole,
            };
        }
    }

    /// One turn of its checks; units that are left.
    fn check(&mut self, units: u64) -> u64 {
        let Phase::Checking { done } = self.phase else { return units };
        match self.work(|assembly| assembly.work(units)) {
            Ok(0) => self.phase = Phase::Checking { done: done + units },
            Ok(left) => {
                self.phase = Phase::Whole;
                return left;
            }
            Err(error) => self.refuse(&error),
        }
        0
    }

    fn refuse(&mut self, error: &DecodeError) {
        self.phase = Phase::Bad { why: error.to_string() };
        (self.assembly, self.chunks) = (None, Vec::new());
    }

    fn work<T>(
        &mut self,
        work: impl FnOnce(&mut Assembly) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut assembly = self.assembly()?;
        let done = work(&mut assembly);
        self.assembly = Some(assembly);
        done
    }

    /// What chunks and phase make, from their beginning where it is not there; taken out.
    fn assembly(&mut self) -> Result<Box<Assembly>, DecodeError> {
        if let Some(assembly) = self.assembly.take() {
            return Ok(assembly);
        }
        let mut assembly = Box::<Assembly>::default();
        for chunk in &self.chunks {
            assembly.push(chunk)?;
        }
        if let Phase::Checking { done } = self.phase {
            assembly.work(done)?;
        }
        Ok(assembly)
    }
}
