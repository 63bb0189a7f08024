//! The lock on a store's directory: one owner at a time, known to the next; readers share it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::StoreError;

const NAME: &str = "lock";
/// A process that was killed a moment ago is still being taken down, and one that starts
/// another shares its files with it until that one has begun.
const PATIENCE: Duration = Duration::from_millis(200);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Held as long as it lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        wait_for(&mut file, FlockOperation::NonBlockingLockExclusive, directory)?;
        let pid = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(pid.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Lock { _file: file })
    }

    /// For whoever reads and writes nothing. None: there is no lock, so nobody holds it.
    pub(super) fn share(directory: &Path) -> Result<Option<Self>, StoreError> {
        let path = directory.join(NAME);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        wait_for(&mut file, FlockOperation::NonBlockingLockShared, directory)?;
        Ok(Some(Lock { _file: file }))
    }
}

fn wait_for(
    file: &mut File,
    operation: FlockOperation,
    directory: &Path,
) -> Result<(), StoreError> {
    let started = Instant::now();
    while let Err(errno) = flock(&*file, operation) {
        if errno != Errno::WOULDBLOCK {
            return Err(StoreError::io("lock", &directory.join(NAME))(errno.into()));
        }
        if started.elapsed() >= PATIENCE {
            let mut text = String::new();
            // Only for the message: without it the message has no pid.
            let _ = file.read_to_string(&mut text);
            let pid = text.trim().parse().ok();
            return Err(StoreError::Held { path: directory.into(), pid });
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    Ok(())
}
