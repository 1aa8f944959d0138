//! A reply as devpi's clients expect it: the headers of docs/protocol/devpi.md §2.3, and exactly
//! `application/json`, which devpi-client compares before it shows a message.

use bytes::Bytes;
use http::header::{RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::devpi::ApiAnswer;
use crate::gateway::{
    Ask, Body, Core, Decision, Error, ErrorKind, Record, Reply, Trouble, count_denial, reply_head,
    rule_text,
};
use crate::policy::Denial;
use crate::telemetry::{Mode, PATH_MAX, cut};

/// The protocol that devpi-client speaks; any other number makes it give up.
const API_VERSION: &str = "2";

/// The devpi-server whose behaviour this is: plugins and test suites switch on it.
pub const SERVER_VERSION: &str = "6.20.3";

/// Makes the reply to a route of the API.
pub async fn api_reply(
    core: &Core,
    ask: &Ask<'_>,
    outcome: Result<ApiAnswer, Trouble>,
    mut record: Record,
) -> Reply {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(Trouble::Failed(error)) => failed(&error, ask.path),
        Err(Trouble::Refused(denial)) => {
            count_denial(&core.metrics, &denial, Mode::Enforce);
            record.decision = Decision::Deny;
            record.rule = Some(rule_text(&denial));
            refused(&denial)
        }
    };
    let body = Bytes::from(answer.to_text());
    let mut head = reply_head("application/json", body.len(), "no-cache");
    head.insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
    sign(core, &mut head).await;
    if let Some(wait) = answer.retry_after {
        head.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    let body = if ask.head {
        Body::Empty
    } else {
        Body::Bytes(body)
    };
    // devpi-client prints the reason phrase and the message: the standard one says less twice.
    Reply::new(answer.status, head, body, record)
}

/// Adds the headers that every answer of a devpi-server has. Where the records cannot be read,
/// the serial and the id of the server are left out rather than made up.
pub async fn sign(core: &Core, head: &mut HeaderMap) {
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            head.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-devpi-api-version", API_VERSION);
    put("x-devpi-server-version", SERVER_VERSION);
    if let Ok(serial) = core.records.serial().await {
        put("x-devpi-serial", &serial.to_string());
    }
    if let Ok(facts) = core.records.facts().await {
        for name in [
            "x-devpi-uuid",
            "x-devpi-master-uuid",
            "x-devpi-primary-uuid",
        ] {
            put(name, &facts.uuid);
        }
    }
}

/// A failure in devpi's form; what a client may not see goes to the log, here and only here.
fn failed(error: &Error, path: &str) -> ApiAnswer {
    let status = error.kind.status();
    if status.is_server_error() {
        tracing::error!(path = cut(path, PATH_MAX), status = status.as_u16(), %error, "request failed");
    }
    let mut answer = ApiAnswer::message(status, &error.message);
    if let ErrorKind::Unavailable(Some(seconds)) = error.kind {
        answer.retry_after = Some(std::time::Duration::from_secs(seconds.into()));
    }
    answer
}

fn refused(denial: &Denial) -> ApiAnswer {
    ApiAnswer::message(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, denial.detail())
}
