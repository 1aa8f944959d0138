//! A denial as an answer that explains itself inside unmodified clients (docs/protocol/simple-api.md §8).
//!
//! pip prints the HTTP/1.1 reason phrase, uv the problem's title and detail; never 404, or a client
//! would look for the same name in its next index.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::exchange::error::{Error, ErrorKind};
use crate::exchange::reply::{Body, Decision, Record, Reply, Ruled};
use crate::policy::Denial;
use crate::protocol::{Problem, reason_phrase};
use crate::telemetry::{Metrics, Mode, PATH_MAX, cut};

/// A refused file or sidecar, counted: 403.
pub fn file_refused(metrics: &Metrics, denial: &Denial, path: &str, mut record: Record) -> Reply {
    count_denial(metrics, denial, Mode::Enforce);
    record.project = Some(denial.subject.project().clone());
    refused(StatusCode::FORBIDDEN, denial, path, record)
}

/// A project refused as a whole, counted: 451.
pub fn project_refused(metrics: &Metrics, denial: &Denial, path: &str, record: Record) -> Reply {
    count_denial(metrics, denial, Mode::Enforce);
    let status = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;
    refused(status, denial, path, record)
}

fn refused(status: StatusCode, denial: &Denial, path: &str, mut record: Record) -> Reply {
    record.decision = Decision::Deny;
    record.rule = Some(Ruled::by(denial));
    let (short, link) = (denial.short(), denial.ask());
    let problem = Problem {
        kind: "about:blank",
        title: &short,
        status: status.as_u16(),
        detail: &denial.detail_and_link(),
        instance: path,
        rule: Some(&denial.rule.name),
        ask: link.as_deref(),
    };
    let body = problem.to_body();
    let head = reply_head(Problem::CONTENT_TYPE, body.len(), "no-store");
    Reply {
        reason: Some(reason_phrase(&denial.short_and_link()).into()),
        ..Reply::new(status, head, Body::Bytes(body), record)
    }
}

/// Counts a refusal by its rule; for a policy that only audits, a would-be refusal.
pub fn count_denial(metrics: &Metrics, denial: &Denial, mode: Mode) {
    let rule = &denial.rule;
    metrics.refusal(rule.index.as_str(), &rule.name, mode);
}

/// A failed flow as an answer; details that clients may not see go to the log, here and only here.
pub fn failed_reply(error: &Error, path: &str, record: Record) -> Reply {
    let status = error.kind.status();
    if status.is_server_error() {
        tracing::error!(path = cut(path, PATH_MAX), status = status.as_u16(), %error, "request failed");
    }
    let title = status.canonical_reason().unwrap_or("error");
    let problem = Problem {
        kind: "about:blank",
        title,
        status: status.as_u16(),
        detail: &error.message,
        instance: path,
        rule: None,
        ask: None,
    };
    // devpi's clients read a `message` where others read the detail.
    let body = problem.to_body_with_message();
    let mut head = reply_head(Problem::CONTENT_TYPE, body.len(), "no-store");
    if let ErrorKind::Unavailable(Some(seconds)) = error.kind {
        // In seconds: poetry parses a number and nothing else (docs/protocol/simple-api.md §8).
        head.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.kind == ErrorKind::NotAcceptable {
        // Another client gets a page under the same URL.
        head.insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
    }
    Reply {
        reason: Some(reason_phrase(&error.message).into()),
        ..Reply::new(status, head, Body::Bytes(body), record)
    }
}

/// The three headers that every answer with a body in memory has.
pub fn reply_head(content_type: &'static str, length: usize, caching: &'static str) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    head.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    head
}
