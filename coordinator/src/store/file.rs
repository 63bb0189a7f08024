//! The file under the engine: as the last commit left it, also when it is closed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

/// Closing it is to the engine what a crash is: nothing more reaches the file. So every open
/// verifies every page before it believes it. After a clean end the engine would believe what
/// it had saved about itself, and a flipped bit in that made it panic; and a clean end costs
/// fsyncs that buy nothing.
#[derive(Clone, Debug)]
pub(super) struct LogBytes {
    file: Arc<File>,
    /// Until it has its name nobody can have been promised anything, so its fsyncs wait for one.
    unborn: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
    /// What was done to the file, where a test wants to do part of it again.
    #[cfg(test)]
    pub(super) done: Arc<std::sync::Mutex<Vec<Done>>>,
}

#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) enum Done {
    Wrote { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Synced,
}

impl LogBytes {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(LogBytes::new(file, true))
    }

    /// All that was written so far is durable, and from now on every fsync counts.
    pub(super) fn born(&self) -> io::Result<()> {
        self.unborn.store(false, Ordering::Release);
        self.file.sync_all()
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(LogBytes::new(File::options().read(true).write(true).open(path)?, false))
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn new(file: File, unborn: bool) -> Self {
        let flag = |value| Arc::new(AtomicBool::new(value));
        LogBytes {
            file: Arc::new(file),
            unborn: flag(unborn),
            closed: flag(false),
            #[cfg(test)]
            done: Arc::default(),
        }
    }

    #[cfg(test)]
    fn note(&self, done: Done) {
        self.done.lock().expect("nobody panics while it is held").push(done);
    }

    fn while_open(&self) -> io::Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(io::Error::other("the log is closed"));
        }
        Ok(())
    }
}

impl StorageBackend for LogBytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.while_open()?;
        #[cfg(test)]
        self.note(Done::SetLen(len));
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.while_open()?;
        #[cfg(test)]
        self.note(Done::Synced);
        if self.unborn.load(Ordering::Acquire) { Ok(()) } else { self.file.sync_data() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.while_open()?;
        #[cfg(test)]
        self.note(Done::Wrote { offset, data: data.to_vec() });
        self.file.write_all_at(data, offset)
    }
}
