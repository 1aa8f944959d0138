//! What objects and pages have in common as replies, with the headers of docs/protocol/devpi.md §2.3, and
//! the words for a missing answer.

use bytes::Bytes;
use http::header::{RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::exchange::{
    Ask, Body, Core, Decision, ErrorKind, Record, Reply, Ruled, Trouble, count_denial, reply_head,
};
use crate::policy::Denial;
use crate::telemetry::{Mode, PATH_MAX, cut};

/// The protocol version that devpi-client speaks; any other number makes it give up.
const API_VERSION: &str = "2";

/// The devpi-server version whose behaviour this is: plugins and test suites depend on it.
pub const SERVER_VERSION: &str = "6.20.3";

/// How an answer is cached that may change at any time.
pub const FRESH: &str = "no-cache";

/// A finished object or page.
pub struct LookedAt {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Bytes,
    /// Seconds to wait, if that helps.
    pub retry_after: Option<u32>,
}

impl LookedAt {
    /// The reply to a request.
    pub async fn reply(self, core: &Core, ask: &Ask<'_>, record: Record) -> Reply {
        let mut head = reply_head(self.content_type, self.body.len(), FRESH);
        // One URL is a page for people, an object for programs and a simple page for installers.
        head.insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
        if let Some(seconds) = self.retry_after {
            head.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        sign(core, &mut head).await;
        let body = if ask.head {
            Body::Empty
        } else {
            Body::Bytes(self.body)
        };
        // devpi-client prints the reason phrase and the message: a standard phrase avoids saying it twice.
        Reply::new(self.status, head, body, record)
    }
}

/// Adds the headers that every answer of a devpi-server has. If the records cannot be read, the server's
/// serial and id are left out rather than made up.
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

/// Why there is no answer, in a form fit for a client.
pub struct NoAnswer {
    pub status: StatusCode,
    pub words: String,
    pub retry_after: Option<u32>,
    /// The refusal, if the policies refuse.
    pub denial: Option<Box<Denial>>,
}

impl NoAnswer {
    /// Counts and notes a denial. Details of a failure that clients may not see go to the log, here and
    /// only here.
    pub fn because(core: &Core, trouble: Trouble, path: &str, record: &mut Record) -> Self {
        let error = match trouble {
            Trouble::Failed(error) => error,
            Trouble::Refused(denial) => {
                count_denial(&core.metrics, &denial, Mode::Enforce);
                record.decision = Decision::Deny;
                record.rule = Some(Ruled::by(&denial));
                return Self {
                    status: StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
                    words: denial.detail_and_link(),
                    retry_after: None,
                    denial: Some(denial),
                };
            }
        };
        let status = error.kind.status();
        if status.is_server_error() {
            tracing::error!(path = cut(path, PATH_MAX), status = status.as_u16(), %error, "request failed");
        }
        let retry_after = match error.kind {
            ErrorKind::Unavailable(seconds) => seconds,
            _ => None,
        };
        Self {
            status,
            words: error.message,
            retry_after,
            denial: None,
        }
    }
}
