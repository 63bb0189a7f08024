//! The rule of the first sentence: a `//!` paragraph at the very top that ends with a period.

use super::Fault;

pub fn faults(path: &str, text: &str) -> Option<Fault> {
    let says = what_is_wrong(text)?;
    Some(Fault::new(path, 1, says))
}

fn what_is_wrong(text: &str) -> Option<&'static str> {
    let Some(first) = text.lines().next().and_then(|line| line.strip_prefix("//! ")) else {
        return Some("begins without `//! `; say in one sentence what this room knows, noun first");
    };
    let begins_well = first.starts_with(|c: char| c.is_uppercase() || c == '`' || c.is_numeric());
    if !begins_well || first.split_whitespace().count() < 3 {
        return Some("its first line is no sentence; say what this room knows, noun first");
    }
    let paragraph: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .take_while(|line| !line.trim().is_empty())
        .collect();
    let ends_well = paragraph.last().is_some_and(|line| line.trim_end().ends_with(['.', ':']));
    (!ends_well).then_some("its first paragraph does not end with a period; finish the sentence")
}

#[test]
fn a_sentence_is_wanted() {
    for good in [
        "//! The bounds of the house.\n",
        "//! What a step sees: a map\n//! from name to value.\n//!\n//! More, without an end\n",
    ] {
        assert_eq!(what_is_wrong(good), None, "{good}");
    }
    for bad in [
        "",
        "use std::fmt;\n",
        "\n//! The bounds of the house.\n",
        "// The bounds of the house.\n",
        "//! (empty room)\n",
        "//! Bounds.\n",
        "//! The bounds of the house\n",
        "//! The bounds of\n//! the house\n//!\n//! More.\n",
    ] {
        assert!(what_is_wrong(bad).is_some(), "{bad}");
    }
}
