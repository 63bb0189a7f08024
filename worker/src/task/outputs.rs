//! The outputs of a task: what its file `$DAGMAR_OUTPUT` says, line by line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use dagmar_common::lease::{Output, OutputWay};
use dagmar_common::limits::OUTCOME_BYTES_MAX;
use dagmar_common::value::Value;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Why a file gives no outputs: what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOutput {
    /// From 1; None: the file as a whole.
    pub line: Option<usize>,
    pub reason: String,
}

impl fmt::Display for BadOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "$DAGMAR_OUTPUT line {line}: {}", self.reason),
            None => write!(f, "$DAGMAR_OUTPUT: {}", self.reason),
        }
    }
}

/// Outputs sorted by name; None if the task wrote no file.
pub fn read(path: &Path) -> Result<Option<Vec<Output>>, BadOutput> {
    let whole = |reason: String| BadOutput { line: None, reason };
    // Whatever the task left there is opened without following a link and without waiting for
    // the other end of a FIFO.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(whole("is a symbolic link; write a plain file".into())),
        Err(errno) => return Err(whole(format!("cannot be read: {errno}"))),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(whole("is no plain file; write lines such as `name=value`".into())),
        Err(error) => return Err(whole(format!("cannot be read: {error}"))),
    }
    let mut bytes = Vec::new();
    if let Err(error) = file.take(OUTCOME_BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
        return Err(whole(format!("cannot be read: {error}")));
    }
    parse(&bytes).map(Some)
}

/// Removes what the task left under its output's name, whatever it is.
pub fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => {
            if let Err(error) = fs::remove_dir_all(path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// `name=value`, or `name<<END`, lines, `END`; the last of a name wins.
pub fn parse(bytes: &[u8]) -> Result<Vec<Output>, BadOutput> {
    if bytes.len() > OUTCOME_BYTES_MAX {
        return Err(too_large("holds more"));
    }
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    let mut lines = Lines { rest: bytes, number: 0 };
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        let number = lines.number;
        let bad = |reason: &str| BadOutput { line: Some(number), reason: reason.to_owned() };
        let (place, heredoc) = match (line.find('='), line.find("<<")) {
            (Some(equals), Some(begins)) if begins < equals => (begins, true),
            (None, Some(begins)) => (begins, true),
            (Some(equals), _) => (equals, false),
            (None, None) => return Err(bad("has no `=`; write `name=value`")),
        };
        let name = line[..place].trim();
        if name.is_empty() {
            return Err(bad("has no name before its value; write `name=value`"));
        }
        if name.chars().any(char::is_control) {
            return Err(bad("has a control character in its name"));
        }
        let value = if heredoc {
            let text = lines.until(line[place + 2..].trim(), number)?;
            Value::from_loose(&text)
        } else {
            Value::from_loose(&line[place + 1..])
        };
        values.insert(name, value);
    }
    let size: usize = values.iter().map(|(name, value)| name.len() + value.spelled().len()).sum();
    if size > OUTCOME_BYTES_MAX {
        return Err(too_large("spelled as JSON holds more"));
    }
    let output = |(name, value)| Output { name: Arc::from(name), value, way: OutputWay::File };
    Ok(values.into_iter().map(output).collect())
}

fn too_large(what: &str) -> BadOutput {
    let most = OUTCOME_BYTES_MAX >> 10;
    let reason = format!("{what} than {most} KiB; write large data to a file and its name here");
    BadOutput { line: None, reason }
}

/// Lines ended by LF or CRLF; the last may go without.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, BadOutput> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = match self.rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(BadOutput {
                line: Some(self.number),
                reason: "is not UTF-8; outputs are text, such as `name=value`".to_owned(),
            }),
        }
    }

    /// The lines before `end`, which stands alone in a line.
    fn until(&mut self, end: &str, opened: usize) -> Result<String, BadOutput> {
        let bad = |reason| BadOutput { line: Some(opened), reason };
        if end.is_empty() {
            return Err(bad("names no end after `<<`; write `name<<END`".to_owned()));
        }
        let mut text = String::new();
        let mut first = true;
        while let Some(line) = self.next()? {
            if line == end {
                return Ok(text);
            }
            if !std::mem::replace(&mut first, false) {
                text.push('\n');
            }
            text.push_str(line);
        }
        Err(bad(format!("opens a value that no line `{end}` ends")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: &[(&str, &str)]) {
        let outputs = parse(file).unwrap();
        let outputs: Vec<_> =
            outputs.iter().map(|output| (&*output.name, output.value.spelled())).collect();
        assert_eq!(outputs, expected);
    }

    #[track_caller]
    fn refused(file: &[u8], line: Option<usize>, reason: &str) {
        let bad = parse(file).unwrap_err();
        assert_eq!(bad.line, line, "{bad}");
        assert!(bad.reason.contains(reason), "{bad}");
    }

    #[test]
    fn values_are_json_if_they_parse_else_text() {
        check(
            b"n=1\nf=2.50\nt=true\nnull=null\ns=\"quoted\"\nl=[1,2]\no={\"b\":1,\"a\":2}\n\
              text=hello world\nempty=\neq=a=b\nalmost=[1,\nnan=NaN\n",
            &[
                ("almost", "\"[1,\""),
                ("empty", "\"\""),
                ("eq", "\"a=b\""),
                ("f", "2.5"),
                ("l", "[1, 2]"),
                ("n", "1"),
                ("nan", "\"NaN\""),
                ("null", "null"),
                ("o", "{\"b\": 1, \"a\": 2}"),
                ("s", "\"quoted\""),
                ("t", "true"),
                ("text", "\"hello world\""),
            ],
        );
    }

    #[test]
    fn the_last_line_wins_whatever_ends_it() {
        check(b"a=1\r\na=2\r\n\r\nb=x\r\na=3", &[("a", "3"), ("b", "\"x\"")]);
        check(b"", &[]);
        check(b"\n\n", &[]);
        check(b" a b = 1", &[("a b", "1")]);
    }

    #[test]
    fn a_value_may_have_lines() {
        check(b"a<<EOF\none\n  two=2\n\nEOF\nb=1\n", &[("a", r#""one\n  two=2\n""#), ("b", "1")]);
        check(b"a<<EOF\r\n{\r\n\"x\": 1}\r\nEOF", &[("a", "{\"x\": 1}")]);
        check(b"a<<E\nE\n", &[("a", "\"\"")]);
        check(b"a=1<<2\n", &[("a", "\"1<<2\"")]);
        refused(b"x=1\na<<EOF\none\nEOF2\n", Some(2), "no line `EOF`");
        refused(b"a<<\none\n", Some(1), "names no end");
    }

    #[test]
    fn a_bad_line_is_named() {
        refused(b"a=1\nno value\n", Some(2), "no `=`");
        refused(b"\n\n=1\n", Some(3), "no name");
        refused(b"  =1\n", Some(1), "no name");
        refused(b"a=1\nb=\xff\n", Some(2), "not UTF-8");
        refused(b"a\x07b=1\n", Some(1), "control");
    }

    #[test]
    fn too_much_is_refused_as_a_whole() {
        let most = OUTCOME_BYTES_MAX - 4;
        check(
            format!("a={}\n", "x".repeat(most)).as_bytes(),
            &[("a", &format!("\"{}\"", "x".repeat(most)))],
        );
        refused(format!("a={}\n", "x".repeat(most + 3)).as_bytes(), None, "64 KiB");
        refused(format!("a={}\n", "é".repeat(most / 3)).as_bytes(), None, "64 KiB");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = crate::testing::Directory::new();
        let path = directory.path().join("out");
        assert_eq!(read(&path), Ok(None));
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(read(&path).unwrap_err().reason.contains("symbolic link"));
        remove(&path);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(read(&path).unwrap_err().reason.contains("no plain file"));
        remove(&path);
        fs::create_dir_all(path.join("a/b")).unwrap();
        assert!(read(&path).unwrap_err().reason.contains("no plain file"));
        remove(&path);
        assert!(!path.exists());
        fs::write(&path, "a=1").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len(), 1);
    }
}
