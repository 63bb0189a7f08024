//! The environment of a task: what its worker was started with, its parameters, its name.
//!
//! What trials of one scope share is built once, and sent to the supervisor once under a number;
//! only what names a single trial travels with it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dagmar_common::ids::{Digest, RunNo};
use dagmar_common::lease::Start;
use dagmar_common::parameter;
use dagmar_common::view::Scope;
use dagmar_supervisor::packed::Packed;
use dagmar_supervisor::protocol::{Request, RequestBatch};

use super::parameters;

/// Shared environments that are kept although no trial uses them just now. Beyond it all such
/// are forgotten at once; the next trial of their scope builds its own again.
const IDLE_MAX: usize = 64;

/// What every task gets from us, and none from whoever started the worker.
const OURS: [&str; 17] = [
    "DAGMAR_PARAMETERS",
    "DAGMAR_OUTPUT",
    "DAGMAR_RUN",
    "DAGMAR_STEP",
    "DAGMAR_ITEM",
    "DAGMAR_ATTEMPT",
    "DAGMAR_TRIAL",
    "DAGMAR_FENCE",
    "DAGMAR_IDEMPOTENCY_KEY",
    "DAGMAR_TAG",
    "MAGNUS_RUN_ID",
    "RUNNABLE_RUN_ID",
    "MAGNUS_RUN_TAG",
    "RUNNABLE_RUN_TAG",
    "MAGNUS_STEP_ATTEMPT",
    "RUNNABLE_STEP_ATTEMPT",
    "MAGNUS_MAP_VARIABLE",
];

/// The number of the environment that all others stand over.
const BASE: u32 = 1;

/// Which trials share an environment: those of one run that see one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeKey {
    run: RunNo,
    overlay: Option<usize>,
    base: usize,
}

/// The environments that the supervisor knows.
pub struct Environments {
    /// Every run's files stand under it, in a directory by the run's number.
    root: PathBuf,
    next: u32,
    known: HashMap<ScopeKey, Shared>,
    /// Scopes that say the same share one file.
    files: HashMap<(RunNo, Digest), u32>,
}

struct Shared {
    number: u32,
    users: u32,
    file: (RunNo, Digest),
    /// Kept so that no other scope can come to lie where this one does.
    _scope: Scope,
}

/// What a spawn request needs to know.
pub struct Prepared {
    pub key: ScopeKey,
    pub number: u32,
    /// What names this trial alone.
    pub additions: Packed,
    /// Where its outputs are expected.
    pub output: PathBuf,
}

impl Environments {
    /// `inherited` is what the tasks see of their surroundings, without what is ours to say.
    pub fn new(
        root: PathBuf,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        batch: &mut RequestBatch,
    ) -> Self {
        let mut entries = Packed::new();
        for (name, value) in inherited {
            // Not in UTF-8: no name of ours, and passed on as it is.
            let ours = name
                .to_str()
                .is_some_and(|name| OURS.contains(&name) || parameter::is_variable(name));
            if !ours {
                entries.push(&[name.as_bytes(), b"=", value.as_bytes()].concat());
            }
        }
        batch.push(&Request::Environment { number: BASE, over: None, entries: entries.view() });
        Environments { root, next: BASE + 1, known: HashMap::new(), files: HashMap::new() }
    }

    /// Adds to `batch` what the supervisor does not know yet. Each is released once.
    pub fn prepare(&mut self, start: &Start, batch: &mut RequestBatch) -> io::Result<Prepared> {
        let key = key_of(start);
        let number = match self.known.get_mut(&key) {
            Some(shared) => {
                shared.users += 1;
                shared.number
            }
            None => self.share(key, start, batch)?,
        };
        let output = self.directory(start.name.run).join("outputs");
        let output = output.join(start.fence.to_string());
        let additions = additions(start, &output);
        Ok(Prepared { key, number, additions, output })
    }

    /// A trial that was prepared with `key` has ended.
    pub fn release(&mut self, key: ScopeKey, batch: &mut RequestBatch) {
        if let Some(shared) = self.known.get_mut(&key) {
            shared.users = shared.users.saturating_sub(1);
        }
        // Not before there are many, so that a chain of trials of one scope builds it once.
        if self.known.len() > IDLE_MAX {
            self.forget_idle(batch);
        }
    }

    fn share(&mut self, key: ScopeKey, start: &Start, batch: &mut RequestBatch) -> io::Result<u32> {
        let text = parameters::file_text(&start.scope);
        let file = (key.run, Digest::of(text.as_bytes()));
        let path = self.file_path(&file);
        if !self.files.contains_key(&file) {
            self.write(key.run, &path, &text)?;
        }
        let mut entries = Packed::new();
        parameters::add_variables(&start.scope, &mut entries);
        // Behind the parameters, so that ours stand over one of such a name.
        entries.push_entry("DAGMAR_PARAMETERS", path.as_os_str().as_bytes());
        let (run, tag) = (start.name.run_id.as_str().as_bytes(), start.name.tag.as_bytes());
        for name in ["DAGMAR_RUN", "MAGNUS_RUN_ID", "RUNNABLE_RUN_ID"] {
            entries.push_entry(name, run);
        }
        for name in ["DAGMAR_TAG", "MAGNUS_RUN_TAG", "RUNNABLE_RUN_TAG"] {
            entries.push_entry(name, tag);
        }
        if let Some(items) = parameters::items_text(&start.scope, &start.name.items) {
            entries.push_entry("MAGNUS_MAP_VARIABLE", items.as_bytes());
        }
        let number = self.next;
        self.next += 1;
        let entries = entries.view();
        batch.push(&Request::Environment { number, over: Some(BASE), entries });
        *self.files.entry(file).or_default() += 1;
        let scope = start.scope.clone();
        self.known.insert(key, Shared { number, users: 1, file, _scope: scope });
        Ok(number)
    }

    /// Whole or not at all: a task of another scope with the same text may be reading it.
    fn write(&self, run: RunNo, path: &Path, text: &str) -> io::Result<()> {
        let partial = path.with_extension("part");
        if fs::write(&partial, text).is_err() {
            // The first of its run.
            let directory = self.directory(run);
            fs::create_dir_all(directory.join("outputs"))?;
            fs::create_dir_all(directory.join("parameters"))?;
            fs::write(&partial, text)?;
        }
        fs::rename(&partial, path)
    }

    fn forget_idle(&mut self, batch: &mut RequestBatch) {
        let idle: Vec<ScopeKey> = self
            .known
            .iter()
            .filter(|(_, shared)| shared.users == 0)
            .map(|(key, _)| *key)
            .collect();
        for key in idle {
            let Some(shared) = self.known.remove(&key) else { continue };
            batch.push(&Request::Forget { number: shared.number });
            let Some(sharers) = self.files.get_mut(&shared.file) else { continue };
            *sharers -= 1;
            if *sharers == 0 {
                self.files.remove(&shared.file);
                let path = self.file_path(&shared.file);
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("cannot remove {}: {error}", path.display());
                }
            }
        }
    }

    fn file_path(&self, (run, digest): &(RunNo, Digest)) -> PathBuf {
        self.directory(*run).join("parameters").join(format!("{digest:.16}.json"))
    }

    fn directory(&self, run: RunNo) -> PathBuf {
        self.root.join(run.to_string())
    }
}

fn key_of(start: &Start) -> ScopeKey {
    ScopeKey {
        run: start.name.run,
        overlay: start.scope.overlay.identity(),
        base: start.scope.base.as_ref().map_or(0, |base| std::sync::Arc::as_ptr(base) as usize),
    }
}

fn additions(start: &Start, output: &Path) -> Packed {
    let name = &start.name;
    let mut entries = Packed::new();
    let key = format!("{}/{}", name.run_id, name.path);
    entries.push_entry("DAGMAR_OUTPUT", output.as_os_str().as_bytes());
    entries.push_entry("DAGMAR_STEP", name.path.as_bytes());
    for variable in ["DAGMAR_ATTEMPT", "MAGNUS_STEP_ATTEMPT", "RUNNABLE_STEP_ATTEMPT"] {
        entries.push_entry(variable, name.attempt.to_string().as_bytes());
    }
    entries.push_entry("DAGMAR_FENCE", start.fence.to_string().as_bytes());
    entries.push_entry("DAGMAR_TRIAL", format!("{key}:{}", name.attempt).as_bytes());
    entries.push_entry("DAGMAR_IDEMPOTENCY_KEY", key.as_bytes());
    if !name.indices.is_empty() {
        let indices: Vec<String> = name.indices.iter().map(u32::to_string).collect();
        entries.push_entry("DAGMAR_ITEM", indices.join(".").as_bytes());
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dagmar_common::value::Value;
    use dagmar_common::view::View;
    use dagmar_supervisor::protocol::Frames;

    use super::*;
    use crate::testing::{Directory, start};

    /// Visits the requests in `batch`, which is cleared.
    fn each(batch: &mut RequestBatch, mut visit: impl FnMut(Request<'_>)) {
        let mut frames = Frames::default();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &ours, batch.bytes()).unwrap();
        drop(ours);
        batch.clear();
        while frames.read_from(&theirs).unwrap() > 0 {
            while let Some(body) = frames.next_body().unwrap() {
                visit(Request::read(body).unwrap());
            }
        }
    }

    /// Kinds of the requests in `batch`, which is cleared.
    fn taken(batch: &mut RequestBatch) -> Vec<String> {
        let mut kinds = Vec::new();
        each(batch, |request| {
            kinds.push(match request {
                Request::Environment { number, .. } => format!("environment {number}"),
                Request::Forget { number } => format!("forget {number}"),
                other => format!("{other:?}"),
            });
        });
        kinds
    }

    fn scope(name: &str, value: i64) -> Scope {
        let value = Value::from_loose(&value.to_string());
        Scope { overlay: View::default().with(&Arc::from(name), 0, value), base: None }
    }

    #[test]
    fn one_scope_is_sent_once_and_its_file_lives_as_long_as_its_trials() {
        let directory = Directory::new();
        let mut batch = RequestBatch::default();
        let inherited = ["A", "DAGMAR_RUN", "MAGNUS_PRM_x"].map(|name| (name.into(), "1".into()));
        let mut all = Environments::new(directory.path().into(), inherited, &mut batch);
        assert_eq!(taken(&mut batch), ["environment 1"]);
        let shared = scope("x", 1);
        let mut kept = Vec::new();
        for fence in 1..=3 {
            let mut one = start(fence, "true");
            one.scope = shared.clone();
            kept.push(all.prepare(&one, &mut batch).unwrap());
        }
        assert_eq!(taken(&mut batch), ["environment 2"]);
        let folder = directory.path().join("7/parameters");
        let files = || fs::read_dir(&folder).unwrap().count();
        assert_eq!(files(), 1);
        // The same text under another scope: an environment of its own, the same file.
        let mut other = start(4, "true");
        other.scope = scope("x", 1);
        kept.push(all.prepare(&other, &mut batch).unwrap());
        assert_eq!((files(), taken(&mut batch)), (1, vec!["environment 3".to_owned()]));
        let idle = IDLE_MAX - 1;
        for value in 0..idle as i64 {
            let mut one = start(10 + value as u64, "true");
            one.scope = scope("y", value);
            let prepared = all.prepare(&one, &mut batch).unwrap();
            all.release(prepared.key, &mut batch);
        }
        assert_eq!(files(), 1, "what nobody uses is forgotten, what is used is kept");
        let forgotten = taken(&mut batch);
        assert_eq!(forgotten.iter().filter(|kind| kind.starts_with("forget")).count(), idle);
        for prepared in kept {
            all.release(prepared.key, &mut batch);
        }
        all.forget_idle(&mut batch);
        let mut forgotten = taken(&mut batch);
        forgotten.sort();
        assert_eq!((files(), forgotten), (0, vec!["forget 2".into(), "forget 3".into()]));
    }

    #[test]
    fn a_trial_is_named_and_the_outputs_of_each_stand_apart() {
        let mut batch = RequestBatch::default();
        let directory = Directory::new();
        let mut all = Environments::new(directory.path().into(), [], &mut batch);
        let mut one = start(12, "true");
        one.name.indices = [3, 0].into();
        let prepared = all.prepare(&one, &mut batch).unwrap();
        let value = |name| {
            let value = prepared.additions.view().value_of(name)?;
            Some(String::from_utf8(value.to_vec()).unwrap())
        };
        for (name, expected) in [
            ("DAGMAR_STEP", "map.3.step"),
            ("DAGMAR_ITEM", "3.0"),
            ("DAGMAR_ATTEMPT", "2"),
            ("DAGMAR_FENCE", "12"),
            ("DAGMAR_TRIAL", "calm-run/map.3.step:2"),
            ("DAGMAR_IDEMPOTENCY_KEY", "calm-run/map.3.step"),
        ] {
            assert_eq!(value(name).as_deref(), Some(expected), "{name}");
        }
        let output = directory.path().join("7/outputs/12");
        assert_eq!(prepared.output, output);
        assert!(output.parent().unwrap().is_dir() && !output.exists());
    }

    #[test]
    fn what_is_kept_from_the_surroundings_is_said_by_us() {
        let mut batch = RequestBatch::default();
        let directory = Directory::new();
        let inherited = OURS.map(|name| (name.into(), "forged".into()));
        let mut all = Environments::new(directory.path().into(), inherited, &mut batch);
        let mut one = start(1, "true");
        one.name.indices = [1].into();
        one.name.items = ["x".into()].into();
        one.scope = Scope { overlay: View::default(), base: Some(Arc::new(scope("x", 5))) };
        let prepared = all.prepare(&one, &mut batch).unwrap();
        let mut sent = Vec::new();
        each(&mut batch, |request| {
            if let Request::Environment { entries, .. } = request {
                sent.extend(entries.iter().map(|entry| entry.to_str().unwrap().to_owned()));
            }
        });
        sent.extend(prepared.additions.view().iter().map(|one| one.to_str().unwrap().to_owned()));
        for name in OURS {
            let beginning = format!("{name}=");
            let said: Vec<_> = sent.iter().filter(|one| one.starts_with(&beginning)).collect();
            assert!(said.len() == 1 && !said[0].ends_with("=forged"), "{said:?}");
        }
        for entry in [
            "MAGNUS_MAP_VARIABLE={\"x\": 5}",
            "RUNNABLE_RUN_TAG=nightly",
            "RUNNABLE_STEP_ATTEMPT=2",
            "MAGNUS_STEP_ATTEMPT=2",
        ] {
            assert!(sent.iter().any(|one| one == entry), "{entry}");
        }
    }
}
