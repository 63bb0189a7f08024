//! What the current thread is doing to a log, for whoever has to tell of its panic.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use dagmar_common::ids::LogIndex;

/// Something that a panic is to be told with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Underway {
    /// The log in this directory is read for the first time: a panic is the engine's word for
    /// damage.
    Opening(PathBuf),
    Applying(LogIndex),
}

thread_local! {
    static HERE: RefCell<Option<Underway>> = const { RefCell::new(None) };
}

/// Until it is dropped, which an unwinding panic does only after its hook has looked.
#[derive(Debug)]
pub struct Mark(());

impl Drop for Mark {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

pub fn opening(directory: &Path) -> Mark {
    HERE.set(Some(Underway::Opening(directory.to_owned())));
    Mark(())
}

pub fn applying(index: LogIndex) -> Mark {
    HERE.set(Some(Underway::Applying(index)));
    Mark(())
}

pub fn here() -> Option<Underway> {
    HERE.with(|here| here.try_borrow().ok()?.clone())
}
