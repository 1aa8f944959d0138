//! What a request carries: `X-Devpi-Auth` (devpi-client) or `Authorization: Basic` (everybody else);
//! and why that is not accepted.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Longest header value read, in bytes; a token with a long user name stays far below it.
const HEADER_MAX: usize = 4096;

/// A user's name and a secret: a password, a login token or a CI token. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; anything, for a CI token.
    pub user: String,
    /// The secret.
    pub secret: String,
}

/// Why credentials are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// Unknown user, wrong password, or a token that is no longer valid. Which one is not revealed.
    Wrong,
    /// An expired CI token; only a client that has the whole token is told.
    Expired,
    /// A CI token that does not exist, or was withdrawn.
    Withdrawn,
    /// The directory that knows this user does not answer: they may be right (503).
    Unavailable,
    /// Too many wrong ones: wait this long (429, `Retry-After`).
    Wait(Duration),
    /// A directory or a proxy knows the user, and nobody is believed under this name.
    Name(BadName),
}

/// Why nobody is believed under a name that a directory or a proxy knows. Only they are told, and whoever
/// has a password there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No user may be called that.
    #[error(
        "no user can be called what the proxy says in X-Remote-User: letters, digits and -.@_ only"
    )]
    NoName,
    /// A proxy says several.
    #[error("the proxy sends X-Remote-User more than once: it has to remove what clients send")]
    Several,
    /// A proxy says root.
    #[error("nobody becomes root by X-Remote-User: root logs in with a password")]
    Root,
    /// It has letters that are not ASCII.
    #[error("a user who is new here needs a name of ASCII letters, digits and -.@_")]
    NotAscii,
    /// A path of this server begins with it.
    #[error("this name is reserved: a path of this server begins with it")]
    Reserved,
    /// It reads like that of another user.
    #[error("this name reads like that of another user here, and upper and lower case count")]
    Like,
}

/// The header is not `base64(user:secret)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credentials are not base64 of user:secret")]
pub struct InvalidCredentials;

impl Credentials {
    /// Reads the two headers. devpi's wins, even when it cannot be read; an `Authorization` with a scheme
    /// other than Basic is ignored.
    ///
    /// # Errors
    /// When the header that counts is not `base64(user:secret)`.
    pub fn from_headers(
        devpi_auth: Option<&[u8]>,
        authorization: Option<&[u8]>,
    ) -> Result<Option<Self>, InvalidCredentials> {
        if let Some(encoded) = devpi_auth {
            return Self::decode(encoded).map(Some);
        }
        let Some(authorization) = authorization.filter(|value| value.len() <= HEADER_MAX) else {
            return if authorization.is_some() {
                Err(InvalidCredentials)
            } else {
                Ok(None)
            };
        };
        match authorization.split_at_checked(6) {
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case(b"basic ") => {
                Self::decode(encoded).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn decode(encoded: &[u8]) -> Result<Self, InvalidCredentials> {
        let encoded = encoded.trim_ascii();
        if encoded.len() > HEADER_MAX {
            return Err(InvalidCredentials);
        }
        let bytes = STANDARD
            .decode(encoded)
            .or_else(|_| STANDARD_NO_PAD.decode(encoded));
        let bytes = bytes.map_err(|_| InvalidCredentials)?;
        // Latin-1 maps each byte to the character of the same number.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            error
                .as_bytes()
                .iter()
                .map(|byte| char::from(*byte))
                .collect()
        });
        let (user, secret) = text.split_once(':').ok_or(InvalidCredentials)?;
        Ok(Self {
            user: user.to_owned(),
            secret: secret.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({:?}, ***)", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        devpi: Option<&str>,
        basic: Option<&str>,
    ) -> Result<Option<(String, String)>, InvalidCredentials> {
        let read = Credentials::from_headers(devpi.map(str::as_bytes), basic.map(str::as_bytes))?;
        Ok(read.map(|credentials| (credentials.user, credentials.secret)))
    }

    #[test]
    fn both_carriers_and_their_order() {
        let (me, you) = (STANDARD.encode("me:a:b"), STANDARD.encode("you:"));
        let (basic_me, basic_you) = (format!("Basic {me}"), format!("bAsIc {you}"));
        let pair = |user: &str, secret: &str| Ok(Some((user.to_owned(), secret.to_owned())));
        assert_eq!(read(Some(&me), None), pair("me", "a:b"));
        assert_eq!(read(None, Some(&basic_you)), pair("you", ""));
        assert_eq!(read(Some(&you), Some(&basic_me)), pair("you", ""));
        assert_eq!(read(Some("?"), Some(&basic_me)), Err(InvalidCredentials));
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(None, Some("Bearer abc")), Ok(None));
        assert_eq!(
            read(None, Some(&basic_me.replace('=', ""))),
            pair("me", "a:b")
        );
    }

    #[test]
    fn utf8_first_then_latin1() {
        let latin = STANDARD.encode(b"m\xfc:p");
        for encoded in [STANDARD.encode("mü:p"), latin] {
            assert_eq!(read(Some(&encoded), None).unwrap().unwrap().0, "mü");
        }
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let long = "A".repeat(HEADER_MAX + 4);
        for encoded in [STANDARD.encode("no colon"), "?".into(), String::new(), long] {
            assert_eq!(
                read(Some(&encoded), None),
                Err(InvalidCredentials),
                "{encoded:?}"
            );
            assert_eq!(
                read(None, Some(&format!("Basic {encoded}"))),
                Err(InvalidCredentials)
            );
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials {
            user: "me".into(),
            secret: "hidden".into(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials(\"me\", ***)");
    }
}
