//! The segments of a request path, percent-decoded exactly once.
//!
//! pip asks for `%2Bf`, uv for `+f` (devpi-protocol.md §1): routing sees decoded text only, and
//! nothing behind it decodes again.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Most segments of a path; the deepest route has six.
const SEGMENTS_MAX: usize = 16;

/// The path cannot be one of ours: 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// The decoded bytes are not UTF-8.
    #[error("the path is not UTF-8")]
    Encoding,
    /// A segment holds a slash, a backslash or a control character, or is `.` or `..`.
    #[error("{0:?} may not stand between two slashes")]
    Segment(String),
    /// More segments than any route has.
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    Deep,
}

/// A path, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segments<'a> {
    /// Decoded; an empty one stands for two slashes in a row.
    pub(super) parts: Vec<Cow<'a, str>>,
    /// Whether the path ends in a slash (the root does).
    pub(super) has_slash: bool,
}

impl<'a> Segments<'a> {
    /// Takes a path apart. Slashes at the start count as one, as devpi has it.
    pub(super) fn parse(path: &'a str) -> Result<Self, BadPath> {
        let inner = path.trim_start_matches('/');
        let has_slash = inner.is_empty() || inner.ends_with('/');
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return Ok(Self {
                parts: Vec::new(),
                has_slash,
            });
        }
        let mut parts = Vec::with_capacity(SEGMENTS_MAX / 2);
        for raw in inner.split('/') {
            if parts.len() == SEGMENTS_MAX {
                return Err(BadPath::Deep);
            }
            parts.push(decode(raw)?);
        }
        Ok(Self { parts, has_slash })
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, BadPath> {
    let text = if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        Cow::Borrowed(raw)
    } else {
        let decoded = percent_decode_str(raw).decode_utf8();
        decoded.map_err(|_| BadPath::Encoding)?
    };
    // Beyond ASCII there are control characters of two bytes: C2 80 to C2 9F.
    let may_be_unsafe = |byte: u8| byte < b' ' || matches!(byte, b'/' | b'\\' | 0x7f | 0xc2);
    let is_unsafe = |character: char| matches!(character, '/' | '\\') || character.is_control();
    let is_suspect = text.bytes().any(may_be_unsafe);
    if text == "." || text == ".." || (is_suspect && text.contains(is_unsafe)) {
        return Err(BadPath::Segment(text.chars().take(80).collect()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once() {
        for (path, parts, has_slash) in [
            ("/", vec![], true),
            ("", vec![], true),
            ("//", vec![], true),
            ("/a", vec!["a"], false),
            ("//a/b/", vec!["a", "b"], true),
            ("/a//b", vec!["a", "", "b"], false),
            (
                "/%2Bf/%252B/a%20b/%zz",
                vec!["+f", "%2B", "a b", "%zz"],
                false,
            ),
            ("/%C3%BC", vec!["ü"], false),
        ] {
            let parts = parts.into_iter().map(Cow::Borrowed).collect();
            assert_eq!(
                Segments::parse(path),
                Ok(Segments { parts, has_slash }),
                "{path}"
            );
        }
    }

    #[test]
    fn what_no_route_can_mean_is_refused() {
        for (path, expected) in [
            ("/a/../b", BadPath::Segment("..".into())),
            ("/a/%2e%2e/b", BadPath::Segment("..".into())),
            ("/./a", BadPath::Segment(".".into())),
            ("/a%2Fb", BadPath::Segment("a/b".into())),
            ("/a%5Cb", BadPath::Segment("a\\b".into())),
            ("/a%00", BadPath::Segment("a\0".into())),
            ("/%FF", BadPath::Encoding),
            ("/a%C2%85", BadPath::Segment("a\u{85}".into())),
            (&"/a".repeat(10_000), BadPath::Deep),
        ] {
            assert_eq!(Segments::parse(path), Err(expected), "{path:.40}");
        }
    }
}
