//! The judge of what clients saw: one order of their requests must explain all answers.
//!
//! Of each run by itself (no request is about two), in the way of Wing, Gong and Lowe: requests
//! take their effect one by one, each at some moment between being asked and being answered; what
//! was never answered took it at any time after, or never. That a run ends is nobody's request,
//! so it may happen at any moment between two of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dagmar_common::ids::RunId;
use dagmar_common::record::RunStatus;

/// What a client asked of one run, and what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// Its submission made the run.
    Made,
    /// Its submission made nothing, for the name was taken.
    Taken,
    /// Its cancel was accepted.
    Cancelled,
    /// It looked, or its cancel was refused.
    Nothing,
    Running,
    Ended(RunStatus),
}

/// Asked at one moment of the history, answered at a later one or not yet.
#[derive(Clone, Copy, Debug)]
struct Request {
    asked: u64,
    answered: u64,
    saw: Saw,
}

/// Names one request in the history until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open(u64);

/// All that clients asked, in the order in which they did.
#[derive(Debug, Default)]
pub struct History {
    now: u64,
    runs: BTreeMap<RunId, Vec<Request>>,
    /// Submissions without an answer: each may have made the run that it asked for.
    open: BTreeMap<Open, RunId>,
}

impl History {
    /// A submission of `run` begins.
    pub fn submits(&mut self, run: &RunId) -> Open {
        let open = self.asks();
        self.open.insert(open, run.clone());
        open
    }

    /// Anything else begins; without an answer it leaves no trace that anybody could miss.
    pub fn asks(&mut self) -> Open {
        self.now += 1;
        Open(self.now)
    }

    pub fn answered(&mut self, open: Open, run: &RunId, saw: Saw) {
        self.now += 1;
        self.open.remove(&open);
        let request = Request { asked: open.0, answered: self.now, saw };
        self.runs.entry(run.clone()).or_default().push(request);
    }

    /// Requests that were answered.
    pub fn len(&self) -> usize {
        self.runs.values().map(Vec::len).sum()
    }

    /// Panics where no order of the requests explains the answers.
    pub fn judge(&self) {
        for (run, answered) in &self.runs {
            let unanswered = self.open.iter().filter(|(_, wanted)| may_make(wanted, run));
            let unanswered = unanswered.map(|(open, _)| Request {
                asked: open.0,
                answered: u64::MAX,
                saw: Saw::Made,
            });
            let mut requests = answered.clone();
            requests.extend(unanswered);
            assert!(is_explained(&mut requests), "no order explains run {run}: {requests:?}");
        }
    }
}

/// A generated name that is taken gets a suffix.
fn may_make(wanted: &RunId, run: &RunId) -> bool {
    let (wanted, run) = (wanted.as_str(), run.as_str());
    run == wanted || run.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('-'))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Run {
    Absent,
    Running,
    Ended(RunStatus),
}

impl Run {
    /// The run after a request with this answer. None: it cannot have been answered so.
    fn after(self, saw: Saw) -> Option<Run> {
        match (self, saw) {
            (Run::Absent, Saw::Made) => Some(Run::Running),
            (Run::Absent, Saw::Nothing) => Some(self),
            (Run::Running, Saw::Running | Saw::Cancelled | Saw::Taken) => Some(self),
            (Run::Running, Saw::Ended(status)) => Some(Run::Ended(status)),
            (Run::Ended(_), Saw::Taken) => Some(self),
            (Run::Ended(before), Saw::Ended(status)) if before == status => Some(self),
            _ => None,
        }
    }
}

/// Depth first: after what has taken its effect, try each request that was asked before the first
/// answer that is still out. A set of requests that led nowhere is never tried again.
fn is_explained(requests: &mut [Request]) -> bool {
    requests.sort_by_key(|request| request.asked);
    let mut seen: HashSet<(Done, Run)> = HashSet::new();
    let mut ways = vec![(Done::default(), Run::Absent)];
    while let Some((done, run)) = ways.pop() {
        let open = || done.open(requests);
        let Some(first) = open().map(|place| requests[place].answered).min() else {
            return true;
        };
        if first == u64::MAX {
            // Whatever is left was never answered, and need not have happened.
            return true;
        }
        for place in open().take_while(|place| requests[*place].asked < first) {
            let Some(after) = run.after(requests[place].saw) else { continue };
            let way = (done.with(place), after);
            if seen.insert(way.clone()) {
                ways.push(way);
            }
        }
    }
    false
}

/// The requests that have taken effect: all before a place, and some behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Done {
    before: usize,
    behind: BTreeSet<usize>,
}

impl Done {
    fn with(&self, place: usize) -> Done {
        let mut done = self.clone();
        done.behind.insert(place);
        while done.behind.remove(&done.before) {
            done.before += 1;
        }
        done
    }

    fn open<'a>(&'a self, requests: &'a [Request]) -> impl Iterator<Item = usize> + 'a {
        (self.before..requests.len()).filter(|place| !self.behind.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const ENDED: Saw = Saw::Ended(RunStatus::Succeeded);

    fn check(requests: &[(u64, u64, Saw)], expected: bool) {
        let request = |&(asked, answered, saw)| Request { asked, answered, saw };
        let mut requests: Vec<Request> = requests.iter().map(request).collect();
        assert_eq!(is_explained(&mut requests), expected, "{requests:?}");
    }

    #[test]
    fn what_one_after_the_other_could_see_is_explained() {
        check(&[(1, 2, Saw::Nothing), (3, 4, Saw::Made), (5, 6, Saw::Running)], true);
        check(&[(1, 2, Saw::Made), (3, 4, ENDED), (5, 6, ENDED), (7, 8, Saw::Taken)], true);
        check(&[(1, 2, Saw::Made), (3, 4, Saw::Cancelled), (5, 6, Saw::Running)], true);
    }

    #[test]
    fn requests_that_overlap_may_have_happened_in_either_order() {
        check(&[(1, 4, Saw::Made), (2, 3, Saw::Nothing)], true);
        check(&[(1, 4, Saw::Made), (2, 3, Saw::Running)], true);
        check(&[(1, 6, Saw::Made), (2, 3, Saw::Running), (4, 5, Saw::Nothing)], false);
    }

    #[test]
    fn an_answer_from_an_old_state_is_seen() {
        check(&[(1, 2, Saw::Made), (3, 4, Saw::Nothing)], false);
        check(&[(1, 2, Saw::Made), (3, 4, ENDED), (5, 6, Saw::Running)], false);
        check(&[(1, 2, Saw::Made), (3, 4, ENDED), (5, 6, Saw::Cancelled)], false);
    }

    #[test]
    fn a_run_out_of_thin_air_and_a_name_given_twice_are_seen() {
        check(&[(1, 2, Saw::Running)], false);
        check(&[(1, 2, Saw::Taken)], false);
        check(&[(1, 2, Saw::Made), (3, 4, Saw::Made)], false);
        let failed = Saw::Ended(RunStatus::Failed);
        check(&[(1, 2, Saw::Made), (3, 4, ENDED), (5, 6, failed)], false);
    }

    #[test]
    fn what_was_never_answered_may_have_happened_late_or_not_at_all() {
        let never = u64::MAX;
        check(&[(1, never, Saw::Made), (2, 3, Saw::Nothing)], true);
        check(&[(1, never, Saw::Made), (2, 3, Saw::Nothing), (4, 5, Saw::Running)], true);
        check(&[(4, never, Saw::Made), (2, 3, Saw::Running)], false);
    }

    #[test]
    fn a_history_is_judged_run_by_run() {
        let named = RunId::new;
        let mut history = History::default();
        let lost = history.submits(&named("brave-otter"));
        let look = history.asks();
        history.answered(look, &named("brave-otter-2"), Saw::Running);
        history.judge();
        assert_eq!(history.len(), 1);
        history.answered(lost, &named("brave-otter"), Saw::Made);
        let judged = std::panic::catch_unwind(|| history.judge());
        assert!(judged.is_err(), "nobody made brave-otter-2");
    }

    /// The same answer as trying every order there is.
    #[test]
    fn it_finds_an_order_exactly_where_there_is_one() {
        let mut random = Random::new(7);
        let mut explained = 0;
        for _ in 0..4_000 {
            let requests = drawn(&mut random);
            let expected = some_order(&requests, Run::Absent);
            assert_eq!(is_explained(&mut requests.clone()), expected, "{requests:?}");
            explained += u32::from(expected);
        }
        assert!((400..3_600).contains(&explained), "{explained} of 4,000 are explained");
    }

    fn drawn(random: &mut Random) -> Vec<Request> {
        let mut moments: Vec<u64> = (1..=12).collect();
        let mut moment = |random: &mut Random| moments.remove(random.below(moments.len()));
        let answers = [Saw::Made, Saw::Made, Saw::Running, Saw::Nothing, ENDED, Saw::Taken];
        let request = |_| {
            let (one, other) = (moment(random), moment(random));
            let (asked, answered) = (one.min(other), one.max(other));
            let saw = random.pick(&answers);
            let is_lost = saw == Saw::Made && random.chance(1, 3);
            Request { asked, answered: if is_lost { u64::MAX } else { answered }, saw }
        };
        (0..5).map(request).collect()
    }

    fn some_order(left: &[Request], run: Run) -> bool {
        let Some(first) = left.iter().map(|request| request.answered).min() else { return true };
        first == u64::MAX
            || left.iter().enumerate().any(|(place, request)| {
                let mut rest = left.to_vec();
                rest.remove(place);
                request.asked < first
                    && run.after(request.saw).is_some_and(|run| some_order(&rest, run))
            })
    }
}
