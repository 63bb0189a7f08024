//! JSON as text, written as it comes: whoever writes a million items holds none of them.

use std::io::{self, Write};

/// Writes one JSON value, indented by four. Keys and ends must match; nothing checks it but tests.
pub struct JsonWriter<W> {
    out: W,
    depth: usize,
    /// Nothing was written yet at this depth.
    is_first: bool,
    /// A key stands before the next value.
    after_key: bool,
}

impl<W: Write> JsonWriter<W> {
    pub fn new(out: W) -> Self {
        JsonWriter { out, depth: 0, is_first: true, after_key: false }
    }

    pub fn begin_object(&mut self) -> io::Result<()> {
        self.begin(b"{")
    }

    pub fn end_object(&mut self) -> io::Result<()> {
        self.end(b"}")
    }

    pub fn begin_array(&mut self) -> io::Result<()> {
        self.begin(b"[")
    }

    pub fn end_array(&mut self) -> io::Result<()> {
        self.end(b"]")
    }

    pub fn key(&mut self, name: &str) -> io::Result<()> {
        self.place()?;
        serde_json::to_writer(&mut self.out, name)?;
        self.after_key = true;
        self.out.write_all(b": ")
    }

    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.place()?;
        Ok(serde_json::to_writer(&mut self.out, text)?)
    }

    /// A number, `true`, `null`, or other JSON that is spelled already.
    pub fn raw(&mut self, json: impl std::fmt::Display) -> io::Result<()> {
        self.place()?;
        write!(self.out, "{json}")
    }

    pub fn text_field(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.key(name)?;
        self.text(text)
    }

    pub fn field(&mut self, name: &str, json: impl std::fmt::Display) -> io::Result<()> {
        self.key(name)?;
        self.raw(json)
    }

    pub fn object_field(&mut self, name: &str) -> io::Result<()> {
        self.key(name)?;
        self.begin_object()
    }

    pub fn array_field(&mut self, name: &str) -> io::Result<()> {
        self.key(name)?;
        self.begin_array()
    }

    /// A line end behind the last value, and what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, mark: &[u8]) -> io::Result<()> {
        self.place()?;
        self.depth += 1;
        self.is_first = true;
        self.out.write_all(mark)
    }

    fn end(&mut self, mark: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_first {
            self.line()?;
        }
        self.is_first = false;
        self.out.write_all(mark)
    }

    /// What stands between the last thing and the next one.
    fn place(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.after_key) || self.depth == 0 {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",")?;
        }
        self.line()
    }

    fn line(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")?;
        for _ in 0..self.depth {
            self.out.write_all(b"    ")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_parses_and_is_indented() {
        let mut json = JsonWriter::new(Vec::new());
        json.begin_object().unwrap();
        json.text_field("a \"b\"", "line\nend\u{1b}").unwrap();
        json.object_field("empty").unwrap();
        json.end_object().unwrap();
        json.array_field("list").unwrap();
        json.raw(1).unwrap();
        json.begin_array().unwrap();
        json.end_array().unwrap();
        json.end_array().unwrap();
        json.field("flag", true).unwrap();
        json.end_object().unwrap();
        let text = String::from_utf8(json.finish().unwrap()).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["list"][0], 1);
        assert_eq!(
            text,
            "{\n    \"a \\\"b\\\"\": \"line\\nend\\u001b\",\n    \"empty\": {},\n    \"list\": [\n\
             \x20       1,\n        []\n    ],\n    \"flag\": true\n}\n"
        );
    }
}
