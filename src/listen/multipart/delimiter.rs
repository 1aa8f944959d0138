//! What separates two parts: a line end, two dashes, the boundary, and the end of that line.
//!
//! What follows decides whether it is one: `--`, or spaces and the line end. Anything else was content
//! that happened to start like the boundary.

/// Most spaces between a boundary and its line end (RFC 2046 "transport padding").
pub(super) const PADDING_MAX: usize = 64;

/// The delimiter of one form.
#[derive(Debug)]
pub(super) struct Delimiter {
    bytes: Vec<u8>,
    line_end: &'static str,
}

/// What follows the bytes of a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// A part, after this many bytes.
    Part(usize),
    /// Nothing more: it was the last one.
    End,
    /// The delimiter was content.
    Content,
    /// Not enough of it is here yet.
    Unknown,
}

impl Delimiter {
    /// The delimiter of a form whose lines end like this.
    pub(super) fn new(boundary: &str, line_end: &'static str) -> Self {
        Self {
            bytes: format!("{line_end}--{boundary}").into_bytes(),
            line_end,
        }
    }

    /// Its length in bytes, without what follows.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Where its bytes stand in `content` from `start` on.
    pub(super) fn find(&self, content: &[u8], start: usize) -> Option<usize> {
        memchr::memmem::find(&content[start..], &self.bytes).map(|at| at + start)
    }

    /// What the bytes after it make of it.
    pub(super) fn follows(&self, rest: &[u8]) -> Follows {
        if rest.starts_with(b"--") {
            return Follows::End;
        }
        if rest == b"-" {
            return Follows::Unknown;
        }
        let padding = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let line_end = self.line_end.as_bytes();
        let tail = &rest[padding..];
        if padding > PADDING_MAX {
            Follows::Content
        } else if tail.starts_with(line_end) {
            Follows::Part(padding + line_end.len())
        } else if line_end.starts_with(tail) {
            Follows::Unknown
        } else {
            Follows::Content
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_decides() {
        let long = " ".repeat(PADDING_MAX + 1);
        let table = [
            ("\r\n", "\r\n", Follows::Part(2)),
            ("\r\n", " \t\r\nX", Follows::Part(4)),
            ("\r\n", "\n", Follows::Content),
            ("\r\n", "\r", Follows::Unknown),
            ("\r\n", "  ", Follows::Unknown),
            ("\r\n", "", Follows::Unknown),
            ("\r\n", "-", Follows::Unknown),
            ("\r\n", "-x", Follows::Content),
            ("\r\n", "--", Follows::End),
            ("\r\n", "x", Follows::Content),
            ("\r\n", long.as_str(), Follows::Content),
            ("\n", "\n", Follows::Part(1)),
            ("\n", "\r\n", Follows::Content),
        ];
        for (line_end, rest, expected) in table {
            let delimiter = Delimiter::new("XX", line_end);
            assert_eq!(
                delimiter.follows(rest.as_bytes()),
                expected,
                "{line_end:?} {rest:?}"
            );
        }
    }

    #[test]
    fn it_is_found_from_a_start_on() {
        let delimiter = Delimiter::new("XX", "\n");
        assert_eq!(delimiter.find(b"a\n--XX\n--XX", 0), Some(1));
        assert_eq!(delimiter.find(b"a\n--XX\n--XX", 2), Some(6));
        assert_eq!(delimiter.find(b"a\n--X", 0), None);
    }
}
