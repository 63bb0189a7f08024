//! `dagmar logs`: what steps wrote, as written; of several steps each line under its name.

use std::collections::BTreeMap;
use std::io::Write;

use crossbeam_channel::select;

use dagmar_common::record::follow::{LogEnd, LogPiece, LogQuestion};
use dagmar_common::record::words;

use crate::arguments::LogsArguments;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::reference::bracketed;
use crate::render::text::escaped;

use super::find::find;
use super::{Session, show, signals, stdout};

/// Of one line of one step; a longer line is handed on in parts.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Between a step's name and what follows: a line of its, the same line going on, a word of ours.
const LINE: &str = "|";
const GOES_ON: &str = "+";
const REMARK: &str = "!";

pub fn perform(session: &Session, arguments: &LogsArguments) -> Done {
    let found = find(session, &arguments.run)?;
    let question = LogQuestion {
        path: found.path.as_deref().map(Into::into),
        attempt: found.attempt,
        follow: arguments.follow,
    };
    if arguments.follow {
        // Else whoever mistyped a name would wait for the end of the run to hear it.
        show::check_is_there(&found)?;
    }
    let interrupts = if arguments.follow { signals::listen() } else { crossbeam_channel::never() };
    let pieces = found.runs.logs(&found.run, question)?;
    let mut has_any = false;
    let mut printer = Printer::new(stdout(), found.path.clone());
    loop {
        select! {
            recv(pieces) -> piece => match piece {
                Ok(piece) => {
                    let note = printer.print(&piece?)?;
                    has_any = true;
                    if let Some(note) = note {
                        printer.flush()?;
                        session.hint(&note);
                    }
                }
                Err(_) => break,
            },
            recv(interrupts) -> _ => {
                printer.finish()?;
                let run = &found.run;
                session.hint(&format!(
                    "the run goes on: dagmar logs -f {run}    stop it: dagmar cancel {run}"
                ));
                return Err(Failure::Interrupted);
            }
        }
        // Whoever follows wants to see a line when it is written.
        if pieces.is_empty() {
            printer.flush()?;
        }
    }
    printer.finish()?;
    if !has_any {
        show::check_is_there(&found)?;
    }
    Ok(Exit::Success)
}

/// Writes pieces as they come: bare for one step, line by line under names for several.
struct Printer<W> {
    out: W,
    /// The step that was asked for: its own pieces stand bare.
    asked: Option<String>,
    /// Begun lines of each step and stream.
    begun: BTreeMap<(String, bool), Begun>,
}

#[derive(Default)]
struct Begun {
    line: Vec<u8>,
    /// Its beginning stands on a line of its own already.
    goes_on: bool,
}

impl Begun {
    fn write(&mut self, name: &str, out: &mut impl Write) -> std::io::Result<()> {
        let is_whole = self.line.ends_with(b"\n");
        write!(out, "{name} {} ", if self.goes_on { GOES_ON } else { LINE })?;
        out.write_all(&self.line)?;
        self.goes_on = !is_whole;
        self.line.clear();
        if is_whole { Ok(()) } else { out.write_all(b"\n") }
    }
}

impl<W: Write> Printer<W> {
    fn new(out: W, asked: Option<String>) -> Self {
        Printer { out, asked, begun: BTreeMap::new() }
    }

    /// What is to be said beside it: bytes that stand bare stand alone.
    fn print(&mut self, piece: &LogPiece) -> std::io::Result<Option<String>> {
        let is_stderr = piece.stream == dagmar_common::record::follow::Stream::Stderr;
        let name = match piece.attempt {
            1 => escaped(&bracketed(&piece.path)),
            number => format!("{}:{number}", escaped(&bracketed(&piece.path))),
        };
        let is_bare = self.asked.as_deref() == Some(&*piece.path);
        if let Some(end) = &piece.end {
            self.end(&name)?;
            let Some(missing) = missing(end) else { return Ok(None) };
            if is_bare {
                return Ok(Some(format!("warning: {name}: {missing}")));
            }
            writeln!(self.out, "{name} {REMARK} {missing}")?;
        } else if is_bare {
            self.out.write_all(&piece.bytes)?;
        } else {
            let begun = self.begun.entry((name.clone(), is_stderr)).or_default();
            for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
                begun.line.extend_from_slice(part);
                if begun.line.ends_with(b"\n") || begun.line.len() > LINE_BYTES_MAX {
                    begun.write(&name, &mut self.out)?;
                }
            }
        }
        Ok(None)
    }

    /// The rest of what an attempt wrote, before what another one under its name writes.
    fn end(&mut self, name: &str) -> std::io::Result<()> {
        for is_stderr in [false, true] {
            if let Some(mut begun) = self.begun.remove(&(name.to_owned(), is_stderr))
                && !begun.line.is_empty()
            {
                begun.write(name, &mut self.out)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        for ((name, _), mut begun) in std::mem::take(&mut self.begun) {
            if !begun.line.is_empty() {
                begun.write(&name, &mut self.out)?;
            }
        }
        self.out.flush()
    }
}

/// None where an attempt's output is whole.
fn missing(end: &LogEnd) -> Option<String> {
    match end {
        LogEnd { dropped: 1.., .. } => {
            Some(format!("{} of output dropped", words::of_bytes(end.dropped)))
        }
        LogEnd { is_cut: true, .. } => {
            Some("cut off: who kept it died, and up to a second of output with it".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dagmar_common::record::follow::Stream;

    use super::*;

    fn printed(asked: Option<&str>, pieces: &[(&str, u32, Stream, &str)]) -> String {
        let mut printer = Printer::new(Vec::new(), asked.map(str::to_owned));
        for (path, attempt, stream, text) in pieces {
            let bytes = text.as_bytes().to_vec();
            let (path, attempt, stream) = ((*path).into(), *attempt, *stream);
            let end = text.is_empty().then_some(LogEnd { dropped: 32_949_999, is_cut: false });
            printer.print(&LogPiece { path, attempt, stream, bytes, end }).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(printer.out).unwrap()
    }

    #[test]
    fn one_step_stands_as_it_was_written() {
        let pieces = [("a", 1, Stream::Stdout, "one\ntw"), ("a", 1, Stream::Stderr, "o\n")];
        assert_eq!(printed(Some("a"), &pieces), "one\ntwo\n");
    }

    #[test]
    fn lines_of_several_steps_are_whole_and_named() {
        let pieces = [
            ("a", 1, Stream::Stdout, "one\ntw"),
            ("m.3.w", 2, Stream::Stdout, "other\n"),
            ("a", 1, Stream::Stderr, "error\n"),
            ("a", 1, Stream::Stdout, "o\nrest"),
        ];
        assert_eq!(
            printed(None, &pieces),
            "a | one\nm[3].w:2 | other\na | error\na | two\na | rest\n"
        );
    }

    #[test]
    fn an_attempt_ends_where_it_ends_and_says_what_is_missing() {
        let pieces = [
            ("a", 1, Stream::Stdout, "half"),
            ("a", 1, Stream::Stdout, ""),
            ("a", 1, Stream::Stdout, "again\n"),
        ];
        let expected = "a | half\na ! 32.9 MB of output dropped\na | again\n";
        assert_eq!(printed(None, &pieces), expected);
        assert_eq!(printed(Some("a"), &pieces), "halfagain\n");
    }

    #[test]
    fn a_line_that_is_too_long_goes_on() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let pieces =
            [("a", 1, Stream::Stdout, long.as_str()), ("a", 1, Stream::Stdout, "end\nnext\n")];
        assert_eq!(printed(None, &pieces), format!("a | {long}\na + end\na | next\n"));
    }
}
