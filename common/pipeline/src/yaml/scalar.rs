//! What a scalar says under the core schema: `yes`, `no`, `on` and `off` stay text.

use serde_json::{Number, Value as Json};

use crate::diagnostic::{Code, Finding, Report};
use crate::source::Span;

use super::{View, Yaml};

/// One scalar as written; quoted ones are text whatever they look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar<'t> {
    pub text: &'t str,
    pub is_plain: bool,
    pub span: Span,
}

/// The meaning of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Null,
    Boolean(bool),
    Integer,
    Float,
    Text,
}

impl<'t> Scalar<'t> {
    pub fn is_null(self) -> bool {
        self.meaning() == Meaning::Null
    }

    pub fn kind(self) -> &'static str {
        match self.meaning() {
            Meaning::Null => "nothing",
            Meaning::Boolean(_) => "a boolean",
            Meaning::Integer => "an integer",
            Meaning::Float => "a number",
            Meaning::Text => "text",
        }
    }

    /// A plain whole number in decimal digits, without a leading zero that some read as octal.
    pub fn whole(self) -> Option<u64> {
        let is_decimal = self.text.bytes().all(|byte| byte.is_ascii_digit());
        let leads_with_zero = self.text.len() > 1 && self.text.starts_with('0');
        if !self.is_plain || !is_decimal || leads_with_zero {
            return None;
        }
        self.text.parse().ok()
    }

    /// None unless it is one of YAML's own two words.
    pub fn boolean(self) -> Option<bool> {
        match self.meaning() {
            Meaning::Boolean(flag) => Some(flag),
            _ => None,
        }
    }

    fn meaning(self) -> Meaning {
        if !self.is_plain {
            return Meaning::Text;
        }
        match self.text {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Boolean(true),
            "false" | "False" | "FALSE" => Meaning::Boolean(false),
            text if is_integer(text) => Meaning::Integer,
            text if is_float(text) => Meaning::Float,
            _ => Meaning::Text,
        }
    }

    fn to_json(self) -> Result<Json, &'static str> {
        Ok(match self.meaning() {
            Meaning::Null => Json::Null,
            Meaning::Boolean(flag) => Json::Bool(flag),
            Meaning::Text => Json::String(self.text.to_owned()),
            Meaning::Integer => Json::Number(integer(self.text).ok_or("is out of range")?),
            Meaning::Float => Json::Number(float(self.text).ok_or("is no finite number")?),
        })
    }
}

/// A leading zero makes it text: some read `010` as eight, and a postal code is neither.
fn is_integer(text: &str) -> bool {
    let of = |digits: &str, is_digit: fn(&u8) -> bool| {
        !digits.is_empty() && digits.as_bytes().iter().all(is_digit)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return of(digits, u8::is_ascii_hexdigit);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return of(digits, |byte| (b'0'..=b'7').contains(byte));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    of(digits, u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with('0'))
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let begins_well = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let has_digit = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let is_marked = unsigned.contains(['.', 'e', 'E']);
    let has_only = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    begins_well
        && has_digit
        && is_marked
        && unsigned.bytes().all(has_only)
        && unsigned.parse::<f64>().is_ok()
}

fn integer(text: &str) -> Option<Number> {
    let radix = |digits, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    // Of any length: numbers travel as text.
    serde_json::from_str(text.strip_prefix('+').unwrap_or(text)).ok()
}

fn float(text: &str) -> Option<Number> {
    match serde_json::from_str(text) {
        Ok(number) => Some(number),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

/// A whole node as JSON. What has no JSON is reported, and None.
pub(crate) fn to_json(yaml: Yaml<'_>, report: &mut Report<'_>) -> Option<Json> {
    match yaml.view() {
        View::Broken => None,
        View::Scalar(scalar) => match scalar.to_json() {
            Ok(json) => Some(json),
            Err(fault) => {
                let text = crate::diagnostic::shown(scalar.text);
                let message = format!("`{text}` {fault}");
                report.add(
                    Finding::error(Code::Number, scalar.span, message)
                        .help("write it in quotes if it is meant as text"),
                );
                None
            }
        },
        View::List(list) => {
            let items: Vec<_> = list.iter().map(|item| to_json(item, report)).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
        }
        View::Map(map) => {
            let mut fields = serde_json::Map::new();
            let mut is_whole = true;
            for (key, value) in map.iter() {
                match to_json(value, report) {
                    Some(json) => {
                        fields.insert(key.value.to_owned(), json);
                    }
                    None => is_whole = false,
                }
            }
            is_whole.then_some(Json::Object(fields))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: &str, json: &str) {
        let scalar = Scalar { text, is_plain: true, span: Span::default() };
        assert_eq!(scalar.kind(), kind, "{text}");
        let found = scalar.to_json().map(|json| json.to_string());
        assert_eq!(found.as_deref().unwrap_or_else(|fault| fault), json, "{text}");
    }

    #[test]
    fn the_core_schema_and_nothing_older() {
        check("yes", "text", r#""yes""#);
        check("off", "text", r#""off""#);
        check("True", "a boolean", "true");
        check("", "nothing", "null");
        check("~", "nothing", "null");
        check("0", "an integer", "0");
        check("-17", "an integer", "-17");
        check("+17", "an integer", "17");
        check("0x1f", "an integer", "31");
        check("0o17", "an integer", "15");
        check("010", "text", r#""010""#);
        check("99999999999999999999999", "an integer", "99999999999999999999999");
        check("1.5", "a number", "1.5");
        check(".5", "a number", "0.5");
        check("1e3", "a number", "1e+3");
        check(".nan", "a number", "is no finite number");
        check("-.inf", "a number", "is no finite number");
        check("1.2.3", "text", r#""1.2.3""#);
        check("2024-01-01", "text", r#""2024-01-01""#);
        check("e5", "text", r#""e5""#);
    }
}
