//! A problem as a person and a program meet it: a stable code, a sentence, a place, what to type.

use std::fmt;
use std::io::ErrorKind;

/// Something that was asked for and could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// One sentence that names the thing it is about.
    pub message: String,
    /// `file:line:column`, a run, a step; empty where the sentence says it.
    pub place: String,
    /// Why, one line each.
    pub details: Vec<String>,
    /// What to type next, one line each.
    pub help: Vec<String>,
}

/// What kind of problem it is. Numbers are stable: scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Code {
    /// The file that was named, or any of the usual ones, is not there.
    NoPipelineFile = 1,
    /// The command line does not say what to do.
    Usage = 2,
    /// The pipeline or its parameters have faults, each with a code of its own (E0101 to E0299).
    BadPipeline = 100,
    /// A graph was sent that no compiler wrote.
    BadGraph = 140,
    /// The run id is not one, or another request took it.
    BadRunId = 300,
    RunIdTaken = 301,
    /// The run has ended; what was asked is for runs that go on.
    RunEnded = 302,
    /// Nobody works on the run: its process is gone.
    Interrupted = 303,
    /// The run goes on; what was asked is for runs that have stopped.
    StillRunning = 304,
    /// The same request id came with other content.
    RequestReused = 305,
    /// More is waiting than there is room for; ask again later.
    Busy = 306,
    /// Somebody else's, or not allowed.
    Forbidden = 401,
    /// Nobody answers where the run should be.
    Unreachable = 501,
    Ambiguous = 701,
    NotFound = 702,
    /// Stored bytes are not what was written.
    Damaged = 901,
    /// The system refused to read or write.
    Storage = 902,
    /// A newer program wrote or asked this.
    Newer = 903,
    /// A fault of this program.
    Internal = 999,
}

impl Code {
    pub const ALL: [Code; 19] = [
        Code::NoPipelineFile,
        Code::Usage,
        Code::BadPipeline,
        Code::BadGraph,
        Code::BadRunId,
        Code::RunIdTaken,
        Code::RunEnded,
        Code::Interrupted,
        Code::StillRunning,
        Code::RequestReused,
        Code::Busy,
        Code::Forbidden,
        Code::Unreachable,
        Code::Ambiguous,
        Code::NotFound,
        Code::Damaged,
        Code::Storage,
        Code::Newer,
        Code::Internal,
    ];

    pub fn number(self) -> u16 {
        self as u16
    }

    pub fn from_number(number: u16) -> Option<Self> {
        Code::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The reason as one word for programs.
    pub fn reason(self) -> &'static str {
        match self {
            Code::NoPipelineFile => "NO_PIPELINE_FILE",
            Code::Usage => "USAGE",
            Code::BadPipeline => "BAD_PIPELINE",
            Code::BadGraph => "BAD_GRAPH",
            Code::BadRunId => "BAD_RUN_ID",
            Code::RunIdTaken => "ALREADY_EXISTS",
            Code::RunEnded => "RUN_ENDED",
            Code::Interrupted => "INTERRUPTED",
            Code::StillRunning => "STILL_RUNNING",
            Code::RequestReused => "REQUEST_REUSED",
            Code::Busy => "BUSY",
            Code::Forbidden => "FORBIDDEN",
            Code::Unreachable => "UNREACHABLE",
            Code::Ambiguous => "AMBIGUOUS",
            Code::NotFound => "NOT_FOUND",
            Code::Damaged => "DAMAGED",
            Code::Storage => "STORAGE",
            Code::Newer => "NEWER",
            Code::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.number())
    }
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
            place: String::new(),
            details: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A system call that failed on `path` while doing `what`.
    pub fn storage(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        // `No such file or directory (os error 2)`: the number is no help.
        let (error_text, kind) = (error.to_string(), error.kind());
        let said = error_text.split(" (os error").next().unwrap_or_default();
        let problem =
            Problem::new(Code::Storage, format!("cannot {what} {}: {said}", path.display()));
        match help_of_system(kind) {
            Some(help) => problem.try_this(help),
            None => problem,
        }
    }

    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    #[must_use]
    pub fn try_this(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// What a person can do about a refusal of the system, where that is plain.
fn help_of_system(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on this file system, then the same again"
        }
        ErrorKind::PermissionDenied => "the same as the user who owns it, or chmod it",
        ErrorKind::ReadOnlyFilesystem => "the same in a directory that can be written",
        _ => return None,
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// A piece of somebody's text inside a message: in quotes or backticks, short, nothing hidden.
pub fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut out = String::new();
    for (count, symbol) in text.chars().enumerate() {
        if count == MOST {
            out.push('…');
            break;
        }
        let is_hidden = symbol.is_control()
            || matches!(symbol, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}');
        match is_hidden {
            true => out.extend(symbol.escape_default()),
            false => out.push(symbol),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_number_and_a_reason_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(code));
            let same = Code::ALL.iter().filter(|other| other.reason() == code.reason());
            assert_eq!(same.count(), 1, "{code}");
            let row = format!("| {code} | `{}` |", code.reason());
            assert!(include_str!("../../docs/errors.md").contains(&row), "no {row}");
        }
        assert_eq!(Code::from_number(3), None);
        assert_eq!(Code::Usage.to_string(), "E0002");
    }

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(shown("a\u{202e}b\0\n"), "a\\u{202e}b\\u{0}\\n");
        assert_eq!(shown(&"x".repeat(99)), format!("{}…", "x".repeat(60)));
    }
}
