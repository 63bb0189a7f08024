//! `dagmar logs`: what steps wrote, as written; of several steps each line under its name.

use std::collections::BTreeMap;
use std::io::Write;

use crossbeam_channel::select;

use dagmar_common::record::follow::{LogPiece, LogQuestion};

use crate::arguments::LogsArguments;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::reference::bracketed;
use crate::render::text::escaped;

use super::find::find;
use super::{Session, show, signals, stdout};

/// Of one line of one step; a longer line is handed on in parts.
const LINE_BYTES_MAX: usize = 64 << 10;

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
                    printer.print(&piece?)?;
                    has_any = true;
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
    begun: BTreeMap<(String, bool), Vec<u8>>,
}

impl<W: Write> Printer<W> {
    fn new(out: W, asked: Option<String>) -> Self {
        Printer { out, asked, begun: BTreeMap::new() }
    }

    fn print(&mut self, piece: &LogPiece) -> std::io::Result<()> {
        if self.asked.as_deref() == Some(&*piece.path) {
            return self.out.write_all(&piece.bytes);
        }
        let is_stderr = piece.stream == dagmar_common::record::follow::Stream::Stderr;
        let name = match piece.attempt {
            1 => escaped(&bracketed(&piece.path)),
            number => format!("{}:{number}", escaped(&bracketed(&piece.path))),
        };
        let line = self.begun.entry((name.clone(), is_stderr)).or_default();
        for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() > LINE_BYTES_MAX {
                write_line(&mut self.out, &name, line)?;
                line.clear();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        for ((name, _), line) in std::mem::take(&mut self.begun) {
            if !line.is_empty() {
                write_line(&mut self.out, &name, &line)?;
            }
        }
        self.out.flush()
    }
}

fn write_line(out: &mut impl Write, name: &str, line: &[u8]) -> std::io::Result<()> {
    write!(out, "{name} | ")?;
    out.write_all(line)?;
    if line.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") }
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
            printer.print(&LogPiece { path, attempt, stream, bytes }).unwrap();
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
}
