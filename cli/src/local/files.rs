//! Files that must be whole or absent: written aside, made durable, then given their name.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use dagmar_common::problem::Problem;

/// Fsyncs that wait at the same time.
const SYNCS_AT_ONCE: usize = 8;

/// Replaces `path` by `bytes` at once; a reader sees the old file or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, path));
    written.map_err(|error| Problem::storage("write", path, &error))
}

/// A new file; [`sync_all`] makes it durable.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Problem::storage("write", path, &error))
}

/// Makes files and directories durable. Side by side, for a file system takes many fsyncs that
/// come at once for one.
pub fn sync_all(paths: &[PathBuf]) -> Result<(), Problem> {
    for some in paths.chunks(SYNCS_AT_ONCE) {
        std::thread::scope(|scope| {
            let syncs = some.iter().map(|path| {
                let sync = || sync_dir(path);
                // Where there is no room for a thread it is done here.
                std::thread::Builder::new().spawn_scoped(scope, sync).map_err(|_| sync())
            });
            let syncs = syncs.collect::<Vec<_>>();
            syncs.into_iter().try_for_each(|sync| sync.map_or_else(|done| done, join))
        })?;
    }
    Ok(())
}

fn join(sync: ScopedJoinHandle<'_, Result<(), Problem>>) -> Result<(), Problem> {
    match sync.join() {
        Ok(synced) => synced,
        Err(panic) => std::panic::resume_unwind(panic),
    }
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
