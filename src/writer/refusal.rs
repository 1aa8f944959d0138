//! Answers of the management door: devpi's successes, and its styles of errors
//! (docs/protocol/devpi.md §2.2) with the words in the status line, where people read them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::{DOCTYPE, html};
use serde_json::json;

use crate::devpi::{ApiAnswer, Refusal, RefusalStyle};
use crate::exchange::{Body, Error, ErrorKind, Record, Reply, Route, reply_head};
use crate::protocol::{Audience, devpi_message, reason_phrase};
use crate::reader::denied_page;
use crate::store::StoreError;

/// The only challenge to which old versions of `setup.py register` respond with their password.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"pypi\"");

/// A reply with a body in memory, which no cache keeps.
pub fn managed(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let head = reply_head(content_type, body.len(), "no-store");
    let record = Record {
        route: Route::Manage,
        ..Record::default()
    };
    Reply::new(status, head, Body::Bytes(body), record)
}

/// A devpi API answer as a reply.
pub fn answered(answer: &ApiAnswer) -> Reply {
    managed(answer.status, "application/json", answer.to_text().into())
}

/// A refusal as a reply to a request for this path with these headers; its cause goes to the log, here and only
/// here. In a browser somebody reads a page about what they may not do; no other client is told anything else.
///
/// With a reason phrase the words stand in the status line as well, which is all that clients show of a
/// refused upload. API clients show the message next to the status line, so there the words stand once.
#[must_use]
pub fn refusal_reply(
    refusal: Refusal,
    (path, headers): (&str, &HeaderMap),
    with_reason_phrase: bool,
) -> Reply {
    let (status, message) = (refusal.status, &refusal.message);
    if status.is_server_error() && refusal.retry_after.is_none() {
        let cause = refusal.cause.as_deref();
        tracing::error!(status = status.as_u16(), cause, "{message}");
    }
    let phrase = with_reason_phrase.then(|| match status {
        StatusCode::UNAUTHORIZED => reason_phrase(&format!("{}: {message}", standard(status))),
        _ => reason_phrase(message),
    });
    let title = phrase.as_deref().unwrap_or(standard(status));
    let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let (content_type, body, mut more) = if is_denied && Audience::of(headers) == Audience::Person {
        let page = denied_page(path, status, message);
        (page.content_type, page.body, page.head)
    } else {
        let (content_type, body) = body(&refusal, form_for(headers), title);
        (content_type, body, HeaderMap::new())
    };
    if status == StatusCode::UNAUTHORIZED {
        more.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(wait) = refusal.retry_after {
        more.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    let mut reply = managed(status, content_type, body);
    Arc::make_mut(&mut reply.head).extend(more);
    reply.reason = phrase.map(Into::into);
    reply.record.project = refusal.project;
    reply
}

/// The status's own words.
fn standard(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

/// The content in a form that the client accepts; `title` follows the number.
fn body(refusal: &Refusal, form: Form, title: &str) -> (&'static str, Bytes) {
    let message = &refusal.message;
    let code = format!("{} {title}", refusal.status.as_u16());
    match (refusal.style, form) {
        (RefusalStyle::Api, _) | (RefusalStyle::Abort, Form::Json) => {
            ("application/json", devpi_message(message))
        }
        (RefusalStyle::Denial, _) | (RefusalStyle::Exception, Form::Json) => {
            let body = json!({ "message": message, "code": code, "title": title });
            ("application/json", format!("{body:#}\n").into())
        }
        (RefusalStyle::Abort | RefusalStyle::Exception, Form::Html) => {
            let page = html! {
                (DOCTYPE)
                html lang="en" {
                    head { title { (code) } }
                    body { h1 { (code) } p { (message) } }
                }
            };
            ("text/html", format!("{}\n", page.into_string()).into())
        }
        (RefusalStyle::Abort | RefusalStyle::Exception, Form::Text) => {
            ("text/plain", format!("{code}\n\n{message}\n").into())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Text,
}

fn form_for(headers: &HeaderMap) -> Form {
    if Audience::names_json(headers) {
        return Form::Json;
    }
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or("*/*");
    let accept = accept.to_ascii_lowercase();
    if accept.contains("*/*") || accept.contains("text/html") {
        Form::Html
    } else {
        Form::Text
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Integrity { .. } => Self::exception(StatusCode::BAD_REQUEST, error),
            StoreError::Full { .. } => Self::exception(StatusCode::INSUFFICIENT_STORAGE, error),
            StoreError::Damaged { .. } | StoreError::Abandoned { .. } | StoreError::Io { .. } => {
                Self::internal("keep the file", error)
            }
        }
    }
}

/// What a flow of the reading half could not do.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Self::api(error.kind.status(), error.message);
        let ErrorKind::Unavailable(Some(seconds)) = error.kind else {
            return refusal;
        };
        refusal.after(Duration::from_secs(u64::from(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(refusal: Refusal, accept: Option<&str>) -> (String, String) {
        written(refusal, accept, false)
    }

    fn written(
        refusal: Refusal,
        accept: Option<&str>,
        with_reason_phrase: bool,
    ) -> (String, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        let reply = refusal_reply(refusal, ("/", &headers), with_reason_phrase);
        let kind = reply.head["content-type"].to_str().unwrap().to_owned();
        let Body::Bytes(bytes) = reply.body else {
            panic!("no bytes")
        };
        (kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn each_style_answers_what_the_client_accepts() {
        let styles = [
            RefusalStyle::Api,
            RefusalStyle::Abort,
            RefusalStyle::Exception,
        ];
        let accepts = [
            (None, "text/html"),
            (Some("*/*"), "text/html"),
            (Some("application/json"), "application/json"),
            (
                Some("application/json;q=0.9, text/plain;q=0.8"),
                "application/json",
            ),
            (Some("text/plain"), "text/plain"),
        ];
        for style in styles {
            for (accept, expected) in accepts {
                let expected = if style == RefusalStyle::Api {
                    "application/json"
                } else {
                    expected
                };
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, style, "no <b>good</b>");
                let (kind, text) = content(refusal, accept);
                assert_eq!(kind, expected, "{style:?} {accept:?}");
                assert_eq!(text.contains("<b>"), kind != "text/html", "{text}");
            }
        }
    }

    #[test]
    fn a_refused_permission_reads_as_devpi_has_it() {
        let (_, text) = content(Refusal::denied(), Some("application/json"));
        let (_, whatever_is_accepted) = content(Refusal::denied_by_api(), Some("text/plain"));
        assert_eq!(text, whatever_is_accepted);
        insta::assert_snapshot!(text, @r#"
        {
          "code": "403 Forbidden",
          "message": "Access was denied to this resource.\n\n\nUnauthorized: PyPIView failed permission check\n\n",
          "title": "Forbidden"
        }
        "#);
    }

    #[test]
    fn a_refused_login_names_the_realm_that_old_clients_know() {
        let refusal = Refusal::exception(StatusCode::UNAUTHORIZED, "say who you are");
        let reply = refusal_reply(refusal, ("/", &HeaderMap::new()), false);
        assert_eq!(reply.head[WWW_AUTHENTICATE], "Basic realm=\"pypi\"");
        assert_eq!(reply.reason, None);
    }

    #[test]
    fn who_may_not_do_something_reads_a_page_in_a_browser_alone() {
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        let pip = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, \
                   text/html; q=0.01";
        let clients = [
            ("Mozilla/5.0", browser, true),
            ("pip/26.3", pip, false),
            ("pip/26.3", "text/html", false),
            ("devpi-client/7.3.0", "application/json", false),
            ("Mozilla/5.0", "application/json, text/html", false),
            ("twine/7.0.0", "*/*", false),
        ];
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            for style in [
                RefusalStyle::Api,
                RefusalStyle::Exception,
                RefusalStyle::Denial,
            ] {
                for (agent, accept, is_page) in clients {
                    let mut headers = HeaderMap::new();
                    headers.insert(ACCEPT, accept.parse().unwrap());
                    headers.insert(http::header::USER_AGENT, agent.parse().unwrap());
                    let refusal = Refusal::new(status, style, "say <who> you are");
                    let reply = refusal_reply(refusal, ("/me/dev", &headers), false);
                    assert_eq!(reply.status, status);
                    let challenge = reply.head.get(WWW_AUTHENTICATE);
                    let is_challenged = status == StatusCode::UNAUTHORIZED;
                    assert_eq!(
                        challenge.is_some_and(|one| *one == CHALLENGE),
                        is_challenged
                    );
                    let policy = reply.head.get("content-security-policy");
                    assert_eq!(policy.is_some(), is_page, "{agent} {accept} {style:?}");
                    let Body::Bytes(body) = &reply.body else {
                        panic!("no bytes")
                    };
                    assert_eq!(reply.head["content-length"], *body.len().to_string());
                    let text = String::from_utf8(body.to_vec()).unwrap();
                    let link = "href=\"../+static/style.css\"";
                    let is_styled = text.contains(link) && text.contains("say &lt;who&gt; you are");
                    assert_eq!(is_styled, is_page, "{agent} {accept} {style:?}: {text}");
                }
            }
        }
        let (kind, text) = content(Refusal::bad_request("no"), Some(browser));
        assert!(
            kind == "application/json" && text.contains("no"),
            "{kind}: {text}"
        );
    }

    #[test]
    fn only_a_refused_upload_speaks_in_the_status_line() {
        for style in [
            RefusalStyle::Api,
            RefusalStyle::Abort,
            RefusalStyle::Exception,
        ] {
            let refusal = || Refusal::new(StatusCode::CONFLICT, style, "it exists");
            let json = Some("application/json");
            let reason = |with_reason_phrase| {
                refusal_reply(refusal(), ("/", &HeaderMap::new()), with_reason_phrase).reason
            };
            assert_eq!(reason(false), None);
            assert_eq!(reason(true).as_deref(), Some("it exists"), "{style:?}");
            if style == RefusalStyle::Exception {
                let (_, text) = content(refusal(), json);
                assert!(text.contains("\"title\": \"Conflict\""), "{text}");
                let (_, text) = written(refusal(), json, true);
                assert!(text.contains("\"title\": \"it exists\""), "{text}");
            }
        }
        let nobody = Refusal::exception(StatusCode::UNAUTHORIZED, "say who you are");
        let reply = refusal_reply(nobody, ("/", &HeaderMap::new()), true);
        assert_eq!(
            reply.reason.as_deref(),
            Some("Unauthorized: say who you are")
        );
    }
}
