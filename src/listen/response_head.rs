//! The headers that belong to the door and not to the content: request id, cache status, timing, length.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use crate::exchange::{Body, CacheResult, Record, Reply};
use crate::protocol::{CACHE_STATUS, SERVER_TIMING, X_REQUEST_ID, reason_phrase};
use crate::telemetry::Staleness;

/// What a reply's head needs to know of its request.
#[derive(Debug, Clone, Copy)]
pub struct ReplyContext<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// How it was answered.
    pub record: &'a Record,
    /// From the end of the request's head until now.
    pub elapsed: Duration,
}

/// Status and headers of a reply, without `Date` and `Connection`, which the writer adds.
///
/// The reply's own head is shared by all answers from the same page, so it is copied.
pub(super) fn response_head(reply: &Reply, context: ReplyContext<'_>, is_head: bool) -> Parts {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = reply.status;
    parts.headers = HeaderMap::clone(&reply.head);
    if let Ok(id) = HeaderValue::from_str(context.request_id) {
        parts.headers.insert(X_REQUEST_ID, id);
    }
    if let Some(status) = cache_status(context.record.cache) {
        parts
            .headers
            .insert(CACHE_STATUS, HeaderValue::from_static(status));
    }
    let mut text = Vec::with_capacity(40);
    timing(&mut text, context);
    if let Ok(timing) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
        parts.headers.insert(SERVER_TIMING, timing);
    }
    if let Some(length) = missing_length(reply, is_head) {
        parts
            .headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    parts
}

/// 204 and 304 end with the head.
pub(super) fn is_bare(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The length, if the flow has not set it.
pub(super) fn missing_length(reply: &Reply, is_head: bool) -> Option<u64> {
    let is_empty = matches!(reply.body, Body::Empty);
    let none = (is_empty && !is_bare(reply.status) && !is_head).then_some(0);
    length(&reply.body).or(none)
}

/// The words of the status line if they are not the standard ones. Neither HTTP library checks them, so
/// whatever a flow made of a rule's text is made fit for one line here.
pub(super) fn status_words(reply: &Reply) -> Option<String> {
    let words = reason_phrase(reply.reason.as_deref()?);
    (!words.is_empty()).then_some(words)
}

/// The length of the content, if known. For an empty body the head states it already, or it has none
/// (304).
fn length(body: &Body) -> Option<u64> {
    match body {
        Body::Empty => None,
        Body::Bytes(bytes) => Some(bytes.len() as u64),
        Body::File { length, .. } => Some(*length),
        Body::Growing { length, .. } => *length,
    }
}

/// RFC 9211: what this cache did, in that RFC's words.
pub(super) fn cache_status(result: CacheResult) -> Option<&'static str> {
    match result {
        CacheResult::Bypass => None,
        CacheResult::Hit => Some("cheesecloth; hit"),
        CacheResult::Revalidated => Some("cheesecloth; fwd=stale; fwd-status=304"),
        CacheResult::Miss => Some("cheesecloth; fwd=uri-miss; stored"),
        CacheResult::Collapsed => Some("cheesecloth; fwd=uri-miss; collapsed"),
        CacheResult::Stale(why) => Some(match why {
            Staleness::Updating => "cheesecloth; hit; detail=stale-while-revalidate",
            Staleness::Late => "cheesecloth; hit; detail=upstream-late",
            Staleness::Error => "cheesecloth; hit; detail=stale-if-error",
            Staleness::Offline => "cheesecloth; hit; detail=stale-offline",
            Staleness::Vanished => "cheesecloth; hit; detail=vanished-upstream",
            Staleness::Partial => "cheesecloth; hit; detail=optional-mirror-left-out",
        }),
    }
}

/// `upstream;dur=12.3, total;dur=12.9`, in milliseconds.
pub(super) fn timing(text: &mut Vec<u8>, context: ReplyContext<'_>) {
    // Whole numbers: formatting floating ones costs more than the rest of a hot head.
    if let Some(upstream) = context.record.upstream {
        let tenths = upstream.as_micros() / 100;
        // Writing to memory does not fail.
        let _ = write!(text, "upstream;dur={}.{}, ", tenths / 10, tenths % 10);
    }
    let micros = u64::try_from(context.elapsed.as_micros()).unwrap_or(u64::MAX);
    text.extend_from_slice(b"total;dur=");
    text.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
    text.push(b'.');
    for place in [100, 10, 1] {
        text.push(b'0' + (micros / place % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn head(record: Record, body: Body) -> String {
        let mut head = HeaderMap::new();
        head.insert(http::header::ETAG, HeaderValue::from_static("\"x\""));
        let reply = Reply {
            status: StatusCode::OK,
            reason: None,
            head: Arc::new(head.into()),
            body,
            record: Record::default(),
        };
        let context = ReplyContext {
            request_id: "abc",
            record: &record,
            elapsed: Duration::from_micros(1_234),
        };
        let parts = response_head(&reply, context, true);
        let mut lines: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn a_hit_says_so() {
        let record = Record {
            cache: CacheResult::Hit,
            ..Record::default()
        };
        insta::assert_snapshot!(head(record, Body::Bytes(Bytes::from_static(b"page"))), @r#"
        cache-status: cheesecloth; hit
        content-length: 4
        etag: "x"
        server-timing: total;dur=1.234
        x-content-type-options: nosniff
        x-request-id: abc
        "#);
    }

    #[test]
    fn a_miss_says_what_the_upstream_took() {
        let record = Record {
            cache: CacheResult::Miss,
            upstream: Some(Duration::from_micros(1_100)),
            ..Record::default()
        };
        insta::assert_snapshot!(head(record, Body::Empty), @r#"
        cache-status: cheesecloth; fwd=uri-miss; stored
        etag: "x"
        server-timing: upstream;dur=1.1, total;dur=1.234
        x-content-type-options: nosniff
        x-request-id: abc
        "#);
    }
}
