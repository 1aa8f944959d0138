//! Replies by the doors themselves: redirects, and requests that no flow should see.

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::exchange::{Body, Record, Reply, reply_head};
use crate::protocol::{Audience, Problem, devpi_message, reason_phrase};
use crate::reader::{FAULT_CONTENT_TYPE, search_fault, too_large_fault};

/// Without it devpi-client warns instead of showing the message (docs/protocol/devpi.md §1).
const API_VERSION: HeaderName = HeaderName::from_static("x-devpi-api-version");

/// What a user reads who tries to change something through the public door.
const READ_ONLY: &str = "this address only reads; uploads, logins and changes go through the management door on the gateway's host";

pub(super) fn reply(status: StatusCode, body: Bytes, mut head: HeaderMap) -> Reply {
    head.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Reply::new(status, head, Body::Bytes(body), Record::default())
}

/// 405 to everything except GET and HEAD, in the client's form: twine and flit show the reason phrase,
/// devpi-client the JSON message, everything else the line.
pub(super) fn read_only(headers: &HeaderMap) -> Reply {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let wants_json = agent.starts_with("devpi-client") || Audience::names_json(headers);
    let (body, content_type) = if wants_json {
        (devpi_message(READ_ONLY), "application/json")
    } else {
        (
            Bytes::from(format!("{READ_ONLY}\n")),
            "text/plain; charset=utf-8",
        )
    };
    let mut head = reply_head(content_type, body.len(), "no-store");
    head.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    head.insert(API_VERSION, HeaderValue::from_static("2"));
    // For a refused upload only the status line is shown, even by devpi-client, which otherwise shows
    // the message next to it.
    let is_shown_once = wants_json && !is_form(headers);
    let reason = (!is_shown_once).then(|| reason_phrase(READ_ONLY).into());
    Reply {
        reason,
        ..reply(StatusCode::METHOD_NOT_ALLOWED, body, head)
    }
}

/// Whether the request is a form, which only uploads are.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().trim_start().to_ascii_lowercase();
    ["multipart/", "application/x-www-form-urlencoded"]
        .iter()
        .any(|form| kind.starts_with(form))
}

/// The answer to a `pip search` that asks no index, or cannot be read: pip prints a fault's words, but none of
/// a 405.
pub(super) fn search(headers: &HeaderMap, is_tls: bool) -> Reply {
    let scheme = if is_tls { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    fault(search_fault(&format!(
        "{scheme}://{}",
        host.unwrap_or("localhost")
    )))
}

/// The answer to a question of `pip search` that is longer than so many bytes.
pub(super) fn large_search(bytes_max: usize) -> Reply {
    fault(too_large_fault(bytes_max))
}

fn fault(fault: Bytes) -> Reply {
    let head = reply_head(FAULT_CONTENT_TYPE, fault.len(), "no-store");
    reply(StatusCode::OK, fault, head)
}

/// An invalid request: 400, 414 and the like.
pub(super) fn bad_request(status: StatusCode, detail: &str, path: &str) -> Reply {
    /// Longest path repeated to the client.
    const INSTANCE_MAX: usize = 1024;
    let instance: String = path.chars().take(INSTANCE_MAX).collect();
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Bad Request"),
        status: status.as_u16(),
        detail,
        instance: &instance,
        rule: None,
        ask: None,
    };
    let body = problem.to_body();
    let head = reply_head(Problem::CONTENT_TYPE, body.len(), "no-store");
    let reason = Some(reason_phrase(detail).into());
    Reply {
        reason,
        ..reply(status, body, head)
    }
}

/// 503: something that this machine lacks, and may soon have again.
pub(super) fn unavailable(words: &str) -> Reply {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem {
        kind: "about:blank",
        title: "Service Unavailable",
        status: status.as_u16(),
        detail: words,
        instance: "",
        rule: None,
        ask: None,
    };
    let body = problem.to_body_with_message();
    let mut head = reply_head(Problem::CONTENT_TYPE, body.len(), "no-store");
    head.insert(RETRY_AFTER, HeaderValue::from(1_u16));
    let reason = Some(reason_phrase(words).into());
    Reply {
        reason,
        ..reply(status, body, head)
    }
}

/// The same thing elsewhere.
pub(super) fn redirect(to: &str, is_permanent: bool) -> Reply {
    let Ok(location) = HeaderValue::from_str(to) else {
        return bad_request(StatusCode::BAD_REQUEST, "the query cannot be sent on", to);
    };
    let mut head = HeaderMap::new();
    head.insert(LOCATION, location);
    head.insert(API_VERSION, HeaderValue::from_static("2"));
    head.insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
    let status = if is_permanent {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::FOUND
    };
    reply(status, Bytes::new(), head)
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    fn content_type(reply: &Reply) -> &str {
        reply.head[CONTENT_TYPE].to_str().unwrap()
    }

    fn text(reply: &Reply) -> String {
        let Body::Bytes(bytes) = &reply.body else {
            panic!("not in memory")
        };
        assert_eq!(reply.head[CONTENT_LENGTH], *bytes.len().to_string());
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn writers_are_sent_to_the_other_door_in_their_own_words() {
        for (name, value, expected) in [
            (USER_AGENT, "devpi-client/7.3.0", "application/json"),
            (
                ACCEPT,
                "application/json;q=0.9, text/plain;q=0.8",
                "application/json",
            ),
            (USER_AGENT, "twine/7.0.0", "text/plain; charset=utf-8"),
        ] {
            let headers: HeaderMap = [(name, HeaderValue::from_static(value))]
                .into_iter()
                .collect();
            let reply = read_only(&headers);
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(content_type(&reply), expected, "{value}");
            assert_eq!(reply.head[ALLOW], "GET, HEAD");
            assert_eq!(reply.head[API_VERSION], "2");
            assert!(text(&reply).contains("management door"));
            // devpi-client and uv show the message next to the status line, but for an upload only that.
            let is_shown_once = expected == "application/json";
            assert_eq!(reply.reason.is_none(), is_shown_once, "{value}");
            let mut upload = headers.clone();
            let form = HeaderValue::from_static("multipart/form-data; boundary=x");
            upload.insert(CONTENT_TYPE, form);
            let reason = read_only(&upload).reason.unwrap();
            assert!(reason.contains("management door"), "{value}");
        }
    }

    #[test]
    fn a_bad_request_is_a_problem() {
        let reply = bad_request(StatusCode::BAD_REQUEST, "the path is not UTF-8", "/%FF");
        assert_eq!(content_type(&reply), "application/problem+json");
        insta::assert_snapshot!(text(&reply), @r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"the path is not UTF-8","instance":"/%FF"}"#);
    }

    #[test]
    fn a_redirect_depends_on_who_asks() {
        let reply = redirect("../six/?a=b", true);
        assert_eq!(reply.status, StatusCode::MOVED_PERMANENTLY);
        assert_eq!(reply.head[LOCATION], "../six/?a=b");
        assert_eq!(reply.head[VARY], "Accept, User-Agent");
        assert_eq!(redirect("six/", false).status, StatusCode::FOUND);
        assert_eq!(redirect("a\nb", false).status, StatusCode::BAD_REQUEST);
    }
}
