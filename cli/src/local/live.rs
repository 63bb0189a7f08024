//! Live runs: a directory claimed by `mkdir`, and a lock on it that its owner holds for life.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::store::LocalStore;

use super::{Project, check_run_id, files, socket};

/// A live run that this process owns. The lock goes with the value, or with the process.
#[derive(Debug)]
pub struct Live {
    run: RunId,
    /// The directory of pipelines that it belongs to.
    project: PathBuf,
    dir: PathBuf,
    /// Held, never read.
    _lock: File,
}

/// Who owns a run, as `owner.json` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub socket: PathBuf,
    /// RFC 3339.
    pub started: String,
    pub version: String,
}

/// How a run stands in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody works on it: talk to the socket.
    Owned(Owner),
    /// Its process is gone; `resume` goes on with it.
    Interrupted,
    /// Only its archive is left.
    Ended,
}

impl Live {
    /// Claims a name. None: it is taken, by a live run or by an archive.
    pub fn claim(project: &Project, run: &RunId) -> Result<Option<Live>, Problem> {
        project.prepare()?;
        let _claims = claims(project, Sharing::Alone)?;
        let dir = project.live().join(run.as_str());
        let archives = project.runs().join(run.as_str());
        let is_archived = archives.try_exists();
        if is_archived.map_err(|error| Problem::storage("look for", &archives, &error))? {
            return Ok(None);
        }
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if look_at(&dir)?.is_some() {
                    return Ok(None);
                }
                clear(&dir)?;
                fs::create_dir(&dir).map_err(|error| Problem::storage("make", &dir, &error))?;
            }
            Err(error) => return Err(Problem::storage("make", &dir, &error)),
        }
        // The claim must outlive the machine as soon as anything in it is acknowledged.
        files::sync_dir(&project.live())?;
        match take(project, run)? {
            Some(live) => Ok(Some(live)),
            None => Ok(None),
        }
    }

    /// Takes over an interrupted run; waits for those who look into it. None: somebody works on it.
    pub fn adopt(project: &Project, run: &RunId) -> Result<Option<Live>, Problem> {
        let started = Instant::now();
        loop {
            let claims = claims(project, Sharing::Alone)?;
            if let Some(live) = take(project, run)? {
                return Ok(Some(live));
            }
            let is_owned = matches!(share(&project.live().join(run.as_str()))?, Share::Refused);
            if is_owned || started.elapsed() >= READERS_PATIENCE {
                return Ok(None);
            }
            drop(claims);
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What its steps run in.
    pub fn project(&self) -> &Path {
        &self.project
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the worker keeps what steps write.
    pub fn logs(&self) -> PathBuf {
        self.dir.join(LOGS)
    }

    pub fn socket(&self) -> Result<PathBuf, Problem> {
        socket::path_of(&self.dir)
    }

    /// For lists, which must be quick and do not read a log.
    pub fn note_pipeline(&self, name: &str) -> Result<(), Problem> {
        files::replace(&self.dir.join(PIPELINE), name.as_bytes())
    }

    /// The run's archive is durable: nothing of this is needed any more.
    pub fn remove(self) -> Result<(), Problem> {
        // Out of sight at once, so that nobody meets a run that is half removed.
        let aside = self.dir.with_file_name(format!("{ENDED}{}", self.run));
        // Whoever died while removing an earlier run of this name left its rest there.
        clear(&aside)?;
        let renamed = fs::rename(&self.dir, &aside);
        renamed.map_err(|error| Problem::storage("remove", &self.dir, &error))?;
        clear(&aside)
    }
}

/// Whoever looks into a run needs its directory for a moment only.
const READERS_PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Where in a live directory the log of the coordinator lies.
pub const LOG: &str = "log";
/// Where in a live directory stands what its pipeline is called.
const PIPELINE: &str = "pipeline";
/// What is being removed is called so, and its run.
const ENDED: &str = ".ended-";
/// Where in a live directory, and in an archive, logs lie.
pub const LOGS: &str = "logs";

/// How one run stands; None: there is no such run here.
pub fn look(project: &Project, run: &RunId) -> Result<Option<Standing>, Problem> {
    let dir = project.live().join(run.as_str());
    if dir.is_dir() {
        let _claims = claims(project, Sharing::Together)?;
        if let Some(standing) = look_at(&dir)? {
            return Ok(Some(standing));
        }
    }
    let archives = project.runs().join(run.as_str());
    let is_archived = archives.try_exists();
    let is_archived = is_archived.map_err(|it| Problem::storage("look for", &archives, &it))?;
    Ok(is_archived.then_some(Standing::Ended))
}

/// Looks into a run that nobody works on, beside others who look; whoever is to go on with it
/// waits so long. None: somebody works on it.
pub fn look_into<T>(
    project: &Project,
    run: &RunId,
    look: impl FnOnce(&Path) -> Result<T, Problem>,
) -> Result<Option<T>, Problem> {
    let dir = project.live().join(run.as_str());
    match share(&dir)? {
        Share::Refused => Ok(None),
        _shared => look(&dir).map(Some),
    }
}

/// Who owns a run, or owned it last.
pub fn sign(project: &Project, run: &RunId) -> Result<Option<Owner>, Problem> {
    let dir = project.live().join(run.as_str());
    let sign = files::read_if_there(&dir.join("owner.json"))?;
    sign.map(|sign| read_sign(&dir, &sign)).transpose()
}

/// What the pipeline of a live run is called; empty where that was not written down.
pub fn pipeline(project: &Project, run: &RunId) -> String {
    let path = project.live().join(run.as_str()).join(PIPELINE);
    fs::read_to_string(path).unwrap_or_default()
}

/// A run of a list and how it stands, or why that cannot be told: which is its own affair.
pub type Listed = (RunId, Result<Standing, Problem>);

/// Every live or interrupted run of a directory, by name.
pub fn list(project: &Project) -> Result<Vec<Listed>, Problem> {
    let live = project.live();
    let entries = match fs::read_dir(&live) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Problem::storage("read", &live, &error)),
    };
    let _claims = claims(project, Sharing::Together)?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(run) = entry.file_name().to_str().and_then(|name| check_run_id(name).ok()) else {
            continue;
        };
        if let Some(standing) = look_at(&entry.path()).transpose() {
            found.push((run, standing));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Together,
}

/// Held while a claim is made or looked for: between `mkdir` and the lock nobody looks.
fn claims(project: &Project, sharing: Sharing) -> Result<Option<File>, Problem> {
    let path = project.live().join(".claims");
    let opened = match sharing {
        Sharing::Alone => OpenOptions::new().create(true).append(true).open(&path),
        Sharing::Together => File::open(&path),
    };
    let file = match (opened, sharing) {
        (Ok(file), _) => file,
        // Nothing was ever claimed here, or it may only be read: then nobody claims either.
        (Err(_), Sharing::Together) => return Ok(None),
        (Err(error), Sharing::Alone) => return Err(Problem::storage("open", &path, &error)),
    };
    let locked = match sharing {
        Sharing::Alone => file.lock(),
        Sharing::Together => file.lock_shared(),
    };
    locked.map_err(|error| Problem::storage("lock", &path, &error))?;
    Ok(Some(file))
}

/// Locks a directory and signs it. None: somebody holds it.
fn take(project: &Project, run: &RunId) -> Result<Option<Live>, Problem> {
    let dir = project.live().join(run.as_str());
    let path = dir.join("lock");
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let lock = opened.map_err(|error| Problem::storage("open", &path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(Problem::storage("lock", &path, &error)),
    }
    let (run, project) = (run.clone(), project.root().to_owned());
    let live = Live { run, project, dir, _lock: lock };
    tracing::debug!(run = %live.run, "this process owns it");
    let sign = serde_json::json!({
        "run": live.run.as_str(),
        "pid": std::process::id(),
        "socket": live.socket()?,
        "started": jiff::Timestamp::now().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    files::replace(&live.dir.join("owner.json"), format!("{sign:#}\n").as_bytes())?;
    Ok(Some(live))
}

/// A reader's lock on a live directory.
enum Share {
    /// Kept as long as the directory is needed.
    Taken(#[expect(dead_code, reason = "held, never read")] File),
    /// There is nothing to lock, so nobody works here.
    Needless,
    /// Somebody works here.
    Refused,
}

fn share(dir: &Path) -> Result<Share, Problem> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Share::Needless),
        Err(error) => return Err(Problem::storage("open", &path, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Share::Taken(file)),
        Err(TryLockError::WouldBlock) => Ok(Share::Refused),
        Err(TryLockError::Error(error)) => Err(Problem::storage("lock", &path, &error)),
    }
}

/// Removes what claims left whose processes died before anything was acknowledged, and what those
/// left who died while they removed it.
pub fn tidy(project: &Project) -> Result<(), Problem> {
    let Ok(entries) = fs::read_dir(project.live()) else { return Ok(()) };
    let _claims = claims(project, Sharing::Alone)?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_run = name.to_str().is_some_and(|name| check_run_id(name).is_ok());
        let has_ended = name.to_str().is_some_and(|name| name.starts_with(ENDED));
        if has_ended && !matches!(share(&entry.path()), Ok(Share::Refused)) {
            clear(&entry.path())?;
        }
        if is_run && entry.path().is_dir() && look_at(&entry.path()) == Ok(None) {
            clear(&entry.path())?;
        }
    }
    Ok(())
}

fn clear(dir: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(dir) {
        // Nothing was there, or another process had the same in mind.
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Problem::storage("remove", dir, &error))
        }
        _ => Ok(()),
    }
}

/// None: nobody's, for its process died before anything was acknowledged.
fn look_at(dir: &Path) -> Result<Option<Standing>, Problem> {
    let is_held = matches!(share(dir)?, Share::Refused);
    let sign = files::read_if_there(&dir.join("owner.json"))?;
    Ok(match (sign, is_held) {
        (Some(sign), true) => Some(Standing::Owned(read_sign(dir, &sign)?)),
        // The log alone tells whether anything was acknowledged; a sign can be lost.
        (_, false) if !LocalStore::never_began(&dir.join(LOG)) => Some(Standing::Interrupted),
        _ => None,
    })
}

fn read_sign(dir: &Path, sign: &[u8]) -> Result<Owner, Problem> {
    let json: serde_json::Value = serde_json::from_slice(sign).unwrap_or_default();
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let pid = json["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    match (pid, text("socket"), text("started"), text("version")) {
        (Some(pid), Some(socket), Some(started), Some(version)) => {
            Ok(Owner { pid, socket: socket.into(), started, version })
        }
        _ => Err(Problem::new(
            Code::Damaged,
            format!("{} does not say who owns the run", dir.join("owner.json").display()),
        )
        .because("somebody does, and cannot be reached without it")
        .try_this(format!("fuser {}    tells the process", dir.join("lock").display()))),
    }
}

#[cfg(test)]
mod tests;
