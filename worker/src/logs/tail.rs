//! The last lines of an attempt, as they stand in the run log of a failure.

use dagmar_common::limits::{LAST_LINES_BYTES_MAX, LAST_LINES_MAX};

use super::Stream;

/// More than is shown, so that a line that was cut at its front is told from a whole one.
const KEPT_BYTES: usize = 2 * LAST_LINES_BYTES_MAX;

/// The end of what an attempt wrote, both streams in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
    last: Option<Stream>,
}

impl Tail {
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        // A stream that goes on behind the other's unfinished line begins a line.
        let other = self.last.is_some_and(|last| last != stream);
        if other && !matches!(self.bytes.last(), None | Some(b'\n')) {
            self.bytes.push(b'\n');
        }
        self.last = Some(stream);
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT_BYTES)..]);
        if self.bytes.len() > 2 * KEPT_BYTES {
            self.bytes.drain(..self.bytes.len() - KEPT_BYTES);
        }
    }

    /// At most [`LAST_LINES_MAX`] lines and [`LAST_LINES_BYTES_MAX`] bytes, whole lines where they
    /// fit. Bytes that are no UTF-8 become U+FFFD; control characters stay as they are.
    pub fn lines(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        let mut start = text.len();
        for (count, line) in text.split('\n').rev().enumerate() {
            let from = start.saturating_sub(line.len() + usize::from(count > 0));
            if count == LAST_LINES_MAX || text.len() - from > LAST_LINES_BYTES_MAX {
                break;
            }
            start = from;
        }
        if start == text.len() {
            // One line that is too long: its end.
            start = text.len().saturating_sub(LAST_LINES_BYTES_MAX);
            while !text.is_char_boundary(start) {
                start += 1;
            }
        }
        text[start..].trim_start_matches('\n').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[(Stream, &[u8])], expected: &str) {
        let mut tail = Tail::default();
        for (stream, bytes) in pieces {
            tail.push(*stream, bytes);
        }
        assert_eq!(tail.lines(), expected);
    }

    #[test]
    fn the_last_lines_as_they_were_written() {
        use Stream::{Stderr, Stdout};
        check(&[], "");
        check(&[(Stdout, b"one\n")], "one");
        check(&[(Stdout, b"\n\none\n\n")], "one");
        check(&[(Stdout, b"un"), (Stdout, b"done"), (Stderr, b"oh\n")], "undone\noh");
        check(&[(Stdout, b"a\tb\x1b[31m\r\n\xffc\r\n")], "a\tb\x1b[31m\r\n\u{fffd}c");
    }

    #[test]
    fn lines_and_bytes_are_bounded() {
        let many: String = (0..100).map(|number| format!("{number}\n")).collect();
        let last: Vec<String> = (80..100).map(|number| number.to_string()).collect();
        check(&[(Stream::Stdout, many.as_bytes())], &last.join("\n"));
        let long = "é".repeat(LAST_LINES_BYTES_MAX);
        let end = "é".repeat(LAST_LINES_BYTES_MAX / 2);
        check(&[(Stream::Stdout, long.as_bytes())], &end);
        let wide = "x".repeat(LAST_LINES_BYTES_MAX / 2);
        let lines = format!("{wide}1\n{wide}2\n{wide}3\n");
        check(&[(Stream::Stderr, lines.as_bytes())], &format!("{wide}3"));
        // In many small pieces, as a slow writer makes them.
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.push(Stream::Stdout, format!("{number}\n").as_bytes());
        }
        assert!(tail.lines().ends_with("99998\n99999"));
        assert_eq!(tail.lines().lines().count(), LAST_LINES_MAX);
    }
}
