//! Texts in a row, each ended by a NUL: how words and environments travel and reach the kernel.

use std::ffi::CStr;

/// Texts that the kernel can take as they lie here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

impl Packed {
    pub fn new() -> Self {
        Packed::default()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// False, and nothing added, if `text` holds a NUL: no process can be given it.
    pub fn push(&mut self, text: &[u8]) -> bool {
        if text.contains(&0) {
            return false;
        }
        self.0.extend_from_slice(text);
        self.0.push(0);
        true
    }

    /// `name=value`; false, and nothing added, if it cannot stand in an environment.
    pub fn push_entry(&mut self, name: &str, value: &[u8]) -> bool {
        if !can_be_name(name) || value.contains(&0) {
            return false;
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(0);
        true
    }

    pub fn view(&self) -> PackedView<'_> {
        PackedView(&self.0)
    }
}

/// What an environment can hold as a name at all; shells ask for more.
pub fn can_be_name(name: &str) -> bool {
    !name.is_empty() && !name.bytes().any(|byte| byte == b'=' || byte == 0)
}

/// The same, borrowed. Its last byte is a NUL unless it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedView<'a>(&'a [u8]);

impl<'a> PackedView<'a> {
    /// None if the last text is not ended.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        matches!(bytes.last(), None | Some(0)).then_some(PackedView(bytes))
    }

    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub fn to_packed(self) -> Packed {
        Packed(self.0.to_vec())
    }

    pub fn iter(self) -> impl Iterator<Item = &'a CStr> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[text.count_bytes() + 1..];
            Some(text)
        })
    }

    /// The value of the last entry called `name`.
    pub fn value_of(self, name: &str) -> Option<&'a [u8]> {
        let mut found = None;
        for entry in self.iter() {
            if let Some(rest) = entry.to_bytes().strip_prefix(name.as_bytes())
                && let Some(value) = rest.strip_prefix(b"=")
            {
                found = Some(value);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let mut packed = Packed::new();
        for text in ["", "one", "", "två\n"] {
            assert!(packed.push(text.as_bytes()));
        }
        assert!(!packed.push(b"a\0b"));
        let texts: Vec<_> = packed.view().iter().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(texts, ["", "one", "", "två\n"]);
        assert!(PackedView::from_bytes(b"open").is_none());
    }

    #[test]
    fn the_last_entry_of_a_name_counts() {
        let mut packed = Packed::new();
        assert!(packed.push_entry("A", b"1"));
        assert!(packed.push_entry("AB", b"2"));
        assert!(packed.push_entry("A", b"3"));
        assert!(!packed.push_entry("A=B", b"4"));
        assert!(!packed.push_entry("", b"4"));
        assert_eq!(packed.view().value_of("A"), Some(&b"3"[..]));
        assert_eq!(packed.view().value_of("B"), None);
    }
}
