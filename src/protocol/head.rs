//! The headers of an answer, kept in both forms in which they are needed.

use std::ops::Deref;

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

/// The request's id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the cache did (RFC 9211).
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How long it took.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Headers that a door sets itself: they replace whatever a flow has set.
const DOORS_OWN: [HeaderName; 5] = [X_REQUEST_ID, CACHE_STATUS, SERVER_TIMING, DATE, CONNECTION];

/// The type is what the answer states: no browser may treat an uploaded file as a page or a script.
pub const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// A map of headers that do not change.
#[must_use]
pub fn constant_headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
    let row = |(name, value): &(&'static str, &'static str)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    };
    rows.iter().map(row).collect()
}

/// The headers that belong to an answer's content, always with `X-Content-Type-Options`.
///
/// It can be read like the map it is made of. All answers from one page share one head, so it is serialised
/// for HTTP/1.1 when it is made, and not for each answer.
#[derive(Debug, Clone)]
pub struct Head {
    map: HeaderMap,
    lines: Lines,
}

/// A head as HTTP/1.1 writes it.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// `name: value\r\n` for each header that a door does not set itself.
    pub text: Box<[u8]>,
    /// Whether the length is among them.
    pub has_length: bool,
}

impl Head {
    /// Adds headers, replacing those of the same name.
    pub fn extend(&mut self, more: HeaderMap) {
        self.map.extend(more);
        self.lines = written(&self.map);
    }

    /// The headers as lines (RFC 9112 §5), without those that every door writes itself.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

fn written(map: &HeaderMap) -> Lines {
    let mut text = Vec::with_capacity(512);
    for (name, value) in map.iter().filter(|(name, _)| !DOORS_OWN.contains(name)) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    Lines {
        text: text.into(),
        has_length: map.contains_key(CONTENT_LENGTH),
    }
}

impl Default for Head {
    fn default() -> Self {
        HeaderMap::new().into()
    }
}

impl From<HeaderMap> for Head {
    fn from(mut map: HeaderMap) -> Self {
        map.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        let lines = written(&map);
        Self { map, lines }
    }
}

impl Deref for Head {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ETAG;

    use super::*;

    fn text(head: &Head) -> &str {
        std::str::from_utf8(&head.lines().text).unwrap()
    }

    #[test]
    fn a_head_is_written_without_the_doors_own() {
        let mut map = HeaderMap::new();
        map.insert(ETAG, HeaderValue::from_static("\"x\""));
        for own in DOORS_OWN {
            map.insert(own, HeaderValue::from_static("flow"));
        }
        map.append("x-two", HeaderValue::from_static("1"));
        map.append("x-two", HeaderValue::from_static("2"));
        let head = Head::from(map);
        let expected = "etag: \"x\"\r\nx-two: 1\r\nx-two: 2\r\nx-content-type-options: nosniff\r\n";
        assert_eq!(text(&head), expected);
        assert!(!head.lines().has_length);
    }

    #[test]
    fn a_changed_head_is_written_anew() {
        let mut head = Head::default();
        let always = "x-content-type-options: nosniff\r\n";
        assert_eq!(text(&head), always);
        head.extend(HeaderMap::from_iter([(CONTENT_LENGTH, 3.into())]));
        assert_eq!(text(&head), format!("{always}content-length: 3\r\n"));
        assert!(head.lines().has_length);
    }
}
