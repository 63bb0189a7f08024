//! The watermark `highest_durable`: how far the log had come, so that it cannot go back unseen.
//!
//! A log that was swapped for an older copy of itself is whole and coherent; so is one in which
//! a single flipped bit made the engine choose its last but one commit. Only something outside
//! of it can tell.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::{EnvelopeError, HEAD_BYTES};

use super::error::StoreError;
use super::form::{Form, Watermark};

pub(super) const NAME: &str = "highest_durable";

/// Two slots in sectors of their own, written in turn: a torn write leaves the other one whole.
const SLOT_BYTES: u64 = 512;
/// Of a sealed watermark.
const SEALED_BYTES: usize = HEAD_BYTES + 32;

/// Noted after every write of the log without an fsync, which outlives the process; fsynced at
/// a rate of the caller's choice, which outlives the power.
#[derive(Debug)]
pub(super) struct WatermarkFile {
    file: File,
    path: PathBuf,
}

impl WatermarkFile {
    pub(super) fn create(directory: &Path, first: Watermark) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        let mut watermark = WatermarkFile { file, path };
        watermark.note(first)?;
        watermark.sync()?;
        Ok(watermark)
    }

    pub(super) fn open(directory: &Path) -> Result<(Self, Watermark), StoreError> {
        let path = directory.join(NAME);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::corrupt(&path, "the file is missing"));
            }
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let read = |slot: u64| -> Result<Result<Watermark, EnvelopeError>, StoreError> {
            let mut bytes = [0; SEALED_BYTES];
            match file.read_exact_at(&mut bytes, slot * SLOT_BYTES) {
                Ok(()) => Ok(Watermark::opened(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    Ok(Err(EnvelopeError::Torn { have: 0, need: SEALED_BYTES }))
                }
                Err(error) => Err(StoreError::io("read", &path)(error)),
            }
        };
        let slots = [read(0)?, read(1)?];
        if let Some(Err(newer @ EnvelopeError::Newer { .. })) = slots.iter().find(is_newer) {
            return Err(StoreError::Newer { what: newer.to_string(), path });
        }
        let highest = slots.iter().flatten().max_by_key(|slot| slot.sequence).copied();
        match highest {
            Some(highest) => Ok((WatermarkFile { file, path }, highest)),
            None => Err(StoreError::corrupt(&path, "neither of its two slots can be read")),
        }
    }

    pub(super) fn note(&mut self, watermark: Watermark) -> Result<(), StoreError> {
        let at = (watermark.sequence % 2) * SLOT_BYTES;
        let noted = self.file.write_all_at(&watermark.sealed(), at);
        noted.map_err(StoreError::io("write", &self.path))
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io("fsync", &self.path))
    }
}

fn is_newer(slot: &&Result<Watermark, EnvelopeError>) -> bool {
    matches!(slot, Err(EnvelopeError::Newer { .. }))
}
