//! How far the records were made durable for what may not run twice: a file that ends before that
//! was cut, and says that such a start never was.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dagmar_common::envelope::{self, Kind};

use super::{UUID_BYTES, VERSION};
use crate::supervisor::Mark;

/// The note is damaged, and nothing else: without it the records say what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteDamaged;

impl fmt::Display for NoteDamaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the note of how long the records are is damaged")
    }
}

impl std::error::Error for NoteDamaged {}

/// Of the one record in it, after those of the records themselves.
const TAG: u8 = 5;

/// Written without an fsync of its own: a loss of power may take the note, and then nothing is
/// claimed. It names the life that wrote it, so that an older one claims nothing of newer records.
pub(super) struct Synced {
    path: PathBuf,
    life: Mark,
    file: Option<File>,
}

impl Synced {
    pub fn new(records: &Path, life: Mark) -> Self {
        Synced { path: beside(records), life, file: None }
    }

    /// So much of the records is durable.
    pub fn note(&mut self, length: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        let mut body = vec![TAG];
        body.extend_from_slice(self.life.0.as_bytes());
        body.extend(length.to_le_bytes());
        file.write_all_at(&envelope::seal(Kind::WorkerRecord, VERSION, &body), 0)
    }

    /// The records are about to be shorter.
    pub fn withdraw(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.note(0)?;
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

/// Of the records at this path, which this life wrote, so many bytes are whole.
pub(super) fn check(records: &Path, life: &Mark, whole: u64) -> io::Result<()> {
    let bytes = match fs::read(beside(records)) {
        Ok(bytes) if !bytes.is_empty() => bytes,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, NoteDamaged);
    let (_, body) = envelope::open(Kind::WorkerRecord, VERSION, &bytes).map_err(|_| damaged())?;
    let (whose, length) = read(body).ok_or_else(damaged)?;
    if whose == life.0.as_bytes() && whole < length {
        let why = format!("they were cut: {length} bytes were written, {whole} are left");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(())
}

fn read(body: &[u8]) -> Option<(&[u8], u64)> {
    let fields = body.strip_prefix(&[TAG])?;
    let (whose, length) = fields.split_at_checked(UUID_BYTES)?;
    Some((whose, u64::from_le_bytes(length.try_into().ok()?)))
}

/// Where it lies.
pub fn beside(records: &Path) -> PathBuf {
    let mut name = OsString::from(records);
    name.push(".synced");
    PathBuf::from(name)
}
