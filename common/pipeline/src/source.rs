//! Places in a text: byte spans while reading, lines and columns for people.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

/// A range of bytes of one source; a pipeline file is far smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(range: Range<usize>) -> Self {
        let clamp = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: clamp(range.start), end: clamp(range.end) }
    }
}

/// Something read, with where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

/// A named text whose lines are counted only when somebody asks for one.
#[derive(Debug)]
pub struct Source<'a> {
    pub name: &'a str,
    pub text: &'a str,
    line_starts: OnceCell<Vec<u32>>,
    /// Offset and column that were asked for last: a file may be one line of 64 MiB.
    last: Cell<(usize, usize)>,
}

impl<'a> Source<'a> {
    pub fn new(name: &'a str, text: &'a str) -> Self {
        Source { name, text, line_starts: OnceCell::new(), last: Cell::new((0, 1)) }
    }

    /// Line and column of an offset, both from 1; columns count characters.
    pub fn place(&self, offset: u32) -> (usize, usize) {
        let line = self.line_of(offset);
        let (start, offset) = (self.line_range(line).start, offset as usize);
        let (known, column) = self.last.get();
        let (from, column) = match (start..=offset).contains(&known) {
            true => (known, column),
            false => (start, 1),
        };
        let between = self.text.get(from..offset).unwrap_or_default();
        let column = column + between.chars().count();
        self.last.set((offset, column));
        (line, column)
    }

    pub fn line_of(&self, offset: u32) -> usize {
        self.line_starts().partition_point(|start| *start <= offset)
    }

    /// The bytes of a line, from 1, without its end.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let starts = self.line_starts();
        let start = starts.get(line.saturating_sub(1)).map_or(self.text.len(), |at| *at as usize);
        let end = starts.get(line).map_or(self.text.len(), |at| *at as usize);
        let line = self.text.get(start..end).unwrap_or_default();
        start..start + line.trim_end_matches(['\n', '\r']).len()
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("f", "ä: b\r\nc: d\n");
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(4), (1, 4));
        assert_eq!(source.place(2), (1, 2));
        assert_eq!(source.place(3), (1, 3));
        assert_eq!(source.place(7), (2, 1));
        assert_eq!(source.place(12), (3, 1));
        assert_eq!(&source.text[source.line_range(1)], "ä: b");
        assert_eq!(&source.text[source.line_range(2)], "c: d");
        assert_eq!(source.line_range(99), 12..12);
    }
}
