//! What this worker started and what of it has ended: appended, and read after a crash.
//!
//! It survives the death of every process. After the death of the host no process is left, and all
//! that is needed is the start of what may not run twice: that alone is fsynced. Version 1 of a
//! record's body, little-endian: `1 | boot id 36 bytes | mark 36 bytes` opens a supervisor;
//! `2 | fence u64` is written before a start is asked for; `3 | fence u64 | pid u32 | microseconds
//! since boot u64` when it began; `4 | fence u64` when nothing of it runs any more and the worker
//! was answered for it; `5 | mark 36 bytes | length u64` stands alone in a file beside them.

mod left;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dagmar_common::envelope::{self, Kind};
use dagmar_common::ids::Fence;

pub use left::Left;
use left::kill_groups;
use synced::Synced;
pub use synced::{NoteDamaged, beside as note_beside};

use crate::supervisor::Mark;

const VERSION: u16 = 1;
/// A longer file is written anew with only what still runs.
const FILE_BYTES_MAX: u64 = 8 << 20;
const UUID_BYTES: usize = 36;

/// Where in a worker's directory they lie.
pub const FILE: &str = "records";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    Opened { boot: String, mark: String },
    Asked { fence: Fence },
    Began(Began),
    Ended { fence: Fence },
}

/// One process that began, named for as long as its host is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    pub fence: Fence,
    pub pid: u32,
    pub boot_us: u64,
}

/// The writing side.
pub struct Records {
    path: PathBuf,
    file: File,
    length: u64,
    /// The directory knows the file's name after a loss of power, too.
    is_named: bool,
    waiting: Vec<u8>,
    head: Vec<u8>,
    synced: Synced,
    /// Asked for and not answered; with the process of what may still run.
    open: BTreeMap<Fence, Option<Began>>,
    /// Of those that wait to be written, the ones that have not ended.
    news: BTreeSet<Fence>,
}

/// Where the records of an earlier life were given up: these may have begun, for all we know.
pub fn note_anew(path: &Path, left: &[Fence]) -> io::Result<()> {
    Records::create(path, &Mark::random()?, left).map(|_| ())
}

impl Records {
    /// Begins anew, with what an earlier life was not answered for; that is to be swept before.
    pub fn create(path: &Path, mark: &Mark, left: &[Fence]) -> io::Result<Self> {
        let mut head = Vec::new();
        Record::Opened { boot: boot_id()?, mark: mark.0.clone() }.seal_into(&mut head);
        let mut bytes = head.clone();
        left.iter().for_each(|fence| Record::Asked { fence: *fence }.seal_into(&mut bytes));
        let is_named = !left.is_empty();
        let file = write_new(path, &bytes, is_named)?;
        Ok(Records {
            path: path.to_owned(),
            file,
            length: bytes.len() as u64,
            is_named,
            waiting: Vec::new(),
            head,
            synced: Synced::new(path, mark.clone()),
            open: left.iter().map(|fence| (*fence, None)).collect(),
            news: BTreeSet::new(),
        })
    }

    pub fn asked(&mut self, fence: Fence) {
        Record::Asked { fence }.seal_into(&mut self.waiting);
        self.open.insert(fence, None);
        self.news.insert(fence);
    }

    pub fn began(&mut self, began: Began) {
        Record::Began(began).seal_into(&mut self.waiting);
        self.open.insert(began.fence, Some(began));
        self.news.insert(began.fence);
    }

    /// Nothing of it runs any more, and nobody was answered for it yet.
    pub fn over(&mut self, fence: Fence) {
        if let Some(process) = self.open.get_mut(&fence) {
            *process = None;
        }
        self.news.remove(&fence);
    }

    /// Its end is durable, or it has none: nobody will ask for it again.
    pub fn ended(&mut self, fence: Fence) {
        Record::Ended { fence }.seal_into(&mut self.waiting);
        self.open.remove(&fence);
        self.news.remove(&fence);
    }

    /// Something waits that a sweep would miss. Ends alone can wait: it would look for what is
    /// not there, and find nothing.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Kills what has begun and not ended, by identity: where the supervisor died, those that
    /// threw away their mark are found in no other way.
    pub fn kill_open(&self) {
        kill_groups(self.open.values().flatten());
    }

    /// Hands what waits to the kernel.
    pub fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.news.clear();
        if self.length > FILE_BYTES_MAX {
            return self.write_anew();
        }
        self.file.write_all(&self.waiting)?;
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Before a trial that may not run twice: after a loss of power somebody has to know of it.
    pub fn sync(&mut self, is_careful: bool) -> io::Result<()> {
        if !is_careful {
            return Ok(());
        }
        self.file.sync_data()?;
        if !std::mem::replace(&mut self.is_named, true) {
            sync_directory_of(&self.path).inspect_err(|_| self.is_named = false)?;
        }
        self.synced.note(self.length)
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let mut bytes = self.head.clone();
        for (fence, began) in &self.open {
            Record::Asked { fence: *fence }.seal_into(&mut bytes);
            if let Some(began) = began {
                Record::Began(*began).seal_into(&mut bytes);
            }
        }
        self.synced.withdraw()?;
        self.file = write_new(&self.path, &bytes, true)?;
        self.is_named = true;
        self.length = bytes.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

/// Whole or not at all under its name; `durably` where the file before it may say what a loss of
/// power must not take.
fn write_new(path: &Path, bytes: &[u8], durably: bool) -> io::Result<File> {
    let partial = path.with_extension("part");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    if durably {
        file.sync_all()?;
    }
    fs::rename(&partial, path)?;
    if durably {
        sync_directory_of(path)?;
    }
    Ok(file)
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Record {
    fn seal_into(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(1 + 2 * UUID_BYTES);
        match self {
            Record::Opened { boot, mark } => {
                body.push(1);
                body.extend_from_slice(boot.as_bytes());
                body.extend_from_slice(mark.as_bytes());
            }
            Record::Asked { fence } => {
                body.push(2);
                body.extend(fence.0.to_le_bytes());
            }
            Record::Began(began) => {
                body.push(3);
                body.extend(began.fence.0.to_le_bytes());
                body.extend(began.pid.to_le_bytes());
                body.extend(began.boot_us.to_le_bytes());
            }
            Record::Ended { fence } => {
                body.push(4);
                body.extend(fence.0.to_le_bytes());
            }
        }
        envelope::seal_into(Kind::WorkerRecord, VERSION, &body, out);
    }

    fn read(body: &[u8]) -> Option<Record> {
        let (tag, fields) = body.split_first()?;
        if *tag == 1 {
            let (boot, mark) = fields.split_at_checked(UUID_BYTES)?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            return Some(Record::Opened { boot: text(boot)?, mark: text(mark)? });
        }
        let (fence, fields) = fields.split_first_chunk()?;
        let fence = Fence(u64::from_le_bytes(*fence));
        match (tag, fields.len()) {
            (2, 0) => Some(Record::Asked { fence }),
            (3, 12) => {
                let (pid, boot_us) = fields.split_first_chunk()?;
                let boot_us = u64::from_le_bytes(boot_us.try_into().ok()?);
                Some(Record::Began(Began { fence, pid: u32::from_le_bytes(*pid), boot_us }))
            }
            (4, 0) => Some(Record::Ended { fence }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;

    fn mark() -> Mark {
        Mark::random().unwrap()
    }

    fn began(fence: u64) -> Began {
        Began { fence: Fence(fence), pid: 40, boot_us: 7 }
    }

    #[test]
    fn what_was_not_ended_is_left_however_the_file_was_cut() {
        let directory = Directory::new();
        let path = directory.path().join("records");
        assert_eq!(Left::read(&path).unwrap(), Left::default());
        let mark = mark();
        let mut records = Records::create(&path, &mark, &[]).unwrap();
        for fence in 1..=3 {
            records.asked(Fence(fence));
        }
        records.began(began(1));
        records.began(began(2));
        records.ended(Fence(1));
        // It has ended, and may have to be told of still.
        records.over(Fence(2));
        records.write().unwrap();
        let left = Left::read(&path).unwrap();
        assert_eq!(left.mark, Some(mark));
        assert!(left.is_noted);
        assert_eq!(left.open, [(Fence(2), Some(began(2))), (Fence(3), None)].into());
        // A life that dies before anybody heard of it leaves what it had found.
        let found: Vec<Fence> = left.open.keys().copied().collect();
        let again = directory.path().join("again");
        Records::create(&again, &Mark::random().unwrap(), &found).unwrap();
        assert!(Left::read(&again).unwrap().open.into_keys().eq(found));
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            Left::replay(&bytes[..length], "boot").unwrap();
        }
        let behind = bytes.len() - records.head.len();
        assert!(!Left::replay(&bytes[..records.head.len() - 1], "boot").unwrap().is_noted);
        assert!(Left::replay(&bytes[bytes.len() - behind..], "boot").is_err(), "no head");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Left::replay(&damaged, "boot").is_err(), "bit {bit} passes for a cut");
        }
        assert_eq!(Left::replay(&bytes, "another boot").unwrap().mark, None);
    }

    #[test]
    fn a_long_file_is_written_anew() {
        let directory = Directory::new();
        let path = directory.path().join("records");
        let mut records = Records::create(&path, &mark(), &[]).unwrap();
        records.asked(Fence(1));
        records.began(began(1));
        records.write().unwrap();
        let mut fence = 2;
        while records.length <= FILE_BYTES_MAX {
            for _ in 0..1_000 {
                records.asked(Fence(fence));
                records.ended(Fence(fence));
                fence += 1;
            }
            records.write().unwrap();
        }
        records.asked(Fence(fence));
        records.write().unwrap();
        records.ended(Fence(1));
        records.write().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1_000);
        let open = Left::read(&path).unwrap().open;
        assert_eq!(open, [(Fence(fence), None)].into());
    }

    #[test]
    fn what_was_made_durable_is_missed_where_the_file_was_cut() {
        let directory = Directory::new();
        let path = directory.path().join("records");
        let mut records = Records::create(&path, &mark(), &[]).unwrap();
        records.asked(Fence(1));
        records.write().unwrap();
        records.sync(false).unwrap();
        records.asked(Fence(2));
        records.write().unwrap();
        records.sync(true).unwrap();
        let durable = records.length as usize;
        records.asked(Fence(3));
        records.write().unwrap();
        let bytes = fs::read(&path).unwrap();
        let note = directory.path().join("records.synced");
        let noted = fs::read(&note).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let is_whole = Left::read(&path).is_ok_and(|left| left.is_noted);
            assert_eq!(is_whole, length >= durable, "cut to {length} of {durable}");
        }
        fs::write(&path, &bytes[..durable - 1]).unwrap();
        for bit in 0..noted.len() * 8 {
            let mut damaged = noted.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&note, damaged).unwrap();
            assert!(Left::read(&path).is_err(), "bit {bit} of the note hides the cut");
        }
        // A later life's records are no longer than they are.
        fs::write(&note, noted).unwrap();
        fs::write(&path, &bytes).unwrap();
        Records::create(&path, &mark(), &[Fence(2)]).unwrap();
        assert_eq!(Left::read(&path).unwrap().open, [(Fence(2), None)].into());
    }

    #[test]
    fn records_that_are_written_anew_are_not_missed() {
        let directory = Directory::new();
        let path = directory.path().join("records");
        let mut records = Records::create(&path, &mark(), &[]).unwrap();
        for fence in 1..=100 {
            records.asked(Fence(fence));
            records.ended(Fence(fence));
        }
        records.write().unwrap();
        records.sync(true).unwrap();
        records.write_anew().unwrap();
        assert!(records.length < 200);
        assert!(Left::read(&path).unwrap().open.is_empty());
    }

    /// The stored form is frozen: these bodies are read by every later version.
    #[test]
    fn the_bytes_of_version_1_stand() {
        let uuid = "0".repeat(UUID_BYTES);
        let opened = Record::Opened { boot: uuid.clone(), mark: uuid.clone() };
        for (record, body) in [
            (opened, ["\u{1}", &uuid, &uuid].concat().into_bytes()),
            (Record::Asked { fence: Fence(258) }, vec![2, 2, 1, 0, 0, 0, 0, 0, 0]),
            (
                Record::Began(Began { fence: Fence(1), pid: 2, boot_us: 3 }),
                vec![3, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            ),
            (Record::Ended { fence: Fence(9) }, vec![4, 9, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            record.seal_into(&mut out);
            assert_eq!(out, envelope::seal(Kind::WorkerRecord, 1, &body));
            assert_eq!(Record::read(&body), Some(record));
        }
    }
}
