//! The items of a list as text: found by looking at brackets and strings, without parsing.

/// How many items the list has; None if the text is no list.
pub(crate) fn count(list: &str) -> Option<u32> {
    let mut cursor = begin(list)?;
    let mut items = 0;
    while let Some((_, _, after)) = next(list, cursor) {
        items += 1;
        cursor = after;
    }
    Some(items)
}

/// Where the first item begins.
pub(crate) fn begin(list: &str) -> Option<u32> {
    list.starts_with('[').then_some(1)
}

/// Start and end of the item at `cursor`, and the cursor behind it; None at the end.
pub(crate) fn next(list: &str, cursor: u32) -> Option<(u32, u32, u32)> {
    let bytes = list.as_bytes();
    let mut at = cursor as usize;
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    let start = at;
    let mut depth = 0_u32;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b']' if at == start => return None,
            b']' => return Some((start as u32, at as u32, at as u32)),
            b',' if depth == 0 => return Some((start as u32, at as u32, at as u32 + 1)),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place of the quote that ends the string beginning at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &[&str]) {
        let mut cursor = begin(list).expect("a list");
        let mut items = Vec::new();
        while let Some((start, end, after)) = next(list, cursor) {
            items.push(&list[start as usize..end as usize]);
            cursor = after;
        }
        assert_eq!(items, expected);
        assert_eq!(count(list), Some(expected.len() as u32));
    }

    #[test]
    fn items_of_every_shape_are_told_apart() {
        check("[]", &[]);
        check("[1]", &["1"]);
        check("[1, 2.5, null]", &["1", "2.5", "null"]);
        let shapes = [r#""a, ]\"b""#, r#"{"k": [1, 2], "l": "}"}"#, "[[], {}]", r#""\\""#];
        check(&format!("[{}]", shapes.join(", ")), &shapes);
        assert_eq!(count("7"), None);
        assert_eq!(count(r#""[1]""#), None);
    }
}
