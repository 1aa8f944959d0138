//! The segments of a request path, percent-decoded exactly once.
//!
//! pip requests `%2Bf`, uv `+f` (docs/protocol/devpi.md §1): routing sees decoded text only, and nothing
//! after it decodes again.

use std::borrow::Cow;
use std::ops::Deref;

use percent_encoding::percent_decode_str;

/// Most segments in a path; the deepest route has six.
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

/// A decoded path; [`Segments::parts`] splits it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segments<'a> {
    /// Without leading and trailing slashes; no encoded slash has become one.
    text: Cow<'a, str>,
    /// Whether the path ends in a slash (the root does).
    pub(super) has_slash: bool,
}

/// The parts of a path, independent of the request's memory.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    parts: [&'a str; SEGMENTS_MAX],
    count: usize,
}

impl<'a> Deref for Parts<'a> {
    type Target = [&'a str];

    fn deref(&self) -> &[&'a str] {
        &self.parts[..self.count]
    }
}

impl<'a> Segments<'a> {
    /// Decodes a path. Leading slashes count as one, as in devpi.
    pub(super) fn parse(path: &'a str) -> Result<Self, BadPath> {
        let inner = path.trim_start_matches('/');
        let has_slash = inner.is_empty() || inner.ends_with('/');
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let text = if memchr::memchr(b'%', inner.as_bytes()).is_none() {
            let is_suspect = is_suspect(inner);
            for (at, part) in split(inner).enumerate() {
                if at == SEGMENTS_MAX {
                    return Err(BadPath::Deep);
                }
                check(part, is_suspect)?;
            }
            Cow::Borrowed(inner)
        } else {
            Cow::Owned(decode(inner)?)
        };
        Ok(Self { text, has_slash })
    }

    /// The decoded parts; an empty one stands for two slashes in a row.
    pub(super) fn parts(&self) -> Parts<'_> {
        let mut parts = Parts::default();
        if !self.text.is_empty() {
            for (slot, part) in parts.parts.iter_mut().zip(split(&self.text)) {
                *slot = part;
                parts.count += 1;
            }
        }
        parts
    }

    /// The first two parts, which name an index, and what stands behind them.
    pub(super) fn index_and_rest(&self) -> (&str, &str) {
        let mut slashes = memchr::memchr_iter(b'/', self.text.as_bytes());
        match slashes.nth(1) {
            Some(end) => (&self.text[..end], &self.text[end + 1..]),
            None => (&self.text, ""),
        }
    }
}

/// What stands between slashes. Parts are short, so a byte-by-byte search is fastest.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.bytes().position(|byte| byte == b'/') else {
            return rest.take();
        };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

/// Decodes part by part, so that an encoded slash cannot separate anything.
fn decode(path: &str) -> Result<String, BadPath> {
    let mut text = String::with_capacity(path.len());
    for (at, raw) in path.split('/').enumerate() {
        if at == SEGMENTS_MAX {
            return Err(BadPath::Deep);
        }
        let part = percent_decode_str(raw).decode_utf8();
        let part = part.map_err(|_| BadPath::Encoding)?;
        check(&part, true)?;
        if at > 0 {
            text.push('/');
        }
        text.push_str(&part);
    }
    Ok(text)
}

/// Whether something may not stand in a part: nearly never, so it is asked of a whole path at once,
/// without branches.
fn is_suspect(text: &str) -> bool {
    // Beyond ASCII there are control characters of two bytes: C2 80 to C2 9F.
    let is_suspect = |byte: u8| (byte < b' ') | matches!(byte, b'\\' | 0x7f | 0xc2);
    text.bytes()
        .fold(false, |found, byte| found | is_suspect(byte))
}

fn check(part: &str, is_suspect: bool) -> Result<(), BadPath> {
    let is_unsafe = |character: char| matches!(character, '/' | '\\') || character.is_control();
    if part == "." || part == ".." || (is_suspect && part.contains(is_unsafe)) {
        return Err(BadPath::Segment(part.chars().take(80).collect()));
    }
    Ok(())
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
            let segments = Segments::parse(path).unwrap();
            assert_eq!(*segments.parts(), *parts, "{path}");
            assert_eq!(segments.has_slash, has_slash, "{path}");
            let (index, rest) = parts.split_at(parts.len().min(2));
            let expected = (index.join("/"), rest.join("/"));
            let (index, rest) = segments.index_and_rest();
            assert_eq!((index.to_owned(), rest.to_owned()), expected, "{path}");
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
            ("/b/a\\b/c", BadPath::Segment("a\\b".into())),
            ("/b/a\u{7f}/c", BadPath::Segment("a\u{7f}".into())),
            ("/b/a\u{85}/c", BadPath::Segment("a\u{85}".into())),
            ("/%FF", BadPath::Encoding),
            ("/a%C2%85", BadPath::Segment("a\u{85}".into())),
            (&"/a".repeat(10_000), BadPath::Deep),
        ] {
            assert_eq!(Segments::parse(path), Err(expected), "{path:.40}");
        }
    }
}
