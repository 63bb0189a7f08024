//! The parameters of one scope as a task reads them: a JSON file, and variables for a shell.

use std::sync::Arc;

use dagmar_common::limits::{ENVIRONMENT_BYTES_MAX, ENVIRONMENT_VALUE_BYTES_MAX};
use dagmar_common::parameter::{PREFIXES, is_hidden};
use dagmar_common::value::Value;
use dagmar_common::view::Scope;
use dagmar_supervisor::packed::{Packed, can_be_name};

/// The text of `$DAGMAR_PARAMETERS`: one object, names in order.
pub fn file_text(scope: &Scope) -> String {
    let mut text = String::from("{");
    for (name, value) in scope.flatten() {
        if text.len() > 1 {
            text.push_str(", ");
        }
        text.push_str(Value::text(&name).spelled());
        text.push_str(": ");
        text.push_str(value.spelled());
    }
    text.push_str("}\n");
    text
}

/// The items of the maps around a task as Magnus said them: `{"chunk": 1}`, outermost first. Of
/// two maps with one name for their items the inner one is told. None outside of maps, and for
/// what is too large for an environment.
pub fn items_text(scope: &Scope, names: &[Arc<str>]) -> Option<String> {
    let mut items: Vec<(&str, &Value)> = Vec::new();
    // A frame's base holds its item; beneath it lies what its map sees.
    let mut frame = scope.base.as_deref();
    for name in names.iter().rev() {
        let own = frame?;
        if !items.iter().any(|(known, _)| **known == **name) {
            items.push((name, own.overlay.get(name)?.1));
        }
        frame = own.base.as_deref().and_then(|around| around.base.as_deref());
    }
    items.reverse();
    let items = items
        .iter()
        .map(|(name, value)| format!("{}: {}", Value::text(name).spelled(), value.spelled()));
    let items: Vec<String> = items.collect();
    let text = format!("{{{}}}", items.join(", "));
    (!items.is_empty() && text.len() <= ENVIRONMENT_VALUE_BYTES_MAX).then_some(text)
}

/// Adds the variables of all parameters, under each prefix and plain, in order of names. What is
/// too large for an environment stands in the file only, all forms of it, so that no form
/// disagrees with another.
pub fn add_variables(scope: &Scope, entries: &mut Packed) {
    let mut room = ENVIRONMENT_BYTES_MAX;
    for (name, value) in scope.flatten() {
        let bare = is_plain_name(&name).then(|| value.bare());
        let size = size_of(&name, value.spelled(), bare.as_deref());
        if value.spelled().len() > ENVIRONMENT_VALUE_BYTES_MAX || size > room {
            continue;
        }
        if !can_be_name(&name) {
            continue;
        }
        room -= size;
        for prefix in PREFIXES {
            entries.push_entry(&format!("{prefix}{name}"), value.spelled().as_bytes());
        }
        if let Some(bare) = bare {
            // Refused with a NUL in it, which no variable can hold; the file has it.
            entries.push_entry(&name, bare.as_bytes());
        }
    }
}

fn size_of(name: &str, spelled: &str, bare: Option<&str>) -> usize {
    let each = |prefix: &str| prefix.len() + name.len() + 2 + spelled.len();
    let plain = bare.map_or(0, |bare| name.len() + 2 + bare.len());
    PREFIXES.iter().map(|prefix| each(prefix)).sum::<usize>() + plain
}

/// A name that a shell takes as a variable, and that decides over no program.
fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let valid = first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    valid && !is_hidden(name)
}

#[cfg(test)]
mod tests {
    use dagmar_common::view::View;

    use super::*;

    fn scope(entries: &[(&str, Value)]) -> Scope {
        let overlay = entries.iter().fold(View::default(), |view, (name, value)| {
            view.with(&Arc::from(*name), 0, value.clone())
        });
        Scope { overlay, base: None }
    }

    fn variables(entries: &[(&str, Value)]) -> Packed {
        let mut packed = Packed::new();
        add_variables(&scope(entries), &mut packed);
        packed
    }

    #[track_caller]
    fn check(variables: &Packed, name: &str, value: Option<&str>) {
        assert_eq!(variables.view().value_of(name), value.map(str::as_bytes), "{name}");
    }

    #[test]
    fn a_string_stands_bare_under_its_plain_name_only() {
        let given = variables(&[
            ("text", Value::text("a \"b\"\nc")),
            ("list", Value::from_loose("[1,true,null]")),
        ]);
        for prefix in PREFIXES {
            check(&given, &format!("{prefix}text"), Some(r#""a \"b\"\nc""#));
            check(&given, &format!("{prefix}list"), Some("[1, true, null]"));
        }
        check(&given, "text", Some("a \"b\"\nc"));
        check(&given, "list", Some("[1, true, null]"));
    }

    #[test]
    fn plain_names_never_stand_over_what_programs_need() {
        for name in ["PATH", "HOME", "LD_PRELOAD", "PYTHONPATH", "DAGMAR_RUN", "a-b", "1a", "a b"] {
            let given = variables(&[(name, Value::text("x"))]);
            check(&given, name, None);
            check(&given, &format!("DAGMAR_PRM_{name}"), Some("\"x\""));
        }
        check(&variables(&[("path", Value::text("x"))]), "path", Some("x"));
    }

    #[test]
    fn items_are_told_as_magnus_told_them() {
        fn own(name: &str, value: &str, base: Option<Scope>) -> Scope {
            let base = base.map(Arc::new);
            Scope { base, ..scope(&[(name, Value::from_loose(value))]) }
        }
        let names = |all: &[&str]| all.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>();
        let initial = own("a", "0", None);
        assert_eq!(items_text(&own("b", "1", Some(initial.clone())), &[]), None);
        // What a step wrote over an item's name is no item.
        let item = own("a", "{\"k\":1}", Some(own("c", "2", Some(initial))));
        let in_one = own("a", "written", Some(item));
        let one = items_text(&in_one, &names(&["a"]));
        assert_eq!(one.as_deref(), Some(r#"{"a": {"k": 1}}"#));
        let in_two = |name| own("z", "9", Some(own(name, "\"x y\"", Some(in_one.clone()))));
        let two = items_text(&in_two("b"), &names(&["a", "b"]));
        assert_eq!(two.as_deref(), Some(r#"{"a": {"k": 1}, "b": "x y"}"#));
        let inner = items_text(&in_two("a"), &names(&["a", "a"]));
        assert_eq!(inner.as_deref(), Some(r#"{"a": "x y"}"#));
        let large = format!("\"{}\"", "y".repeat(ENVIRONMENT_VALUE_BYTES_MAX));
        let large = own("z", "9", Some(own("a", &large, None)));
        assert_eq!(items_text(&large, &names(&["a"])), None);
    }

    #[test]
    fn what_is_too_large_or_cannot_be_said_stands_in_the_file_only() {
        let large = Value::text(&"x".repeat(ENVIRONMENT_VALUE_BYTES_MAX - 1));
        let fits = Value::text(&"x".repeat(ENVIRONMENT_VALUE_BYTES_MAX - 2));
        let nul = Value::text("a\0b");
        let all = [("large", large), ("fits", fits), ("nul", nul), ("a=b", Value::text("c"))];
        let given = variables(&all);
        check(&given, "large", None);
        check(&given, "DAGMAR_PRM_large", None);
        assert!(given.view().value_of("fits").is_some());
        check(&given, "nul", None);
        check(&given, "DAGMAR_PRM_nul", Some("\"a\\u0000b\""));
        let text = file_text(&scope(&all));
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["nul"], "a\0b");
        assert_eq!(file["a=b"], "c");
        assert_eq!(file["large"].as_str().map(str::len), Some(ENVIRONMENT_VALUE_BYTES_MAX - 1));
    }

    #[test]
    fn all_together_are_bounded_and_no_parameter_is_there_in_part() {
        let names: Vec<String> = (10..40).map(|number| format!("p{number}")).collect();
        let value = Value::text(&"y".repeat(50 << 10));
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), value.clone())).collect();
        let given = variables(&all);
        assert!(given.view().bytes().len() <= ENVIRONMENT_BYTES_MAX);
        for name in &names {
            let forms = PREFIXES.iter().map(|prefix| format!("{prefix}{name}"));
            let there =
                forms.chain([name.clone()]).filter(|form| given.view().value_of(form).is_some());
            assert!(matches!(there.count(), 0 | 4), "{name}");
        }
        check(&given, "p39", None);
        assert!(given.view().value_of("p10").is_some());
    }
}
