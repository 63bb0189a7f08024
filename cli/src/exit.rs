//! Exit codes: what they mean, and which one a run or a problem ends with.

use std::process::ExitCode;

use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::RunStatus;

/// How the program ends, as a shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    Failed = 1,
    Usage = 2,
    Cancelled = 3,
    Forbidden = 4,
    Unreachable = 5,
    NotFound = 7,
    Interrupted = 130,
}

/// `dagmar help exit-codes`.
pub const TEXT: &str = "\
Exit codes of dagmar

    0  success (an empty list too)
    1  the run failed, or the command failed for another reason
    2  usage: a bad flag, a pipeline or a parameter with faults; nothing was submitted
    3  the run was cancelled
    4  not allowed
    5  whoever should answer cannot be reached
    7  no such run or step, or more than one
  130  interrupted from the keyboard before anything was submitted

A run that failed never exits 0.
";

impl Exit {
    const ALL: [Exit; 8] = [
        Exit::Success,
        Exit::Failed,
        Exit::Usage,
        Exit::Cancelled,
        Exit::Forbidden,
        Exit::Unreachable,
        Exit::NotFound,
        Exit::Interrupted,
    ];

    /// How another process of this program ended; None where it did not end by itself.
    pub fn of_code(code: i32) -> Option<Self> {
        Exit::ALL.into_iter().find(|exit| i32::from(*exit as u8) == code)
    }

    pub fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Succeeded => Exit::Success,
            RunStatus::Cancelled => Exit::Cancelled,
            // Whoever stops looking while a run goes on has seen no success.
            RunStatus::Failed | RunStatus::Running => Exit::Failed,
        }
    }

    pub fn of_problem(problem: &Problem) -> Self {
        match problem.code {
            Code::NoPipelineFile
            | Code::Usage
            | Code::BadPipeline
            | Code::BadGraph
            | Code::BadRunId => Exit::Usage,
            Code::Forbidden => Exit::Forbidden,
            Code::Unreachable => Exit::Unreachable,
            Code::Ambiguous | Code::NotFound => Exit::NotFound,
            Code::RunIdTaken
            | Code::RunEnded
            | Code::Interrupted
            | Code::StillRunning
            | Code::RequestReused
            | Code::Busy
            | Code::Damaged
            | Code::Storage
            | Code::Newer
            | Code::Internal => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_problem_and_no_failed_run_ends_in_success() {
        for code in Code::ALL {
            assert_ne!(Exit::of_problem(&Problem::new(code, "x")), Exit::Success);
        }
        for status in [RunStatus::Failed, RunStatus::Cancelled, RunStatus::Running] {
            assert_ne!(Exit::of_run(status), Exit::Success);
        }
    }

    #[test]
    fn every_code_stands_in_the_help() {
        for exit in Exit::ALL {
            assert!(TEXT.contains(&format!("{:>5}  ", exit as u8)), "{exit:?}");
        }
    }
}
