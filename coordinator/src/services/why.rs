//! The reasons of the state machine as sentences.

use std::sync::Arc;

use dagmar_common::record::words::{self, of_count, of_cpus};
use dagmar_common::record::{NodeStatus, follow};
use dagmar_common::time::LogTime;
use dagmar_coordinator_core::ask::{Lack, Reason};

/// Whether somebody works on the run that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Moving,
    AtRest,
}

/// `now` in log time, for what is due later. Nothing of a step that is not there.
pub fn sentences(
    path: Option<&str>,
    reasons: Vec<Reason>,
    now: LogTime,
    pace: Pace,
) -> Vec<follow::Reason> {
    let path: Arc<str> = path.unwrap_or_default().into();
    let reasons = reasons.into_iter().filter(|reason| !matches!(reason, Reason::NoSuchStep));
    reasons.map(|reason| told(path.clone(), reason, now, pace)).collect()
}

fn told(path: Arc<str>, reason: Reason, now: LogTime, pace: Pace) -> follow::Reason {
    if let Reason::Step { path, reason } = reason {
        return told(path, *reason, now, pace);
    }
    let details = match &reason {
        Reason::Needs { workers, .. } => {
            let mut details: Vec<String> = workers
                .iter()
                .map(|(name, lack)| format!("{name}: {}", lacks(*lack, now)))
                .collect();
            let is_small = |(_, lack): &(_, Lack)| matches!(lack, Lack::TooSmall { .. });
            if !workers.is_empty() && workers.iter().all(is_small) {
                details.push("ask for fewer `cpus` and run it anew; till then it waits".to_owned());
            }
            details
        }
        _ => Vec::new(),
    };
    let sentence = match reason {
        Reason::Running { attempt, has_begun: true, is_once: true, .. } if pace == Pace::AtRest => {
            format!(
                "attempt {attempt} was interrupted and may not be started twice; it fails when \
                 the run goes on"
            )
        }
        Reason::Running { attempt, has_begun: true, .. } if pace == Pace::AtRest => {
            format!("attempt {attempt} was interrupted; it begins again when the run goes on")
        }
        Reason::WaitsFor { step, status: NodeStatus::Leased } if pace == Pace::AtRest => {
            format!("it waits for {step}, which was interrupted")
        }
        Reason::Running { attempt, .. } if pace == Pace::AtRest => {
            format!("attempt {attempt} had not begun; it begins when the run goes on")
        }
        reason => sentence(reason, now),
    };
    follow::Reason { path, sentence, details }
}

fn sentence(reason: Reason, now: LogTime) -> String {
    match reason {
        Reason::NoSuchRun => "there is no such run".to_owned(),
        Reason::NoSuchStep => "there is no such step in this run".to_owned(),
        Reason::RunEnded { status } => {
            format!("the run has ended: {}", words::of_run_spoken(status))
        }
        Reason::RunStopping { why } => format!("the run is being stopped: {why}"),
        Reason::Ended { status } => format!("it has ended: {}", words::of_node_spoken(status)),
        Reason::WaitsFor { step, status } => {
            format!("it waits for {step}, which is {}", words::of_node_spoken(status))
        }
        Reason::ItemWaits { open, next } => {
            let open = of_count(u64::from(open), "item");
            format!("its item waits for a place: {open} at work, item {next} is next")
        }
        Reason::Backoff { until, attempt } => {
            format!("attempt {attempt} begins in {}", seconds(until, now))
        }
        Reason::Running { worker, attempt, has_begun: false, .. } => {
            format!("attempt {attempt} waits on worker {worker} for its turn")
        }
        Reason::Running { worker, attempt, .. } => {
            format!("attempt {attempt} runs on worker {worker}")
        }
        Reason::Items { open, ended, failed, count } => {
            let items = of_count(u64::from(count), "item");
            let have = if ended == 1 { "has" } else { "have" };
            let are = if open == 1 { "is" } else { "are" };
            format!("{ended} of {items} {have} ended, {failed} of them failed; {open} {are} open")
        }
        Reason::Needs { cpu_millis, workers } if workers.is_empty() => {
            format!("it needs {}, and there is no worker", of_cpus(u64::from(cpu_millis)))
        }
        Reason::Needs { cpu_millis, workers } => {
            let needs = of_cpus(u64::from(cpu_millis));
            let fits = |(_, lack): &(_, Lack)| !matches!(lack, Lack::TooSmall { .. });
            match workers.iter().any(fits) {
                true => format!("it needs {needs} on one worker"),
                false => format!("no worker can run it: it needs {needs} on one (E0217)"),
            }
        }
        Reason::Behind { ready } => {
            let steps = of_count(u64::from(ready), "step");
            format!("{steps} of this run became ready before it")
        }
        Reason::BehindRuns { runs: 1 } => "1 other run is served first".to_owned(),
        Reason::BehindRuns { runs } => format!("{runs} other runs are served first"),
        Reason::Agenda => "its turn on the agenda has not come yet".to_owned(),
        Reason::Step { .. } => String::new(),
        Reason::MoreSteps { count: 1 } => "1 more step waits".to_owned(),
        Reason::MoreSteps { count } => format!("{count} more steps wait"),
    }
}

fn lacks(lack: Lack, now: LogTime) -> String {
    match lack {
        Lack::Suspended { since } => format!("not heard of for {}", seconds(now, since)),
        Lack::Lost => "lost".to_owned(),
        Lack::Draining => "gets no more work: it is being drained".to_owned(),
        Lack::TooSmall { cpu_millis } => format!("has {} in all", of_cpus(u64::from(cpu_millis))),
        Lack::Busy { free } => format!("has {} free", of_cpus(free)),
        Lack::Reserved => "kept for a step that has waited longer".to_owned(),
        Lack::Nothing => "takes it with the next entry".to_owned(),
    }
}

fn seconds(later: LogTime, earlier: LogTime) -> String {
    let tenths = later.0.saturating_sub(earlier.0) / 100_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: Reason, expected: &str, details: &[&str]) {
        let told = &sentences(Some("fit"), vec![reason], LogTime(5_000_000), Pace::Moving)[0];
        assert_eq!((told.sentence.as_str(), &*told.path), (expected, "fit"));
        assert_eq!(told.details, details);
    }

    #[test]
    fn one_is_not_many() {
        check(Reason::Behind { ready: 1 }, "1 step of this run became ready before it", &[]);
        check(Reason::Behind { ready: 2 }, "2 steps of this run became ready before it", &[]);
        check(Reason::BehindRuns { runs: 1 }, "1 other run is served first", &[]);
        check(Reason::MoreSteps { count: 1 }, "1 more step waits", &[]);
        check(
            Reason::Items { open: 1, ended: 1, failed: 0, count: 2 },
            "1 of 2 items has ended, 0 of them failed; 1 is open",
            &[],
        );
    }

    #[test]
    fn what_is_lacking_is_said_worker_by_worker() {
        let workers = vec![
            ("a".into(), Lack::Busy { free: 500 }),
            ("b".into(), Lack::TooSmall { cpu_millis: 1_000 }),
            ("c".into(), Lack::Suspended { since: LogTime(2_000_000) }),
        ];
        check(
            Reason::Needs { cpu_millis: 1_500, workers },
            "it needs 1.5 cpus on one worker",
            &["a: has 0.5 cpus free", "b: has 1 cpu in all", "c: not heard of for 3.0 s"],
        );
        check(
            Reason::Needs {
                cpu_millis: 16_000,
                workers: vec![("a".into(), Lack::TooSmall { cpu_millis: 2_000 })],
            },
            "no worker can run it: it needs 16 cpus on one (E0217)",
            &["a: has 2 cpus in all", "ask for fewer `cpus` and run it anew; till then it waits"],
        );
        let until = LogTime(7_250_000);
        check(Reason::Backoff { until, attempt: 2 }, "attempt 2 begins in 2.2 s", &[]);
    }
}
