//! Files that must be whole or absent: written aside, made durable, then given their name.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use dagmar_common::problem::Problem;

/// Replaces `path` by `bytes` at once; a reader sees the old file or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, path));
    written.map_err(|error| Problem::storage("write", path, &error))
}

/// A new file whose bytes are on the disk when this returns.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Problem::storage("write", path, &error))
}

/// Makes durable what names `dir` holds.
pub fn sync_dir(dir: &Path) -> Result<(), Problem> {
    let synced = File::open(dir).and_then(|file| file.sync_all());
    synced.map_err(|error| Problem::storage("sync", dir, &error))
}

/// None where there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Problem::storage("read", path, &error)),
    }
}
