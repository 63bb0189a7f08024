//! The outputs of a task: the lines of its file `$DAGMAR_OUTPUT`, and beneath them its variables.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use dagmar_common::lease::{Output, OutputWay};
use dagmar_common::limits::{EXPORTS_BYTES_MAX, OUTCOME_BYTES_MAX};
use dagmar_common::parameter;
use dagmar_common::problem::shown;
use dagmar_common::value::Value;
use dagmar_common::view::Scope;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::bad_output::{BadOutput, Place};
use super::exports;

/// All outputs of a task, sorted by name; `given` is what a script saw that tells what it exports.
/// Nothing of it is left.
pub fn collect(path: &Path, given: Option<&Scope>) -> Result<Vec<Output>, BadOutput> {
    let lines = read(path, Place::File, OUTCOME_BYTES_MAX);
    let exports = given.map(|given| (exports::file(path), given));
    let told = exports.as_ref().map(|(path, _)| read(path, Place::Exports, EXPORTS_BYTES_MAX));
    if !matches!(lines, Ok(None)) {
        remove_one(path);
    }
    if let Some((path, _)) = &exports {
        remove_one(path);
    }
    let lines = lines?.map_or_else(|| Ok(Vec::new()), |bytes| parse(&bytes))?;
    let (Some(Some(told)), Some(given)) = (told.transpose()?, given) else { return Ok(lines) };
    let mut all = exports::outputs(&told, given)?;
    // A line of the file wins over a variable.
    all.extend(lines.into_iter().map(|output| (output.name.to_string(), output)));
    let all: Vec<Output> = all.into_values().collect();
    let size: usize = all.iter().map(|one| one.name.len() + one.value.spelled().len()).sum();
    match size > OUTCOME_BYTES_MAX {
        true => Err(too_large(Place::All, "hold more", OUTCOME_BYTES_MAX)),
        false => Ok(all),
    }
}

/// None if there is no such file.
fn read(path: &Path, place: Place, most: usize) -> Result<Option<Vec<u8>>, BadOutput> {
    let whole = |reason: String| BadOutput { place: place.clone(), reason };
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
    if let Err(error) = file.take(most as u64 + 1).read_to_end(&mut bytes) {
        return Err(whole(format!("cannot be read: {error}")));
    }
    match bytes.len() > most {
        true => Err(too_large(place, "holds more", most)),
        false => Ok(Some(bytes)),
    }
}

/// Removes what the task left for us, whatever it is.
pub fn remove(path: &Path, tells_exports: bool) {
    remove_one(path);
    if tells_exports {
        remove_one(&exports::file(path));
    }
}

fn remove_one(path: &Path) {
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
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    let mut lines = Lines { rest: bytes, number: 0 };
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        let number = lines.number;
        let bad =
            |reason: &str| BadOutput { place: Place::Line(number), reason: reason.to_owned() };
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
        if !parameter::is_name(name) {
            let rule = parameter::NAME_RULE;
            return Err(bad(&format!("`{}` is no name for a parameter: {rule}", shown(name))));
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
        return Err(too_large(Place::File, "spelled as JSON holds more", OUTCOME_BYTES_MAX));
    }
    let output = |(name, value)| Output { name: Arc::from(name), value, way: OutputWay::File };
    Ok(values.into_iter().map(output).collect())
}

fn too_large(place: Place, what: &str, most: usize) -> BadOutput {
    let most = most >> 10;
    let reason = format!("{what} than {most} KiB; write large data to a file and its name here");
    BadOutput { place, reason }
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
                place: Place::Line(self.number),
                reason: "is not UTF-8; outputs are text, such as `name=value`".to_owned(),
            }),
        }
    }

    /// The lines before `end`, which stands alone in a line.
    fn until(&mut self, end: &str, opened: usize) -> Result<String, BadOutput> {
        let bad = |reason| BadOutput { place: Place::Line(opened), reason };
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
    fn refused(file: &[u8], place: Place, reason: &str) {
        let bad = parse(file).unwrap_err();
        assert_eq!(bad.place, place, "{bad}");
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
        check(b" a-b = 1", &[("a-b", "1")]);
    }

    #[test]
    fn a_value_may_have_lines() {
        check(b"a<<EOF\none\n  two=2\n\nEOF\nb=1\n", &[("a", r#""one\n  two=2\n""#), ("b", "1")]);
        check(b"a<<EOF\r\n{\r\n\"x\": 1}\r\nEOF", &[("a", "{\"x\": 1}")]);
        check(b"a<<E\nE\n", &[("a", "\"\"")]);
        check(b"a=1<<2\n", &[("a", "\"1<<2\"")]);
        refused(b"x=1\na<<EOF\none\nEOF2\n", Place::Line(2), "no line `EOF`");
        refused(b"a<<\none\n", Place::Line(1), "names no end");
    }

    #[test]
    fn a_bad_line_is_named() {
        refused(b"a=1\nno value\n", Place::Line(2), "no `=`");
        refused(b"\n\n=1\n", Place::Line(3), "no name");
        refused(b"  =1\n", Place::Line(1), "no name");
        refused(b"a=1\nb=\xff\n", Place::Line(2), "not UTF-8");
        let rule = "is no name for a parameter: a name has no spaces";
        refused(b"a\x07b=1\n", Place::Line(1), &format!("`a\\u{{7}}b` {rule}"));
        refused(b"a b=1\n", Place::Line(1), &format!("`a b` {rule}"));
        refused(b"ok=1\r\na\0=1\r\n", Place::Line(2), &format!("`a\\u{{0}}` {rule}"));
        refused(b"x y<<END\nEND\n", Place::Line(1), &format!("`x y` {rule}"));
        let long = "n".repeat(300);
        let short = "n".repeat(60);
        refused(format!("{long}=1").as_bytes(), Place::Line(1), &format!("`{short}…` {rule}"));
        refused(b"\x7fELF\x02\x01\x00=\xd0", Place::Line(1), "not UTF-8");
    }

    #[test]
    fn too_much_is_refused_as_a_whole() {
        let most = OUTCOME_BYTES_MAX - 4;
        check(
            format!("a={}\n", "x".repeat(most)).as_bytes(),
            &[("a", &format!("\"{}\"", "x".repeat(most)))],
        );
        refused(format!("a={}\n", "é".repeat(most / 3)).as_bytes(), Place::File, "64 KiB");
    }

    /// `leave` puts something in the place of the file, or nothing.
    #[track_caller]
    fn check_left(leave: impl FnOnce(&Path), expected: Result<usize, &str>) {
        let directory = crate::testing::Directory::new();
        let path = directory.path().join("out");
        leave(&path);
        match (collect(&path, None), expected) {
            (Ok(outputs), Ok(count)) => assert_eq!(outputs.len(), count),
            (Err(bad), Err(reason)) => assert!(bad.reason.contains(reason), "{bad}"),
            (found, _) => panic!("{found:?}"),
        }
        assert!(path.symlink_metadata().is_err(), "it is removed");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let mode = Mode::RUSR | Mode::WUSR;
        let fifo = |path: &Path| {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
        };
        check_left(|_| (), Ok(0));
        check_left(|path| fs::write(path, "a=1").unwrap(), Ok(1));
        check_left(fifo, Err("no plain file"));
        check_left(|path| fs::create_dir_all(path.join("a/b")).unwrap(), Err("no plain file"));
        let link = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        check_left(link, Err("symbolic link"));
        let endless = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
        check_left(endless, Err("64 KiB"));
        check_left(|path| fs::write(path, "a=".repeat(1 << 19)).unwrap(), Err("64 KiB"));
    }

    #[test]
    fn lines_win_over_variables_and_both_have_one_bound() {
        let directory = crate::testing::Directory::new();
        let path = directory.path().join("out");
        let leave = |lines: &str, exports: &str| {
            fs::write(&path, lines).unwrap();
            fs::write(exports::file(&path), exports).unwrap();
            let collected = collect(&path, Some(&Scope::default()));
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
            collected
        };
        let all = leave("x=1\nb=2\n", "export MAGNUS_PRM_x=9\nexport MAGNUS_PRM_a=3\n").unwrap();
        let all: Vec<_> =
            all.iter().map(|one| (&*one.name, one.value.spelled(), one.way)).collect();
        use OutputWay::{File, Variable};
        assert_eq!(all, [("a", "3", Variable), ("b", "2", File), ("x", "1", File)]);
        let half = "x".repeat(OUTCOME_BYTES_MAX / 2);
        let exports = format!("export DAGMAR_PRM_b={half}");
        let bad = leave(&format!("a={half}\n"), &exports).unwrap_err().to_string();
        assert!(bad.starts_with("the outputs of this step: hold more than 64 KiB; "), "{bad}");
        fs::create_dir(exports::file(&path)).unwrap();
        let bad = collect(&path, Some(&Scope::default())).unwrap_err().to_string();
        assert!(bad.starts_with("what this script exports: is no plain file"), "{bad}");
    }
}
