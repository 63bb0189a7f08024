//! Snapshots as files: chunks in envelopes, the head last, two of them kept.
//!
//! A file is chunks, then the head, then the head's length in eight bytes; its name says where
//! in the log it stands. It comes to its name when all of it is durable, so a file with such a
//! name that cannot be read is damaged, never unfinished.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::{EnvelopeError, HEAD_BYTES};
use dagmar_common::ids::{ClusterId, Digest, LogIndex, Term};
use dagmar_replica::SnapshotMeta;

use super::SnapshotStore;
use super::directory;
use super::error::StoreError;
use super::form::{self, Form, SnapshotHead};

/// One chunk; the writer makes them no larger.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

const NAME: &str = "snapshots";
const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = ".unfinished";
/// The last one, and the one before for whoever still reads it.
const KEPT: usize = 2;
/// A head is as long as its members are many.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Of the head's length at the end of a file.
const TRAILER_BYTES: u64 = 8;

#[derive(Debug)]
pub struct LocalSnapshots {
    directory: PathBuf,
    cluster: ClusterId,
    poisoned: Option<String>,
}

/// The name says it too, so that a file under another's name is seen.
type Place = (LogIndex, Term);

impl LocalSnapshots {
    /// Beside the log in the directory `store`, which need not be there yet.
    pub fn new(store: &Path, cluster: ClusterId) -> Self {
        LocalSnapshots { directory: store.join(NAME), cluster, poisoned: None }
    }

    /// Removes what a crash left unfinished. Only where no other thread writes.
    pub(super) fn tidy(&self) -> Result<(), StoreError> {
        for name in self.names()? {
            if name.ends_with(UNFINISHED) {
                let path = self.directory.join(name);
                std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    pub(super) fn newest(&self) -> Result<Option<SnapshotMeta>, StoreError> {
        let Some(place) = self.places()?.pop() else { return Ok(None) };
        let path = self.path(place);
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        self.head(&file, &path, place).map(|(head, _)| Some(head.meta))
    }

    fn write(
        &self,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), StoreError> {
        std::fs::create_dir_all(&self.directory)
            .map_err(StoreError::io("create", &self.directory))?;
        let path = self.path((meta.index, meta.term));
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)
            .map_err(StoreError::io("create", &unfinished))?;
        let (mut body, mut sealed) = (Vec::new(), Vec::new());
        let mut head = SnapshotHead {
            cluster: self.cluster,
            meta: meta.clone(),
            chunks: 0,
            bytes: 0,
            digest: Digest::default(),
        };
        for chunk in chunks {
            assert!(chunk.len() <= CHUNK_BYTES_MAX, "a chunk of {} bytes", chunk.len());
            form::seal_chunk(head.chunks, &chunk, &mut body, &mut sealed);
            file.write_all(&sealed).map_err(StoreError::io("write", &unfinished))?;
            add(&mut head, &chunk);
        }
        sealed = head.sealed();
        let length = sealed.len() as u64;
        sealed.extend_from_slice(&length.to_le_bytes());
        file.write_all(&sealed).map_err(StoreError::io("write", &unfinished))?;
        // 1. Its bytes, 2. its name, 3. that the name is there: durable one after another.
        file.sync_all().map_err(StoreError::io("fsync", &unfinished))?;
        std::fs::rename(&unfinished, &path).map_err(StoreError::io("rename", &unfinished))?;
        directory::sync(&self.directory)?;
        let places = self.places()?;
        for place in places.iter().take(places.len().saturating_sub(KEPT)) {
            let path = self.path(*place);
            std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    fn read(
        &self,
        meta: &SnapshotMeta,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        let place = (meta.index, meta.term);
        let path = self.path(place);
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let (head, chunks_end) = self.head(&file, &path, place)?;
        let mut found =
            SnapshotHead { chunks: 0, bytes: 0, digest: Digest::default(), ..head.clone() };
        let mut file = BufReader::with_capacity(1 << 16, file).take(chunks_end);
        let mut sealed = Vec::new();
        for number in 0..head.chunks {
            next_envelope(&mut file, &mut sealed).map_err(StoreError::io("read", &path))?;
            let chunk = form::open_chunk(number, &sealed)
                .map_err(|error| unreadable(&path, &format!("chunk {number}"), error))?;
            add(&mut found, chunk);
            each(chunk).map_err(|why| StoreError::corrupt(&path, why))?;
        }
        if found != head || file.limit() != 0 {
            return Err(StoreError::corrupt(&path, "its chunks are not those its head names"));
        }
        Ok(())
    }

    /// The verified head of a file, and where its chunks end.
    fn head(
        &self,
        file: &File,
        path: &Path,
        place: Place,
    ) -> Result<(SnapshotHead, u64), StoreError> {
        let io = |error| StoreError::io("read", path)(error);
        let length = file.metadata().map_err(io)?.len();
        let mut trailer = [0; TRAILER_BYTES as usize];
        let at = length.checked_sub(TRAILER_BYTES);
        let at = at.ok_or_else(|| StoreError::corrupt(path, "it is too short"))?;
        file.read_exact_at(&mut trailer, at).map_err(io)?;
        let head_bytes = u64::from_le_bytes(trailer);
        let start = at.checked_sub(head_bytes).filter(|_| head_bytes <= HEAD_BYTES_MAX);
        let start = start.ok_or_else(|| StoreError::corrupt(path, "its end is damaged"))?;
        let mut sealed = vec![0; head_bytes as usize];
        file.read_exact_at(&mut sealed, start).map_err(io)?;
        let head =
            SnapshotHead::opened(&sealed).map_err(|error| unreadable(path, "head", error))?;
        if head.cluster != self.cluster || (head.meta.index, head.meta.term) != place {
            return Err(StoreError::corrupt(path, "it is the snapshot of another log or place"));
        }
        Ok((head, start))
    }

    fn path(&self, (index, term): Place) -> PathBuf {
        self.directory.join(format!("{index:020}-{term:020}{SUFFIX}"))
    }

    /// The oldest first.
    fn places(&self) -> Result<Vec<Place>, StoreError> {
        let place = |name: &str| -> Option<Place> {
            let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
            Some((LogIndex(index.parse().ok()?), Term(term.parse().ok()?)))
        };
        let mut places: Vec<_> = self.names()?.iter().filter_map(|name| place(name)).collect();
        places.sort_unstable();
        Ok(places)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let listed = match std::fs::read_dir(&self.directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &self.directory)(error)),
        };
        listed
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()
            .map_err(StoreError::io("list", &self.directory))
    }
}

impl SnapshotStore for LocalSnapshots {
    fn save(
        &mut self,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), StoreError> {
        if let Some(first) = &self.poisoned {
            return Err(StoreError::Poisoned { first: first.clone() });
        }
        let saved = self.write(meta, chunks);
        self.poisoned = saved.as_ref().err().map(ToString::to_string);
        saved
    }

    fn load(
        &self,
        meta: &SnapshotMeta,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        self.read(meta, each)
    }

    fn kept(&self) -> Result<Vec<SnapshotMeta>, StoreError> {
        let read = |place| {
            let path = self.path(place);
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            self.head(&file, &path, place).map(|(head, _)| head.meta)
        };
        self.places()?.into_iter().map(read).collect()
    }
}

/// The digest is a chain, so that the order counts and nothing is held in memory.
fn add(head: &mut SnapshotHead, chunk: &[u8]) {
    head.chunks += 1;
    head.bytes += chunk.len() as u64;
    head.digest = Digest::of(&[head.digest.0, Digest::of(chunk).0].concat());
}

/// One envelope as it lies there, judged by whoever opens it; shorter where the file ends.
fn next_envelope(file: &mut impl Read, sealed: &mut Vec<u8>) -> std::io::Result<()> {
    sealed.clear();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(sealed)?;
    let length = sealed
        .get(8..12)
        .map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize);
    // A damaged length does not make us read more than a chunk can be.
    let length = length.min(CHUNK_BYTES_MAX + 4);
    file.by_ref().take(length as u64).read_to_end(sealed)?;
    Ok(())
}

fn unreadable(path: &Path, what: &str, error: EnvelopeError) -> StoreError {
    let what = format!("its {what} {error}");
    match error {
        EnvelopeError::Newer { .. } => StoreError::Newer { what, path: path.into() },
        _ => StoreError::corrupt(path, what),
    }
}
