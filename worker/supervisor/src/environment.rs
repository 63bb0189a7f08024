//! Environments that many tasks share, by number.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::packed::{Packed, PackedView};

/// In the environment of every process of one supervisor, to find those that left their group.
pub const MARK_NAME: &str = "DAGMAR_SUPERVISOR";
/// In the environment of every process of one trial.
pub const FENCE_NAME: &str = "DAGMAR_FENCE";

const PATH_IF_UNSET: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// Variables, each name once.
#[derive(Debug)]
pub struct Environment {
    entries: Packed,
    path: Vec<u8>,
}

impl Environment {
    pub fn entries(&self) -> PackedView<'_> {
        self.entries.view()
    }

    /// Where programs without a slash in their name are looked for.
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

/// What is known by number.
#[derive(Debug, Default)]
pub struct Environments {
    mark: Vec<u8>,
    known: HashMap<u32, Arc<Environment>>,
}

impl Environments {
    /// All of them will carry it.
    pub fn set_mark(&mut self, mark: &[u8]) {
        self.mark = mark.to_vec();
    }

    pub fn mark(&self) -> &[u8] {
        &self.mark
    }

    pub fn get(&self, number: u32) -> Option<&Arc<Environment>> {
        self.known.get(&number)
    }

    pub fn forget(&mut self, number: u32) {
        self.known.remove(&number);
    }

    /// Later entries stand over earlier ones of their name, and all over those of `over`.
    pub fn define(&mut self, number: u32, over: Option<u32>, entries: PackedView<'_>) {
        let base = over.and_then(|over| self.known.get(&over)).cloned();
        let mut packed = Packed::new();
        let mut names: HashSet<&[u8]> = HashSet::from([MARK_NAME.as_bytes()]);
        let _ = packed.push_entry(MARK_NAME, &self.mark);
        let mut own: Vec<_> = entries.iter().map(|entry| entry.to_bytes()).collect();
        own.reverse();
        let inherited = base.iter().flat_map(|base| base.entries().iter());
        for entry in own.into_iter().chain(inherited.map(|entry| entry.to_bytes())) {
            if names.insert(name_of(entry)) {
                packed.push(entry);
            }
        }
        let path = packed.view().value_of("PATH").unwrap_or(PATH_IF_UNSET).to_vec();
        self.known.insert(number, Arc::new(Environment { entries: packed, path }));
    }
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|byte| *byte == b'=').next().unwrap_or(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_entries_and_those_of_the_task_stand_over_the_base() {
        let mut environments = Environments::default();
        environments.set_mark(b"m");
        let mut base = Packed::new();
        for entry in ["A=1", "B=2", "PATH=/x", "DAGMAR_SUPERVISOR=forged", "B=3"] {
            base.push(entry.as_bytes());
        }
        environments.define(1, None, base.view());
        let mut own = Packed::new();
        own.push(b"A=4=5");
        environments.define(2, Some(1), own.view());
        environments.forget(1);
        let environment = environments.get(2).unwrap();
        for (name, value) in [("A", "4=5"), ("B", "3"), ("PATH", "/x"), (MARK_NAME, "m")] {
            let found = environment.entries().value_of(name);
            assert_eq!(found, Some(value.as_bytes()), "{name}");
        }
        assert_eq!(environment.entries().iter().count(), 4);
        assert_eq!(environment.path(), b"/x");
    }
}
