//! Whether the client already holds what would be sent (RFC 9110 §13).

use std::fmt;
use std::sync::Arc;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::model::{Sha256, Timestamp};
use crate::protocol::date::parse_http_date;

/// A strong entity tag, quotes included. There are no weak ones: every byte we send is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

/// The text cannot stand between the quotes of an entity tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the inside of an entity tag")]
pub struct InvalidETag(pub String);

impl ETag {
    /// The tag of a file: its sha256.
    #[must_use]
    pub fn of_digest(digest: &Sha256) -> Self {
        Self(format!("\"{digest}\"").into())
    }

    /// A tag with this text between the quotes.
    ///
    /// # Errors
    /// When the text is empty or holds a quote, a blank or anything beyond printable ASCII.
    pub fn parse(inside: &str) -> Result<Self, InvalidETag> {
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        if inside.is_empty() || !inside.bytes().all(is_allowed) {
            return Err(InvalidETag(inside.chars().take(80).collect()));
        }
        Ok(Self(format!("\"{inside}\"").into()))
    }

    /// The tag with its quotes, as the `ETag` header has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The header's value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("an entity tag is printable ASCII")
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether to answer 304 to a GET or HEAD.
///
/// `If-None-Match` decides alone where it is present; `If-Modified-Since` counts only without it, and
/// only in whole seconds (RFC 9110 §13.2.2).
#[must_use]
pub fn is_not_modified(
    headers: &HeaderMap,
    etag: Option<&ETag>,
    last_modified: Option<Timestamp>,
) -> bool {
    if let Some(first) = headers.get(IF_NONE_MATCH) {
        // Nearly everybody gives back the one tag that came with the content.
        if etag.is_some_and(|etag| first.as_bytes() == etag.as_str().as_bytes()) {
            return true;
        }
        let lines = headers.get_all(IF_NONE_MATCH).into_iter();
        let mut lines = lines.filter_map(|line| line.to_str().ok());
        return lines.any(|line| matches_weakly(line, etag));
    }
    let since = headers
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok());
    match (since.and_then(parse_http_date), last_modified) {
        (Some(since), Some(modified)) => modified.as_second() <= since.as_second(),
        (None, _) | (_, None) => false,
    }
}

/// Weak comparison with each tag of a list; `*` matches whatever exists.
///
/// Commas may stand inside a tag, so the list is read tag by tag; after the first thing that is no tag the
/// rest is ignored.
fn matches_weakly(line: &str, etag: Option<&ETag>) -> bool {
    if line.trim() == "*" {
        return true;
    }
    let Some(etag) = etag else {
        return false;
    };
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let candidate = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(end) = candidate
            .strip_prefix('"')
            .and_then(|inside| inside.find('"'))
        else {
            return false;
        };
        let (tag, after) = candidate.split_at(end + 2);
        if tag == etag.as_str() {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn headers(none_match: Option<&str>, since: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(text) = none_match {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
        }
        if let Some(text) = since {
            headers.insert(IF_MODIFIED_SINCE, HeaderValue::from_str(text).unwrap());
        }
        headers
    }

    #[test]
    fn entity_tags_compare_weakly() {
        let etag = ETag::parse("a,b").unwrap();
        for (list, expected) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", true),
            ("\"x\", \"a,b\"", true),
            ("\"x\",W/\"y\" , W/\"a,b\"", true),
            ("*", true),
            (" * ", true),
            ("\"a\"", false),
            ("a,b", false),
            ("\"x\" junk \"a,b\"", false),
            ("\"a,b", false),
            ("", false),
            (",,,", false),
        ] {
            let found = is_not_modified(&headers(Some(list), None), Some(&etag), None);
            assert_eq!(found, expected, "{list}");
        }
    }

    #[test]
    fn a_tag_decides_before_a_date() {
        let etag = ETag::parse("new").unwrap();
        let old = "1990-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
        let both = headers(Some("\"old\""), Some(SINCE));
        assert!(!is_not_modified(&both, Some(&etag), Some(old)));
        assert!(is_not_modified(
            &headers(None, Some(SINCE)),
            Some(&etag),
            Some(old)
        ));
    }

    #[test]
    fn dates_count_in_whole_seconds() {
        for (modified, expected) in [
            ("1994-11-06T08:49:37Z", true),
            ("1994-11-06T08:49:37.9Z", true),
            ("1994-11-06T08:49:38Z", false),
        ] {
            let modified = Some(modified.parse::<Timestamp>().unwrap());
            assert_eq!(
                is_not_modified(&headers(None, Some(SINCE)), None, modified),
                expected
            );
        }
        assert!(!is_not_modified(&headers(None, Some(SINCE)), None, None));
        assert!(!is_not_modified(
            &headers(None, Some("yesterday")),
            None,
            Some(Timestamp::UNIX_EPOCH)
        ));
    }

    #[test]
    fn a_tag_is_printable() {
        for text in ["", "a\"b", "a b", "é", "a\n"] {
            assert!(ETag::parse(text).is_err(), "{text:?}");
        }
        let tag = ETag::of_digest(&Sha256::of(b""));
        assert!(tag.to_header().to_str().unwrap().starts_with("\"e3b0c442"));
    }
}
