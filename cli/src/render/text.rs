//! Text of others made safe and made to fit: control characters, widths, cuts.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// With every control character spelled out: nothing that a step wrote may move the cursor.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\t' => out.push_str("    "),
            // Bidirectional overrides reorder what stands around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(symbol.escape_unicode());
            }
            _ if symbol.is_control() => out.extend(symbol.escape_default()),
            _ => out.push(symbol),
        }
    }
    out
}

pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// At most `most` columns, cut at the end.
pub fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for symbol in text.chars() {
        used += symbol.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(symbol);
    }
    out.push('…');
    out
}

/// At most `most` columns, cut inside: of a path both ends tell more than its middle.
pub fn cut_inside(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let front = cut(text, most.div_ceil(2));
    let mut left = most.saturating_sub(width(&front));
    let fits = |symbol: &char| {
        let rest = left.checked_sub(symbol.width().unwrap_or(0));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    let back: Vec<char> = text.chars().rev().take_while(fits).collect();
    front.chars().chain(back.into_iter().rev()).collect()
}

/// Filled with spaces up to `columns`, on the right.
pub fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// A word that a shell reads back as it is, where a message says what to type.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(escaped("a\u{1b}[2Jb\u{7}\r"), "a\\u{1b}[2Jb\\u{7}\\r");
        assert_eq!(escaped("é😀\t."), "é😀    .");
        assert_eq!(escaped("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(escaped("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn cuts_count_columns() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello", 4), "hel…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(padded("日", 4), "日  ");
        assert_eq!(cut_inside("hello", 5), "hello");
        assert_eq!(cut_inside("one.two.three", 8), "one…hree");
        assert_eq!(cut_inside("日本語日本語", 7), "日…本語");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_it_otherwise() {
        assert_eq!(shell_word("r/square.3:2"), "r/square.3:2");
        assert_eq!(shell_word("r/square[3]"), "'r/square[3]'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }
}
