//! What a client is told of a write that was refused: devpi's three styles of errors
//! (docs/protocol/devpi.md §2.2), and the words in the status line, where people read them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use crate::db::DbError;
use crate::devpi::ApiAnswer;
use crate::gateway::{Body, Error, Record, Reply, Route, reply_head};
use crate::protocol::{Audience, devpi_message, reason_phrase};
use crate::store::StoreError;
use crate::writer::subject::WriteSubject;

/// The only challenge on which `setup.py register` of old tries again with its password.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"pypi\"");

/// A request that was refused or failed.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    style: Style,
    retry_after: Option<Duration>,
    is_said_aloud: bool,
    subject: Option<Box<WriteSubject>>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How an error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `{"message"}` whatever the client accepts.
    Api,
    /// `{"message"}` if JSON is asked for by name, else a page or text.
    Abort,
    /// `{"message", "code", "title"}` if JSON is accepted, else a page or text.
    Exception,
}

impl Refusal {
    pub fn new(status: StatusCode, style: Style, message: impl Into<String>) -> Self {
        Self {
            status,
            style,
            message: message.into(),
            retry_after: None,
            is_said_aloud: false,
            subject: None,
            cause: None,
        }
    }

    /// In the style of most JSON routes.
    #[must_use]
    pub fn api(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Style::Api, message)
    }

    /// In the style of unknown indexes and files.
    #[must_use]
    pub fn abort(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Style::Abort, message)
    }

    /// In the style of uploads.
    #[must_use]
    pub fn exception(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Style::Exception, message)
    }

    /// 403 of a permission that is not there.
    pub fn denied() -> Self {
        let message = "Access was denied to this resource.\n\n\n\
                       Unauthorized: PyPIView failed permission check\n\n";
        Self::exception(StatusCode::FORBIDDEN, message)
    }

    /// 404 for an index that is not there.
    #[must_use]
    pub fn no_index(name: &str) -> Self {
        Self::abort(
            StatusCode::NOT_FOUND,
            format!("The stage {name} could not be found."),
        )
    }

    /// Says when to try again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// Says it in the status line as well, which is all that clients show of a refused upload. Whoever
    /// reads the API shows the message beside the status line: there once is enough.
    #[must_use]
    pub fn aloud(self) -> Self {
        Self {
            is_said_aloud: true,
            ..self
        }
    }

    /// Says what was refused, where the request's path does not.
    #[must_use]
    pub fn about(self, subject: WriteSubject) -> Self {
        Self {
            subject: Some(Box::new(subject)),
            ..self
        }
    }

    /// The words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// 500, with the cause in the log only.
    pub fn internal(doing: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let refusal = Self::api(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to {doing}; the log says why"),
        );
        Self {
            cause: Some(Box::new(cause)),
            ..refusal
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// As an answer to a request with these headers; the cause goes to the log, here and only here.
    #[must_use]
    pub fn into_reply(self, headers: &HeaderMap) -> Reply {
        // Being busy is no failure.
        if self.status.is_server_error() && self.retry_after.is_none() {
            let cause = self.cause.as_ref().map(ToString::to_string);
            tracing::error!(status = self.status.as_u16(), cause, "{}", self.message);
        }
        let (body, content_type) = self.body(headers);
        let mut head = reply_head(content_type, body.len(), "no-store");
        if self.status == StatusCode::UNAUTHORIZED {
            head.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(wait) = self.retry_after {
            head.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        let reason = self.is_said_aloud.then(|| self.phrase().into());
        let mut record = Record {
            route: Route::Manage,
            ..Record::default()
        };
        if let Some(subject) = self.subject {
            let subject = *subject;
            (record.project, record.file) = (subject.project, subject.file);
        }
        Reply {
            reason,
            ..Reply::new(self.status, head, Body::Bytes(body), record)
        }
    }

    fn body(&self, headers: &HeaderMap) -> (Bytes, &'static str) {
        let message = self.message.as_str();
        match (self.style, form_for(headers)) {
            (Style::Api, _) | (Style::Abort, Form::Json) => {
                (devpi_message(message), "application/json")
            }
            (Style::Exception, Form::Json) => (self.exception_body(), "application/json"),
            (Style::Abort | Style::Exception, Form::Html) => (self.page(), "text/html"),
            (Style::Abort | Style::Exception, Form::Text) => (
                Bytes::from(format!("{}\n\n{message}\n", self.title())),
                "text/plain",
            ),
        }
    }

    /// What stands behind the number: the status's own words, or those of a refused upload.
    fn phrase(&self) -> String {
        let standard = self.status.canonical_reason().unwrap_or_default();
        match (self.is_said_aloud, self.status) {
            (false, _) => standard.to_owned(),
            // devpi says nothing else, and its client's own tests look for the word.
            (true, StatusCode::UNAUTHORIZED) => {
                reason_phrase(&format!("{standard}: {}", self.message))
            }
            (true, _) => reason_phrase(&self.message),
        }
    }

    fn exception_body(&self) -> Bytes {
        let title = self.phrase();
        let code = format!("{} {title}", self.status.as_u16());
        let body = json!({ "message": self.message, "code": code, "title": title });
        Bytes::from(format!("{body:#}\n"))
    }

    fn title(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.phrase())
    }

    fn page(&self) -> Bytes {
        let (title, text) = (escaped(&self.title()), escaped(&self.message));
        Bytes::from(format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>{title}</title></head>\
             <body><h1>{title}</h1><p>{text}</p></body></html>\n"
        ))
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

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// An answer of the devpi API, as a door writes it.
pub fn answered(answer: &ApiAnswer) -> Reply {
    let body = Bytes::from(answer.to_text());
    let mut head = reply_head("application/json", body.len(), "no-store");
    if let Some(wait) = answer.retry_after {
        head.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        head.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    let record = Record {
        route: Route::Manage,
        ..Record::default()
    };
    Reply::new(answer.status, head, Body::Bytes(body), record)
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Self {
        let answer = ApiAnswer::from(error);
        let refusal = Self::api(
            answer.status,
            answer.body["message"].as_str().unwrap_or_default(),
        );
        Self {
            cause: Some(error.to_string().into()),
            ..refusal
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::from(&error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Integrity { .. } => {
                Self::exception(StatusCode::BAD_REQUEST, error.to_string())
            }
            StoreError::Full { .. } => {
                Self::exception(StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            StoreError::Damaged { .. } | StoreError::Abandoned { .. } | StoreError::Io { .. } => {
                Self::internal("keep the file", error)
            }
        }
    }
}

/// What a flow of the reading half could not do.
impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self::api(error.kind.status(), error.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(refusal: Refusal, accept: Option<&str>) -> (String, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        let reply = refusal.into_reply(&headers);
        let kind = reply.head["content-type"].to_str().unwrap().to_owned();
        let Body::Bytes(bytes) = reply.body else {
            panic!("no bytes")
        };
        (kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn each_style_answers_what_the_client_accepts() {
        let styles = [Style::Api, Style::Abort, Style::Exception];
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
                let expected = if style == Style::Api {
                    "application/json"
                } else {
                    expected
                };
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, style, "no <b>good</b>");
                let (kind, text) = body(refusal, accept);
                assert_eq!(kind, expected, "{style:?} {accept:?}");
                assert_eq!(text.contains("<b>"), kind != "text/html", "{text}");
            }
        }
    }

    #[test]
    fn a_refused_permission_reads_as_devpi_has_it() {
        let (_, text) = body(Refusal::denied(), Some("application/json"));
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
        let reply = refusal.into_reply(&HeaderMap::new());
        assert_eq!(reply.head[WWW_AUTHENTICATE], "Basic realm=\"pypi\"");
        assert_eq!(reply.reason, None);
    }

    #[test]
    fn only_a_refused_upload_speaks_in_the_status_line() {
        for style in [Style::Api, Style::Abort, Style::Exception] {
            let refusal = || Refusal::new(StatusCode::CONFLICT, style, "it exists");
            let json = Some("application/json");
            assert_eq!(refusal().into_reply(&HeaderMap::new()).reason, None);
            let aloud = refusal().aloud().into_reply(&HeaderMap::new());
            assert_eq!(aloud.reason.as_deref(), Some("it exists"), "{style:?}");
            if style == Style::Exception {
                let (_, text) = body(refusal(), json);
                assert!(text.contains("\"title\": \"Conflict\""), "{text}");
                let (_, text) = body(refusal().aloud(), json);
                assert!(text.contains("\"title\": \"it exists\""), "{text}");
            }
        }
        let nobody = Refusal::exception(StatusCode::UNAUTHORIZED, "say who you are").aloud();
        let reply = nobody.into_reply(&HeaderMap::new());
        assert_eq!(
            reply.reason.as_deref(),
            Some("Unauthorized: say who you are")
        );
    }
}
