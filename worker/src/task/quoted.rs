//! Words as shells quote them, read back: single quotes, double quotes, backslashes, and `$'…'`.

/// A quote that nothing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unended;

/// Reads a text command by command: each ends with its line, unless a quote goes on.
pub struct Commands<'a> {
    rest: &'a [u8],
}

impl<'a> Commands<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Commands { rest: text }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn command(&mut self) -> Result<Vec<Vec<u8>>, Unended> {
        let mut words = Vec::new();
        let mut word: Option<Vec<u8>> = None;
        while let Some(byte) = self.take() {
            match byte {
                b'\n' => break,
                b' ' | b'\t' => words.extend(word.take()),
                b'\'' => self.single(word.get_or_insert_default())?,
                b'"' => self.double(word.get_or_insert_default())?,
                b'$' if self.rest.first() == Some(&b'\'') => {
                    self.take();
                    self.escaped(word.get_or_insert_default())?;
                }
                b'\\' => word.get_or_insert_default().push(self.take().ok_or(Unended)?),
                _ => word.get_or_insert_default().push(byte),
            }
        }
        words.extend(word);
        Ok(words)
    }

    fn single(&mut self, word: &mut Vec<u8>) -> Result<(), Unended> {
        let end = self.rest.iter().position(|byte| *byte == b'\'').ok_or(Unended)?;
        word.extend_from_slice(&self.rest[..end]);
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    fn double(&mut self, word: &mut Vec<u8>) -> Result<(), Unended> {
        loop {
            match self.take().ok_or(Unended)? {
                b'"' => return Ok(()),
                b'\\' => match self.take().ok_or(Unended)? {
                    b'\n' => {}
                    special @ (b'$' | b'`' | b'"' | b'\\') => word.push(special),
                    other => word.extend([b'\\', other]),
                },
                byte => word.push(byte),
            }
        }
    }

    /// As bash writes what cannot be seen.
    fn escaped(&mut self, word: &mut Vec<u8>) -> Result<(), Unended> {
        loop {
            match self.take().ok_or(Unended)? {
                b'\'' => return Ok(()),
                b'\\' => match self.take().ok_or(Unended)? {
                    b'a' => word.push(7),
                    b'b' => word.push(8),
                    b'e' | b'E' => word.push(27),
                    b'f' => word.push(12),
                    b'n' => word.push(b'\n'),
                    b'r' => word.push(b'\r'),
                    b't' => word.push(b'\t'),
                    b'v' => word.push(11),
                    b'x' => word.push(self.number(0, 16, 2)),
                    octal @ b'0'..=b'7' => word.push(self.number(octal - b'0', 8, 2)),
                    itself @ (b'\\' | b'\'' | b'"' | b'?') => word.push(itself),
                    other => word.extend([b'\\', other]),
                },
                byte => word.push(byte),
            }
        }
    }

    fn number(&mut self, first: u8, radix: u32, digits_max: usize) -> u8 {
        let mut number = u32::from(first);
        for _ in 0..digits_max {
            let digit = self.rest.first().and_then(|byte| char::from(*byte).to_digit(radix));
            let Some(digit) = digit else { break };
            number = number * radix + digit;
            self.take();
        }
        // As the shells do: what is more than a byte loses its upper bits.
        number as u8
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Vec<Vec<u8>>, Unended>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], expected: &[&[&[u8]]]) {
        let commands: Result<Vec<_>, _> = Commands::new(text).collect();
        assert_eq!(commands.unwrap(), expected);
    }

    #[test]
    fn each_quote_has_its_rules() {
        check(b"export A='a b'\nexport B\n", &[&[b"export", b"A=a b"], &[b"export", b"B"]]);
        check(br#"A='it'"'"'s "x" \y'"#, &[&[br#"A=it's "x" \y"#]]);
        check(br#"A="\$x \"q\" \\ \z `""#, &[&[br#"A=$x "q" \ \z `"#]]);
        check(br"A=$'a\nb\t\'\\\001\377\x41'c", &[&[b"A=a\nb\t'\\\x01\xffAc"]]);
        check(b"A='one\n\ntwo' B=\"x\ny\"\nC=a\\ b", &[&[b"A=one\n\ntwo", b"B=x\ny"], &[b"C=a b"]]);
        check(b"A=''\n\n  \nB=\xff\xfe", &[&[b"A="], &[], &[], &[b"B=\xff\xfe"]]);
    }

    #[test]
    fn an_open_quote_is_told() {
        for text in ["A='x", "A=\"x", "A=$'x", "A=x\\"] {
            assert_eq!(Commands::new(text.as_bytes()).next(), Some(Err(Unended)), "{text}");
        }
    }
}
