//! The reasons of the state machine as sentences.

use std::sync::Arc;

use dagmar_common::record::follow;
use dagmar_common::record::words;
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
            workers.iter().map(|(name, lack)| format!("{name}: {}", lacks(*lack, now))).collect()
        }
        _ => Vec::new(),
    };
    let sentence = match reason {
        Reason::Running { attempt, .. } if pace == Pace::AtRest => {
            format!("attempt {attempt} was interrupted; it begins again when the run goes on")
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
            format!("its item waits: {open} are open, item {next} is next")
        }
        Reason::Backoff { until, attempt } => {
            format!("attempt {attempt} begins in {}", seconds(until, now))
        }
        Reason::Running { worker, attempt, is_ahead: true, .. } => {
            format!("attempt {attempt} waits on worker {worker} for its turn")
        }
        Reason::Running { worker, attempt, .. } => {
            format!("attempt {attempt} runs on worker {worker}")
        }
        Reason::Items { open, ended, failed, count } => {
            format!("{ended} of {count} items have ended, {failed} of them failed; {open} are open")
        }
        Reason::Needs { cpu_millis, workers } if workers.is_empty() => {
            format!("it needs {}, and there is no worker", cpus(u64::from(cpu_millis)))
        }
        Reason::Needs { cpu_millis, .. } => {
            format!("it needs {} on one worker", cpus(u64::from(cpu_millis)))
        }
        Reason::Behind { ready } => format!("{ready} steps of this run became ready before it"),
        Reason::BehindRuns { runs } => format!("{runs} other runs are served first"),
        Reason::Agenda => "its turn on the agenda has not come yet".to_owned(),
        Reason::Step { .. } => String::new(),
        Reason::MoreSteps { count } => format!("{count} more steps wait"),
    }
}

fn lacks(lack: Lack, now: LogTime) -> String {
    match lack {
        Lack::Suspended { since } => format!("not heard of for {}", seconds(now, since)),
        Lack::Lost => "lost".to_owned(),
        Lack::Draining => "gets no more work: it is being drained".to_owned(),
        Lack::TooSmall { cpu_millis } => format!("has {} in all", cpus(u64::from(cpu_millis))),
        Lack::Busy { free } => format!("has {} free", cpus(free)),
        Lack::Reserved => "kept for a step that has waited longer".to_owned(),
        Lack::Nothing => "takes it with the next entry".to_owned(),
    }
}

fn cpus(millis: u64) -> String {
    let (whole, part) = (millis / 1_000, millis % 1_000);
    let number = match part {
        0 => whole.to_string(),
        _ => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    };
    if millis == 1_000 { "1 cpu".to_owned() } else { format!("{number} cpus") }
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
        let until = LogTime(7_250_000);
        check(Reason::Backoff { until, attempt: 2 }, "attempt 2 begins in 2.2 s", &[]);
    }
}
