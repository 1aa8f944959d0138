//! Who is asking: a principal, from an address, in a request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::account::{BadName, Credentials, NotAccepted, Principal, SessionKey};
use crate::db::Cause;
use crate::devpi::{AskedBy, DevpiWords, Refusal};
use crate::exchange::Arrival;
use crate::model::Timestamp;
use crate::writer::desk::Writer;

/// devpi-client's header; it wins over `Authorization` (docs/protocol/devpi.md §5).
const DEVPI_AUTH: HeaderName = HeaderName::from_static("x-devpi-auth");

/// How a proxy that logs people in names them.
const REMOTE_USER: HeaderName = HeaderName::from_static("x-remote-user");

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who they are.
    pub principal: Principal,
    /// The token they used, as the audit names it; `None` for a password.
    pub token: Option<Arc<str>>,
    /// From where; loopback for a Unix socket.
    pub address: IpAddr,
    /// The request.
    pub request_id: Arc<str>,
    /// Whether it came by a public door, which does not show every index.
    pub is_public: bool,
    /// Why the credentials of the request were not accepted, if there were any.
    pub refused: Option<NotAccepted>,
}

impl Caller {
    /// Who and when, as the devpi API is asked.
    pub fn asking(&self, now: Timestamp) -> AskedBy<'_> {
        AskedBy {
            who: &self.principal,
            now,
        }
    }

    /// Who and when, for the records.
    pub fn cause(&self, now: Timestamp) -> Cause {
        self.asking(now).cause()
    }

    /// How a refused permission names the caller: as devpi does.
    pub fn quoted(&self) -> String {
        self.principal
            .name()
            .map_or_else(|| "None".to_owned(), |name| format!("'{name}'"))
    }

    /// 503 if the caller may be anybody, for what is not open to everybody.
    pub fn cannot_be_known(&self) -> Option<Refusal> {
        let is_away = self.refused == Some(NotAccepted::Unavailable);
        is_away.then(Refusal::directory_away)
    }

    /// 401, or 429 when guessing has to stop for a while.
    pub fn must_log_in(&self) -> Refusal {
        let may_not = DevpiWords::MayNotSubmit;
        let words = match self.refused {
            None => "say who you are",
            Some(NotAccepted::Wrong) => "the user or the password is wrong",
            Some(NotAccepted::Expired) => "this token has expired",
            Some(NotAccepted::Withdrawn) => "this token is unknown or was revoked",
            Some(NotAccepted::Name(why)) => {
                let words = format!("{may_not}: {why}");
                return Refusal::exception(StatusCode::UNAUTHORIZED, words);
            }
            Some(NotAccepted::Unavailable) => return Refusal::directory_away(),
            Some(NotAccepted::Wait(wait)) => {
                let seconds = wait.as_secs() + 1;
                let words = format!("too many wrong passwords, try again in {seconds} seconds");
                return Refusal::exception(StatusCode::TOO_MANY_REQUESTS, words).after(wait);
            }
        };
        Refusal::exception(StatusCode::UNAUTHORIZED, format!("{may_not}: {words}"))
    }
}

impl Writer {
    /// Finds out who sends a request. Credentials that are not accepted make the caller anonymous:
    /// reads continue, writes are refused when permissions are checked.
    ///
    /// # Errors
    /// When the records cannot be read: nobody is taken for anonymous then.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        arrival: Arrival<'_>,
        request_id: Arc<str>,
    ) -> Result<Caller, Refusal> {
        let address = arrival.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut caller = Caller {
            principal: Principal::Anonymous,
            token: None,
            address,
            request_id,
            is_public: true,
            refused: None,
        };
        // From anybody else it says nothing. A proxy that names somebody has looked at their credentials,
        // which may be sent along and mean nothing here.
        if arrival.is_proxy
            && let Some(said) = remote_user(headers)
            && let said = said.as_deref().map_err(|why| *why)
            && let Some(found) = self.accounts.named_by_proxy(said, self.now()).await?
        {
            match found {
                Ok(principal) => caller.principal = principal,
                Err(why) => caller.refused = Some(why),
            }
            return Ok(caller);
        }
        let bytes = |name: &HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
        let credentials =
            Credentials::from_headers(bytes(&DEVPI_AUTH), bytes(&AUTHORIZATION)).unwrap_or(None);
        let Some(credentials) = credentials else {
            return Ok(caller);
        };
        let now = self.now();
        let found = self.accounts.authenticate(&credentials, address, now).await;
        match found? {
            Ok(principal) => {
                caller.token = token_of(&principal, &credentials.secret);
                caller.principal = principal;
            }
            Err(why) => caller.refused = Some(why),
        }
        Ok(caller)
    }
}

/// The user whom a request names, unless it names several, of whom a client may have written one.
fn remote_user(headers: &HeaderMap) -> Option<Result<String, BadName>> {
    let mut values = headers.get_all(REMOTE_USER).into_iter();
    let first = values.next()?.as_bytes();
    if values.next().is_some() {
        return Some(Err(BadName::Several));
    }
    let name = std::str::from_utf8(first).map_err(|_| BadName::NoName);
    (!first.is_empty()).then(|| name.map(|name| name.trim().to_owned()))
}

/// How the audit names the token of a request: a CI token by its id, a login by its time. Several
/// logins of one user in the same second count as one.
fn token_of(principal: &Principal, secret: &str) -> Option<Arc<str>> {
    let named = match principal.scope() {
        Some(scope) => format!("cc-{}", scope.token),
        None => format!("login {}", SessionKey::given_at(secret)?),
    };
    Some(named.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Identity, Means, Scope};

    #[test]
    fn a_proxy_names_one_user_or_nobody() {
        for (lines, expected) in [
            (&[][..], None),
            (&[""][..], None),
            (&["anna"], Some(Ok("anna"))),
            (&[" anna "], Some(Ok("anna"))),
            (&["anna", "bert"], Some(Err(BadName::Several))),
            (&["anna", ""], Some(Err(BadName::Several))),
            (&["\u{fc}"], Some(Ok("\u{fc}"))),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                let value = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
                headers.append(REMOTE_USER, value);
            }
            let expected = expected.map(|expected| expected.map(str::to_owned));
            assert_eq!(remote_user(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_token_is_named_without_its_secret() {
        let scope = Scope {
            token: "0123456789abcdef".into(),
            indexes: Vec::new(),
            operations: Vec::new(),
        };
        let ci = Principal::Known(Identity {
            user: "ci".into(),
            scope: Some(scope),
            groups: Vec::new(),
            means: Means::Token,
        });
        let key = SessionKey::new(crate::db::ServerSecret([7; 32]));
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let login = key.issue("me", 1, now);
        for (principal, secret, expected) in [
            (
                &ci,
                "cc-0123456789abcdef-secret",
                Some("cc-0123456789abcdef"),
            ),
            (
                &Principal::user("me"),
                &*login,
                Some("login 2026-01-02T03:04:05Z"),
            ),
            (&Principal::user("me"), "password", None),
        ] {
            assert_eq!(token_of(principal, secret).as_deref(), expected);
        }
    }
}
