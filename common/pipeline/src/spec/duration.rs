//! Lengths of time as people write them: `90s`, `5m`, `2h`, `1d`, `500ms`; bare, seconds.

use dagmar_common::limits::TIME_LIMIT_MAX;
use dagmar_common::time::Span;

use super::fields::{Field, found};
use crate::diagnostic::{Code, Finding, Report};
use crate::yaml::View;

const UNITS: &[(&str, u64)] =
    &[("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
const DAY_MICROS: u64 = 24 * 3_600_000_000;

impl Field<'_> {
    /// More than nothing, at most [`TIME_LIMIT_MAX`].
    pub fn duration(self, report: &mut Report<'_>) -> Option<Span> {
        let parsed = match self.value.view() {
            View::Broken => return None,
            View::Scalar(scalar) if !scalar.is_null() => parse(scalar.text),
            _ => None,
        };
        let key = self.key.value;
        let message = match parsed {
            Some(span) if span > Span(0) && span <= TIME_LIMIT_MAX => return Some(span),
            Some(Span(0)) => format!("`{key}` must be longer than nothing"),
            Some(_) => {
                let days = TIME_LIMIT_MAX.0 / DAY_MICROS;
                format!("`{key}` is longer than {days} days: {}", found(self.value))
            }
            None => format!("`{key}` wants a length of time, found {}", found(self.value)),
        };
        report.add(
            Finding::error(Code::Duration, self.place(), message)
                .help("write `90s`, `5m`, `2h`, `1d` or `500ms`; a bare number is seconds"),
        );
        None
    }
}

fn parse(text: &str) -> Option<Span> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return None;
    }
    let micros = match unit {
        "" => 1_000_000,
        "d" => DAY_MICROS,
        _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    // Too many digits are no mistake of form: they are simply too long.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    Some(Span(number.saturating_mul(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit() {
        let check = |text, millis: Option<u64>| {
            assert_eq!(parse(text), millis.map(Span::from_millis), "{text}");
        };
        check("5", Some(5_000));
        check("90s", Some(90_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("1d", Some(86_400_000));
        check("500ms", Some(500));
        check("-3s", None);
        check("1y", None);
        check("s", None);
        check("1.5h", None);
        assert_eq!(parse("99999999999999999999d"), Some(Span(u64::MAX)));
    }
}
