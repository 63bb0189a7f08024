//! Who waits for which proposal: found again by (term, index), never by order or content.

use std::collections::BTreeMap;

use dagmar_common::ids::{LogIndex, Term};

use crate::replica::Proposed;

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stands in the log, committed, and is applied now.
    Applied,
    /// Something else stands in its place: it never happened and never will.
    Dropped,
    /// Not known here; who asks again with the same request gets the answer.
    Unknown,
}

/// `T` is whatever the one who waits is found by.
#[derive(Debug)]
pub struct Waiters<T> {
    waiting: BTreeMap<LogIndex, Vec<(Term, T)>>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Waiters { waiting: BTreeMap::new() }
    }
}

impl<T> Waiters<T> {
    pub fn wait(&mut self, proposed: Proposed, tag: T) {
        self.waiting.entry(proposed.index).or_default().push((proposed.term, tag));
    }

    /// An entry is about to be applied; `nothing` says that it carries no commands (raft turns
    /// a change of the membership that it refuses into one).
    pub fn applied(&mut self, term: Term, index: LogIndex, nothing: bool) -> Vec<(Fate, T)> {
        let mut answered = self.passed(LogIndex(index.0.saturating_sub(1)));
        let here = self.waiting.remove(&index).unwrap_or_default();
        answered.extend(here.into_iter().map(|(proposed, tag)| {
            (if proposed == term && !nothing { Fate::Applied } else { Fate::Dropped }, tag)
        }));
        answered
    }

    /// A snapshot took the place of everything up to `index`: what became of it is not known.
    pub fn passed(&mut self, index: LogIndex) -> Vec<(Fate, T)> {
        let later = self.waiting.split_off(&LogIndex(index.0 + 1));
        unknown(std::mem::replace(&mut self.waiting, later))
    }

    /// The leadership is lost, or the process ends.
    pub fn abandon(&mut self) -> Vec<(Fate, T)> {
        unknown(std::mem::take(&mut self.waiting))
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn unknown<T>(waiting: BTreeMap<LogIndex, Vec<(Term, T)>>) -> Vec<(Fate, T)> {
    waiting.into_values().flatten().map(|(_, tag)| (Fate::Unknown, tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(places: &[(u64, u64, &'static str)]) -> Waiters<&'static str> {
        let mut waiters = Waiters::default();
        for (term, index, tag) in places {
            let proposed = Proposed { term: Term(*term), index: LogIndex(*index) };
            waiters.wait(proposed, *tag);
        }
        waiters
    }

    #[test]
    fn the_same_entry_answers_applied_and_any_other_dropped() {
        let mut waiters = waiting(&[(2, 5, "a"), (2, 6, "b"), (2, 7, "c")]);
        assert_eq!(waiters.applied(Term(2), LogIndex(5), false), [(Fate::Applied, "a")]);
        assert_eq!(waiters.applied(Term(3), LogIndex(6), false), [(Fate::Dropped, "b")]);
        assert_eq!(waiters.applied(Term(2), LogIndex(7), true), [(Fate::Dropped, "c")]);
        assert!(waiters.is_empty());
    }

    #[test]
    fn one_index_proposed_in_two_terms_answers_each_by_its_own() {
        let mut waiters = waiting(&[(2, 5, "old"), (4, 5, "new")]);
        let answered = waiters.applied(Term(4), LogIndex(5), false);
        assert_eq!(answered, [(Fate::Dropped, "old"), (Fate::Applied, "new")]);
    }

    #[test]
    fn what_a_snapshot_or_a_lost_leadership_covers_is_not_known() {
        let mut waiters = waiting(&[(2, 5, "a"), (2, 6, "b"), (2, 9, "c")]);
        assert_eq!(waiters.passed(LogIndex(6)), [(Fate::Unknown, "a"), (Fate::Unknown, "b")]);
        assert_eq!(waiters.abandon(), [(Fate::Unknown, "c")]);
        assert!(waiters.abandon().is_empty());
    }
}
