//! Values of parameters: JSON, held as text in the spelling of Python's `json.dumps`.

use std::fmt::Write as _;
use std::sync::Arc;

/// One JSON value, spelled canonically; equal values written alike are equal text.
///
/// The state machine only carries values, so text is all it needs; whoever looks inside parses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Arc<str>);

impl Value {
    pub fn from_json(json: &serde_json::Value) -> Self {
        let mut text = String::new();
        spell(json, &mut text);
        Value(text.into())
    }

    /// JSON if it parses, else the text itself as a JSON string: how outputs and `-p` are read.
    pub fn from_loose(text: &str) -> Self {
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => Value::from_json(&json),
            Err(_) => Value::text(text),
        }
    }

    pub fn text(text: &str) -> Self {
        Value::from_json(&serde_json::Value::String(text.to_owned()))
    }

    /// Takes text that is already in our spelling, such as what [`Value::spelled`] gave.
    pub fn from_spelled(text: impl Into<Arc<str>>) -> Self {
        Value(text.into())
    }

    /// As `json.dumps` spells it.
    pub fn spelled(&self) -> &str {
        &self.0
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }

    /// As a person or a shell wants it: a string stands bare, all else as spelled.
    pub fn bare(&self) -> String {
        match self.to_json() {
            serde_json::Value::String(text) => text,
            _ => self.0.to_string(),
        }
    }
}

/// Writes `json` as `json.dumps` does: `, ` and `: `, non-ASCII escaped, key order kept.
fn spell(json: &serde_json::Value, out: &mut String) {
    match json {
        serde_json::Value::Null => out.push_str("null"),
        serde_json::Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        serde_json::Value::Number(number) => out.push_str(&spell_number(&number.to_string())),
        serde_json::Value::String(text) => spell_text(text, out),
        serde_json::Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                spell(item, out);
            }
            out.push(']');
        }
        serde_json::Value::Object(fields) => {
            out.push('{');
            for (place, (key, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                spell_text(key, out);
                out.push_str(": ");
                spell(value, out);
            }
            out.push('}');
        }
    }
}

fn spell_text(text: &str, out: &mut String) {
    out.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(symbol),
            _ => {
                for unit in symbol.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Whole numbers stay as written, however long; others become Python's shortest `repr`.
fn spell_number(written: &str) -> String {
    if !written.contains(['.', 'e', 'E']) {
        return if written == "-0" { "0".to_owned() } else { written.to_owned() };
    }
    let Ok(number) = written.parse::<f64>() else { return written.to_owned() };
    // What no double holds is still a number of JSON, which has no word for infinity.
    if !number.is_finite() {
        return written.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = format!("{number}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, spelled: &str) {
        assert_eq!(Value::from_loose(written).spelled(), spelled);
    }

    #[test]
    fn spells_as_python_does() {
        check(r#"{"x":10,"foo":"bar"}"#, r#"{"x": 10, "foo": "bar"}"#);
        check("[1,2.0,3.5e20,1e-7,-0.0]", "[1, 2.0, 3.5e+20, 1e-07, -0.0]");
        check("100000000000000000000000001", "100000000000000000000000001");
        check("[1e999,-1.5E400]", "[1e+999, -1.5e+400]");
        check(r#""é😀\u0000""#, r#""\u00e9\ud83d\ude00\u0000""#);
        check("true", "true");
        check("plain text", r#""plain text""#);
        check("", r#""""#);
    }

    #[test]
    fn a_string_stands_bare() {
        assert_eq!(Value::text("a b").bare(), "a b");
        assert_eq!(Value::from_loose("[1]").bare(), "[1]");
    }
}
