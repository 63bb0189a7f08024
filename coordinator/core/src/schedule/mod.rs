//! The scheduler: classes of equal requirement, and who may run next, once in every entry.

pub(crate) mod class;
mod grant;
mod recall;

use std::collections::BTreeSet;

use dagmar_common::graph::{Care, Resources};
use dagmar_common::ids::WorkerNo;
use dagmar_common::time::LogTime;

pub(crate) use class::{Class, Head};

/// All classes, and how far the last entry came with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    /// Never fewer: a class keeps its number and its mean.
    pub classes: Vec<Class>,
    /// Workers that have room, or may have, since they were last looked at.
    pub fresh: BTreeSet<WorkerNo>,
    /// The pairs of one entry did not suffice.
    pub is_unfinished: bool,
}

impl Schedule {
    /// The class of a requirement, which is made where it is new.
    pub fn intern(&mut self, resources: Resources, care: Care, now: LogTime) -> u32 {
        let wanted = (resources, care);
        let known = self.classes.iter().position(|class| (class.resources, class.care) == wanted);
        let place = known.unwrap_or_else(|| {
            self.classes.push(Class::new(resources, care, now));
            self.classes.len() - 1
        });
        place as u32
    }

    /// A copy without what follows from the runs.
    pub fn freeze(&self) -> Self {
        let bare = |class: &Class| {
            let mut bare = Class::new(class.resources, class.care, class.stuck_since);
            (bare.mean, bare.is_new) = (class.mean, class.is_new);
            (bare.cursor, bare.reserved) = (class.cursor, class.reserved);
            bare
        };
        Schedule {
            classes: self.classes.iter().map(bare).collect(),
            fresh: self.fresh.clone(),
            is_unfinished: self.is_unfinished,
        }
    }

    pub fn need(&self, class: u32) -> u32 {
        self.classes[class as usize].need()
    }
}
