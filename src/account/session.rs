//! Login tokens: `cs1.<user>.<generation>.<expiry>.<signature>`, all of it ASCII without a colon.
//!
//! Nothing is stored. A token ends when it expires, when the user's generation has moved on (a new
//! password) or when the user is gone; the caller compares the generation, which needs the records.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256 as Hash;

use crate::db::ServerSecret;
use crate::model::Timestamp;

/// How long a login lasts; devpi says 10 hours, and clients are told.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(10);

/// Prefix of every login token, which distinguishes it from a password.
const PREFIX: &str = "cs1.";

/// Longest token looked at, in bytes.
const TOKEN_MAX: usize = 1024;

/// The signature's domain: one secret signs several kinds of things.
const PURPOSE: &[u8] = b"cheesecloth login token 1\0";

/// Signs and reads login tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(ServerSecret);

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: String,
    /// The user's generation when it was issued.
    pub generation: u64,
}

impl SessionKey {
    /// The key of a server.
    #[must_use]
    pub fn new(secret: ServerSecret) -> Self {
        Self(secret)
    }

    /// A token for a user who has just given a password.
    #[must_use]
    pub fn issue(&self, user: &str, generation: u64, now: Timestamp) -> String {
        let lifetime = i64::try_from(SESSION_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        let expiry = now.as_second().saturating_add(lifetime);
        let user = URL_SAFE_NO_PAD.encode(user);
        let signed = format!("{PREFIX}{user}.{generation}.{expiry}");
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// Whether a secret looks like a login token, valid or not.
    pub fn is_session(secret: &str) -> bool {
        secret.starts_with(PREFIX)
    }

    /// What a token says, if this server signed it and it has not expired.
    pub fn read(&self, token: &str, now: Timestamp) -> Option<Session> {
        let (signed, signature) = token
            .rsplit_once('.')
            .filter(|_| token.len() <= TOKEN_MAX)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(signed).verify_slice(&signature).ok()?;
        let mut parts = signed.strip_prefix(PREFIX)?.split('.');
        let user = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let generation = parts.next()?.parse().ok()?;
        let expiry: i64 = parts.next()?.parse().ok()?;
        let user = String::from_utf8(user).ok()?;
        (now.as_second() < expiry && parts.next().is_none()).then_some(Session { user, generation })
    }

    /// When a token was issued, as it says itself; for logs, once it is known to be valid.
    pub fn given_at(token: &str) -> Option<Timestamp> {
        let expiry: i64 = token
            .strip_prefix(PREFIX)?
            .split('.')
            .nth(2)?
            .parse()
            .ok()?;
        let lifetime = i64::try_from(SESSION_LIFETIME.as_secs()).ok()?;
        Timestamp::from_second(expiry.checked_sub(lifetime)?).ok()
    }

    fn mac(&self, signed: &str) -> Hmac<Hash> {
        let mac = Hmac::<Hash>::new_from_slice(&self.0.0).expect("HMAC takes keys of any length");
        mac.chain_update(PURPOSE).chain_update(signed)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SessionKey {
        SessionKey::new(ServerSecret([7; 32]))
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn a_token_says_whose_it_is_for_ten_hours() {
        let token = key().issue("mü.x@y", 42, now());
        assert!(token.is_ascii() && !token.contains(':') && SessionKey::is_session(&token));
        let session = Session {
            user: "mü.x@y".into(),
            generation: 42,
        };
        assert_eq!(SessionKey::given_at(&token), Some(now()));
        for (later, expected) in [
            (Duration::ZERO, Some(&session)),
            (SESSION_LIFETIME - Duration::from_secs(1), Some(&session)),
            (SESSION_LIFETIME, None),
        ] {
            assert_eq!(
                key().read(&token, now() + later).as_ref(),
                expected,
                "{later:?}"
            );
        }
        assert_eq!(
            SessionKey::new(ServerSecret([8; 32])).read(&token, now()),
            None,
            "another server's"
        );
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        for token in [
            "",
            "cs1.",
            "cs1....",
            "password",
            "cs1.bWU.1.99999999999.AAAA",
            &"cs1.".repeat(400),
        ] {
            assert_eq!(key().read(token, now()), None, "{token}");
            // Whatever it says is not looked at further.
            let _ = SessionKey::given_at(token);
        }
    }

    proptest! {
        #[test]
        fn a_token_with_one_other_character_is_void(at in 0usize..80, other in "[ -~]") {
            let token = key().issue("user", 1, now());
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &other);
            // The last character of base64 carries bits that stand for nothing, but are refused too.
            prop_assert_eq!(key().read(&changed, now()).is_some(), changed == token);
        }
    }
}
