//! The lock on a store's directory: one process at a time, and the next one learns which.

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
        let started = Instant::now();
        while let Err(errno) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if errno != Errno::WOULDBLOCK {
                return Err(StoreError::io("lock", &path)(errno.into()));
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
        let pid = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(pid.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Lock { _file: file })
    }
}
