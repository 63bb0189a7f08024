//! Names that look alike: the same letters in two Unicode forms.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::Spanned;

/// Refuses the later of two names that only the bytes of their letters tell apart: nobody can
/// see which of them is meant.
pub(crate) fn check<'t>(
    names: impl IntoIterator<Item = Spanned<&'t str>>,
    report: &mut Report<'_>,
) {
    let mut firsts: HashMap<String, Spanned<&str>> = HashMap::new();
    for name in names.into_iter().filter(|name| !name.value.is_ascii()) {
        let first = *firsts.entry(name.value.nfc().collect()).or_insert(name);
        if first.value == name.value {
            continue;
        }
        let (one, other) = (bytes(name.value), bytes(first.value));
        let message = format!(
            "`{}` stands twice, in two Unicode forms: {one} and {other}",
            shown(name.value)
        );
        let finding = Finding::error(Code::DuplicateKey, name.span, message);
        let help = "write it the same way everywhere, or give one of them another name";
        report.add(finding.note(first.span, "first here").help(help));
    }
}

/// What is no ASCII is written as its code points.
fn bytes(name: &str) -> String {
    let escaped = name.chars().flat_map(|symbol| match symbol.is_ascii() {
        true => symbol.to_string().chars().collect::<Vec<_>>(),
        false => symbol.escape_unicode().collect(),
    });
    shown(&escaped.collect::<String>())
}
