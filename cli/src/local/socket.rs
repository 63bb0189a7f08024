//! Where the socket of a live run lies: a short name, in a directory of this user alone.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use dagmar_common::ids::Digest;
use dagmar_common::problem::{Code, Problem};

/// `sun_path` of a Unix socket, its closing zero aside.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The name of a live directory's socket: short, in a directory of this user alone.
pub fn path_of(live_dir: &Path) -> Result<PathBuf, Problem> {
    let full = live_dir.canonicalize().unwrap_or_else(|_| live_dir.to_owned());
    let name = format!("{:.16}.sock", Digest::of(full.as_os_str().as_encoded_bytes()));
    let us = rustix::process::geteuid().as_raw();
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let given = given.filter(|dir| dir.is_absolute() && dir.is_dir()).map(|dir| dir.join("dagmar"));
    let fits = |dir: &PathBuf| dir.join(&name).as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
    // A runtime directory that nothing can be made in is as good as none.
    let given = given.filter(fits).filter(|dir| make_private(dir, us).is_ok());
    if let Some(dir) = given {
        return Ok(dir.join(name));
    }
    let dir = PathBuf::from(format!("/tmp/dagmar-{us}"));
    make_private(&dir, us)?;
    Ok(dir.join(name))
}

/// A directory that is ours and closed to everybody else, made so or found so.
fn make_private(dir: &Path, us: u32) -> Result<(), Problem> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Problem::storage("make", dir, &error)),
    }
    let found = std::fs::symlink_metadata(dir).map_err(|e| Problem::storage("look at", dir, &e))?;
    if found.is_dir() && found.uid() == us && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let name = dir.display();
    Err(Problem::new(Code::Forbidden, format!("{name} is not a directory of this user alone"))
        .because("sockets of live runs lie there; whoever can write to it can pose as one")
        .try_this(format!("chmod 700 {name}    or set XDG_RUNTIME_DIR to a private directory")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn a_long_runtime_directory_is_not_used() {
        let path = path_of(&Path::new("/").join("x".repeat(400))).unwrap();
        assert!(path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        let found = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(found.mode() & 0o777, 0o700);
    }

    #[test]
    fn an_open_directory_is_refused() {
        let scratch = Scratch::new();
        let dir = scratch.path().join("open");
        std::fs::DirBuilder::new().mode(0o755).create(&dir).unwrap();
        let us = rustix::process::geteuid().as_raw();
        assert_eq!(make_private(&dir, us).map_err(|problem| problem.code), Err(Code::Forbidden));
        assert_eq!(make_private(&scratch.path().join("new"), us), Ok(()));
    }
}
