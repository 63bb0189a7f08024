//! The words that a run log and every screen use for how things stand and how they ended.

use super::{AttemptRecord, AttemptStatus, NodeStatus, RunStatus};
use crate::lease::ExitReason;
use crate::time::{Span, WallTime};

/// As the ancestors' run logs spell it, with the states that they did not know.
pub fn of_run(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "PROCESSING",
        RunStatus::Succeeded => "SUCCESS",
        RunStatus::Failed => "FAIL",
        RunStatus::Cancelled => "CANCELLED",
    }
}

pub fn of_node(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Waiting | NodeStatus::Ready => "CREATED",
        NodeStatus::Leased => "PROCESSING",
        NodeStatus::Succeeded => "SUCCESS",
        NodeStatus::Failed => "FAIL",
        NodeStatus::Skipped => "SKIPPED",
        NodeStatus::Cancelled => "CANCELLED",
    }
}

pub fn of_attempt(status: AttemptStatus) -> &'static str {
    match status {
        AttemptStatus::Running => "PROCESSING",
        AttemptStatus::Succeeded => "SUCCESS",
        AttemptStatus::Failed => "FAIL",
        AttemptStatus::Cancelled => "CANCELLED",
        AttemptStatus::Lost => "LOST",
        AttemptStatus::Unknown => "UNKNOWN",
    }
}

/// For people, in the middle of a sentence.
pub fn of_run_spoken(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "running",
        RunStatus::Succeeded => "done",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
    }
}

pub fn of_node_spoken(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Waiting | NodeStatus::Ready => "waiting",
        NodeStatus::Leased => "running",
        NodeStatus::Succeeded => "done",
        NodeStatus::Failed => "failed",
        NodeStatus::Skipped => "skipped",
        NodeStatus::Cancelled => "cancelled",
    }
}

pub fn of_attempt_spoken(status: AttemptStatus) -> &'static str {
    match status {
        AttemptStatus::Running => "running",
        AttemptStatus::Succeeded => "done",
        AttemptStatus::Failed => "failed",
        AttemptStatus::Cancelled => "cancelled",
        AttemptStatus::Lost => "lost",
        AttemptStatus::Unknown => "of unknown end",
    }
}

/// Of thousandths: `1 cpu`, `0.5 cpus`.
pub fn of_cpus(millis: u64) -> String {
    let (whole, part) = (millis / 1_000, millis % 1_000);
    let number = match part {
        0 => whole.to_string(),
        _ => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    };
    if millis == 1_000 { "1 cpu".to_owned() } else { format!("{number} cpus") }
}

/// `1 step`, `2 steps`: of a thing whose plural ends in s.
pub fn of_count(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Why an attempt ended so; empty where that needs no words.
pub fn of_cause(attempt: &AttemptRecord) -> String {
    match (attempt.reason, attempt.status) {
        (Some(reason), _) => of_exit(reason),
        (None, AttemptStatus::Lost) => "its worker or its supervisor died".to_owned(),
        (None, _) => String::new(),
    }
}

/// For people: `exit 1`, `killed by SIGKILL`, `time limit`.
pub fn of_exit(reason: ExitReason) -> String {
    match reason {
        ExitReason::Code(code) => format!("exit {code}"),
        ExitReason::Signal(signal) => match signal_name(signal) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {signal}"),
        },
        ExitReason::TimeLimit => "time limit".to_owned(),
        ExitReason::NotStarted(errno) => {
            format!("cannot be started: {}", std::io::Error::from_raw_os_error(errno))
        }
        ExitReason::BadOutput => "its output file cannot be read as outputs".to_owned(),
    }
}

/// For programs: `exit=1`, `signal=9`, `reason=TIME_LIMIT`.
pub fn of_exit_as_field(reason: ExitReason) -> String {
    match reason {
        ExitReason::Code(code) => format!("exit={code}"),
        ExitReason::Signal(signal) => format!("signal={signal}"),
        ExitReason::TimeLimit => "reason=TIME_LIMIT".to_owned(),
        ExitReason::NotStarted(errno) => format!("reason=NOT_STARTED errno={errno}"),
        ExitReason::BadOutput => "reason=BAD_OUTPUT".to_owned(),
    }
}

fn signal_name(signal: u8) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return None,
    })
}

/// As Python prints a `datetime` with a time zone: `2023-12-15 16:08:51.869129+00:00`.
pub fn of_time(at: WallTime) -> String {
    let (year, month, day, hour, minute, second, micros) = at.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

/// As Python prints a `timedelta`: `0:00:00.009299`.
pub fn of_span(span: Span) -> String {
    let (seconds, micros) = (span.0 / 1_000_000, span.0 % 1_000_000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut text = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        _ => format!("{days} days, "),
    };
    text += &format!("{}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
    if micros > 0 {
        text += &format!(".{micros:06}");
    }
    text
}

/// How long an attempt took; None where nobody lived to tell.
pub fn of_took(status: AttemptStatus, took: Span) -> Option<String> {
    status.has_duration().then(|| of_span_shortly(took))
}

/// For people, short: `8ms`, `0.2s`, `41s`, `3m12s`, `2h05m`.
pub fn of_span_shortly(span: Span) -> String {
    let millis = span.0 / 1_000;
    let seconds = millis / 1_000;
    match seconds {
        0 if millis < 100 => format!("{millis}ms"),
        0..10 => format!("{}.{}s", seconds, millis / 100 % 10),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// For people: `812 bytes`, `4.1 kB`, `32.9 MB`.
pub fn of_bytes(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes / 100 % 10),
        1_000_000..1_000_000_000 => {
            format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
        }
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

/// What is missing of an attempt's output; empty: nothing.
pub fn of_missing(attempt: &AttemptRecord) -> String {
    match attempt.log {
        Some(log) if log.dropped > 0 => format!("{} of output dropped", of_bytes(log.dropped)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        let said = [1, 999, 1_000, 32_949_999, 2_500_000_000].map(of_bytes);
        assert_eq!(said, ["1 byte", "999 bytes", "1.0 kB", "32.9 MB", "2.5 GB"]);
    }

    #[test]
    fn times_read_as_python_prints_them() {
        assert_eq!(of_time(WallTime(1_702_656_531_869_129)), "2023-12-15 16:08:51.869129+00:00");
        assert_eq!(of_span(Span(9_299)), "0:00:00.009299");
        assert_eq!(of_span(Span::from_secs(3_661)), "1:01:01");
        assert_eq!(of_span(Span::from_secs(2 * 86_400 + 5)), "2 days, 0:00:05");
    }

    #[test]
    fn lengths_are_short_for_people() {
        let check = |millis, text: &str| {
            assert_eq!(of_span_shortly(Span::from_millis(millis)), text);
        };
        check(0, "0ms");
        check(99, "99ms");
        check(204, "0.2s");
        check(9_990, "9.9s");
        check(41_000, "41s");
        check(192_000, "3m12s");
        check(7_500_000, "2h05m");
        check(90_000_000, "1d01h");
    }

    #[test]
    fn an_end_says_what_it_was() {
        assert_eq!(of_exit(ExitReason::Code(3)), "exit 3");
        assert_eq!(of_exit(ExitReason::Signal(9)), "killed by SIGKILL");
        assert_eq!(of_exit(ExitReason::Signal(40)), "killed by signal 40");
        assert!(of_exit(ExitReason::NotStarted(2)).contains("No such file"));
    }
}
