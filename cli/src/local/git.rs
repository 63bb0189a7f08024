//! Which code lies in a directory: commit, changed files and remote, read in process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use git2::{ErrorCode, Repository, Status, StatusOptions};
use serde_json::{Value, json};

use dagmar_common::problem::Problem;
use dagmar_common::record::CodeIdentity;
use dagmar_common::time::WallTime;

use super::files;

/// Changed files that are named; the others are counted.
const CHANGES_NAMED_MAX: usize = 20;
/// A run that has ended waits so long for a large repository to be looked through.
const PATIENCE: Duration = Duration::from_secs(5);

/// A look at the code that goes on beside the run.
pub struct Looking {
    since: WallTime,
    found: Receiver<CodeIdentity>,
}

/// Begins to look, on a thread of its own: no step waits for it.
pub fn begin(dir: &Path, since: WallTime) -> Looking {
    let (sender, found) = channel();
    let dir = dir.to_owned();
    let look = move || {
        // A run that did not wait for the answer has closed the other end.
        let _ = sender.send(identity(&dir, since));
    };
    // Without a thread the sender is dropped, and the identity says that nothing was found.
    let _ = std::thread::Builder::new().name("code-identity".to_owned()).spawn(look);
    Looking { since, found }
}

impl Looking {
    /// Asked when the run has ended.
    pub fn finish(self) -> CodeIdentity {
        let nothing = unknown(self.since, "the repository could not be looked through in time");
        self.found.recv_timeout(PATIENCE).unwrap_or(nothing)
    }
}

/// The identity of the code around `dir`. Whatever is missing is said, never an error.
pub fn identity(dir: &Path, since: WallTime) -> CodeIdentity {
    let repository = match Repository::discover(dir) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => {
            return unknown(since, "not a git repository");
        }
        Err(error) => return unknown(since, error.message()),
    };
    let (identifier, fault) = match repository.head().and_then(|head| head.peel_to_commit()) {
        Ok(commit) => (commit.id().to_string(), None),
        Err(error) if error.code() == ErrorCode::UnbornBranch => {
            (String::new(), Some("nothing is committed yet".to_owned()))
        }
        Err(error) => (String::new(), Some(error.message().to_owned())),
    };
    let changes = changes(&repository);
    let (is_clean, message) = match (fault, changes) {
        (Some(fault), _) | (None, Err(fault)) => (false, fault),
        (None, Ok(changes)) => (changes.is_empty(), told(&changes)),
    };
    CodeIdentity {
        since,
        identifier,
        kind: "git".to_owned(),
        dependable: is_clean,
        url: remote(&repository),
        message,
    }
}

/// Tracked files that differ from the commit, by their paths.
fn changes(repository: &Repository) -> Result<Vec<String>, String> {
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false).exclude_submodules(true);
    let statuses = repository.statuses(Some(&mut options));
    let statuses = statuses.map_err(|error| error.message().to_owned())?;
    let changed = statuses.iter().filter(|entry| entry.status() != Status::CURRENT);
    Ok(changed.map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned()).collect())
}

fn told(changes: &[String]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let named = changes.len().min(CHANGES_NAMED_MAX);
    let mut text = format!("changes found in {}", changes[..named].join(", "));
    if named < changes.len() {
        text += &format!(" and {} more", changes.len() - named);
    }
    text
}

/// Of `origin`, else of the first remote there is; without a name or password in it.
fn remote(repository: &Repository) -> String {
    let named = |name: &str| {
        let remote = repository.find_remote(name).ok()?;
        remote.url().ok().map(without_secrets)
    };
    if let Some(url) = named("origin") {
        return url;
    }
    let names = repository.remotes();
    let first =
        names.ok().and_then(|names| names.iter().flatten().flatten().next().and_then(named));
    first.unwrap_or_default()
}

fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn unknown(since: WallTime, why: &str) -> CodeIdentity {
    CodeIdentity {
        since,
        kind: "git".to_owned(),
        message: why.to_owned(),
        ..CodeIdentity::default()
    }
}

fn remembered_in(live: &Path) -> PathBuf {
    live.join("code")
}

/// Notes an identity in a live directory, for whoever archives or resumes the run.
pub fn remember(live: &Path, code: &CodeIdentity) -> Result<(), Problem> {
    let path = remembered_in(live);
    let line = json!({
        "since": code.since.0,
        "identifier": code.identifier,
        "kind": code.kind,
        "dependable": code.dependable,
        "url": code.url,
        "message": code.message,
    });
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let written = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.map_err(|error| Problem::storage("write", &path, &error))
}

/// Every identity noted so far, oldest first. A line that does not read is left out.
pub fn remembered(live: &Path) -> Result<Vec<CodeIdentity>, Problem> {
    let bytes = files::read_if_there(&remembered_in(live))?.unwrap_or_default();
    let one = |line: &[u8]| {
        let json: Value = serde_json::from_slice(line).ok()?;
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        Some(CodeIdentity {
            since: WallTime(json["since"].as_i64()?),
            identifier: text("identifier")?,
            kind: text("kind")?,
            dependable: json["dependable"].as_bool()?,
            url: text("url")?,
            message: text("message")?,
        })
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOON, Scratch};

    fn commit(repository: &Repository, file: &str) {
        let mut index = repository.index().unwrap();
        index.add_path(Path::new(file)).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("a", "a@example.org").unwrap();
        repository.commit(Some("HEAD"), &author, &author, "first", &tree, &[]).unwrap();
    }

    #[test]
    fn every_kind_of_directory_has_an_answer() {
        let scratch = Scratch::new();
        let dir = scratch.path();
        let nothing = identity(dir, NOON);
        assert_eq!((&*nothing.message, nothing.dependable), ("not a git repository", false));

        let repository = Repository::init(dir).unwrap();
        std::fs::write(dir.join("a.py"), "1\n").unwrap();
        let unborn = identity(dir, NOON);
        assert_eq!((&*unborn.message, &*unborn.identifier), ("nothing is committed yet", ""));

        commit(&repository, "a.py");
        std::fs::write(dir.join("result.csv"), "untracked").unwrap();
        let clean = identity(dir, NOON);
        assert_eq!((clean.dependable, &*clean.message, &*clean.url), (true, "", ""));
        assert_eq!(clean.identifier.len(), 40);

        repository.remote("origin", "https://anna:token@example.org/house.git").unwrap();
        std::fs::write(dir.join("a.py"), "2 + 2\n").unwrap();
        let dirty = identity(dir, NOON);
        assert_eq!((dirty.dependable, &*dirty.message), (false, "changes found in a.py"));
        assert_eq!(dirty.url, "https://example.org/house.git");
        assert_eq!(begin(dir, NOON).finish(), dirty);
    }

    #[test]
    fn many_changes_are_counted() {
        let changes: Vec<String> = (0..25).map(|number| format!("f{number}")).collect();
        assert!(told(&changes).ends_with("f19 and 5 more"));
    }

    #[test]
    fn no_remote_tells_a_secret() {
        let check = |url, clean: &str| assert_eq!(without_secrets(url), clean);
        check("https://anna:token@example.org/a.git", "https://example.org/a.git");
        check("https://example.org/a@b.git", "https://example.org/a@b.git");
        check("git@example.org:house/a.git", "git@example.org:house/a.git");
        check("ssh://git@example.org", "ssh://example.org");
    }

    #[test]
    fn identities_are_remembered_over_lives() {
        let scratch = Scratch::new();
        assert_eq!(remembered(scratch.path()), Ok(Vec::new()));
        let first = testing::code();
        let second = CodeIdentity { since: WallTime(NOON.0 + 1), ..testing::code() };
        remember(scratch.path(), &first).unwrap();
        remember(scratch.path(), &second).unwrap();
        let path = remembered_in(scratch.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"since\": 1, \"ident");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(remembered(scratch.path()), Ok(vec![first, second]));
    }
}
