//! Blobs that arrive in chunks before a command names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagmar_common::ids::Digest;
use dagmar_common::limits::{REQUEST_MEMORY, STAGED_BYTES_MAX};
use dagmar_common::time::LogTime;

#[derive(Clone, Debug, Default)]
pub(crate) struct Staging {
    pub blobs: BTreeMap<Digest, Blob>,
}

#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub total: u64,
    pub have: u64,
    pub chunks: Vec<Arc<[u8]>>,
    pub touched: LogTime,
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Full,
    /// Something before it is missing: staging begins again.
    Gap,
}

impl Staging {
    /// A chunk that is there already is taken for granted, so that repeats do no harm.
    pub fn add(
        &mut self,
        now: LogTime,
        digest: Digest,
        (offset, total): (u64, u64),
        bytes: Vec<u8>,
    ) -> Result<(), NotTaken> {
        if !self.blobs.contains_key(&digest) {
            let held: u64 = self.blobs.values().map(|blob| blob.total).sum();
            if held.saturating_add(total) > STAGED_BYTES_MAX as u64 {
                return Err(NotTaken::Full);
            }
        }
        let empty = Blob { total, have: 0, chunks: Vec::new(), touched: now };
        let blob = self.blobs.entry(digest).or_insert(empty);
        blob.touched = now;
        let end = offset.saturating_add(bytes.len() as u64);
        if end <= blob.have {
            return Ok(());
        }
        if offset != blob.have || end > blob.total || total != blob.total {
            return Err(NotTaken::Gap);
        }
        blob.have = end;
        blob.chunks.push(bytes.into());
        Ok(())
    }

    pub fn is_whole(&self, digest: Digest) -> bool {
        self.blobs.get(&digest).is_some_and(|blob| blob.have == blob.total)
    }

    /// The whole blob, if it is there and what its name says. It leaves the staging.
    pub fn take(&mut self, digest: Digest) -> Option<Vec<u8>> {
        let blob = self.blobs.get(&digest)?;
        if blob.have != blob.total {
            return None;
        }
        let bytes = blob.chunks.concat();
        self.blobs.remove(&digest);
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    /// What nobody named or continued for a day is dropped.
    pub fn forget_old(&mut self, now: LogTime) {
        self.blobs.retain(|_, blob| blob.touched + REQUEST_MEMORY > now);
    }
}
