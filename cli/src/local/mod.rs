//! Runs without a server: where they lie in a directory, who owns them, what is left of them.

pub mod archive;
pub mod client;
pub mod damage;
pub mod embedded;
pub mod ended;
pub mod files;
pub mod git;
pub mod index;
pub mod live;
pub mod logs;
pub mod owner;
pub mod socket;
pub mod still;
mod store;

use std::path::{Path, PathBuf};

use dagmar_common::ids::RunId;
use dagmar_common::limits::RUN_ID_BYTES_MAX;
use dagmar_common::problem::{Code, Problem, shown};

/// A directory with pipelines, and the `.dagmar` in it.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Project { root: root.into() }
    }

    /// The working directory, by its full name: sockets are named after it.
    pub fn here() -> Result<Self, Problem> {
        match std::env::current_dir() {
            Ok(root) => Ok(Project { root }),
            Err(error) => Err(Problem::new(
                Code::Storage,
                format!("the working directory cannot be found: {error}"),
            )
            .try_this("cd to a directory that is there")),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn dagmar(&self) -> PathBuf {
        self.root.join(".dagmar")
    }

    pub fn live(&self) -> PathBuf {
        self.dagmar().join("live")
    }

    /// Archives of ended runs, a directory a run, in it one a generation.
    pub fn runs(&self) -> PathBuf {
        self.dagmar().join("runs")
    }

    pub fn index(&self) -> PathBuf {
        self.dagmar().join("index")
    }

    /// Makes the directories, and keeps them out of the user's repository.
    pub fn prepare(&self) -> Result<(), Problem> {
        for dir in [self.live(), self.runs()] {
            std::fs::create_dir_all(&dir).map_err(|e| Problem::storage("make", &dir, &e))?;
        }
        let ignore = self.dagmar().join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n").map_err(|e| Problem::storage("write", &ignore, &e))?;
        }
        Ok(())
    }
}

/// A name that may become a directory and stand in a reference, or why not.
pub fn check_run_id(text: &str) -> Result<RunId, Problem> {
    let fault = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > RUN_ID_BYTES_MAX {
        format!("it is longer than {RUN_ID_BYTES_MAX} bytes")
    } else if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        "it does not begin with a letter or a digit".to_owned()
    } else if let Some(bad) =
        text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c))
    {
        format!("{bad:?} cannot stand in it")
    } else {
        return Ok(RunId::new(text));
    };
    Err(Problem::new(Code::BadRunId, format!("\"{}\" is no run id: {fault}", shown(text)))
        .try_this("letters, digits, `-`, `_` and `.`, such as nightly-2026-11-20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_a_plain_name() {
        for good in ["a", "greedy-yonath-1608", "nightly_2026.11", "7"] {
            assert_eq!(check_run_id(good), Ok(RunId::new(good)));
        }
        let long = "x".repeat(RUN_ID_BYTES_MAX + 1);
        for bad in ["", ".", "..", ".hidden", "-x", "a/b", "a b", "a[1]", "@latest", "ä", &long] {
            assert!(check_run_id(bad).is_err(), "{bad}");
        }
    }
}
