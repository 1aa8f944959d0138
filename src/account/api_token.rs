//! CI tokens: `cc-<id>-<secret>`, given once, kept as a digest.
//!
//! The secret is 32 random bytes, so a plain digest of it is as good as a slow one, and checking costs
//! nothing. The id finds the record; secrets are compared in constant time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::account::credentials::NotAccepted;
use crate::account::principal::{Identity, Means, Scope};
use crate::db::ApiToken;
use crate::model::{Sha256, Timestamp};

/// Prefix of every CI token, by which secret scanners and people recognise one.
const PREFIX: &str = "cc-";

/// Lower-case hex digits of an id.
const ID_LENGTH: usize = 16;

/// Bytes of a secret, before base64.
const SECRET_LENGTH: usize = 32;

/// A token as its owner sees it, once, and what the records keep of it.
#[derive(Clone, PartialEq, Eq)]
pub struct MintedToken {
    /// What the owner gets; shown once.
    pub text: String,
    /// Its public part.
    pub id: String,
    /// What the records keep of the rest.
    pub secret_hash: Sha256,
}

/// A token as a request carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedToken<'a> {
    /// Its public part.
    pub id: &'a str,
    secret: &'a str,
}

impl MintedToken {
    /// Makes a token of random bytes: 8 for the id, 32 for the secret.
    #[must_use]
    pub fn of(random: &[u8; 40]) -> Self {
        let (id, secret) = random.split_at(ID_LENGTH / 2);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = URL_SAFE_NO_PAD.encode(secret);
        Self {
            text: format!("{PREFIX}{id}-{secret}"),
            id,
            secret_hash: Sha256::of(secret.as_bytes()),
        }
    }
}

impl<'a> PresentedToken<'a> {
    /// Parses a secret that looks like a CI token; `None` for any other secret.
    #[must_use]
    pub fn parse(secret: &'a str) -> Option<Self> {
        let (id, secret) = secret.strip_prefix(PREFIX)?.split_once('-')?;
        let is_id = id.len() == ID_LENGTH
            && id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_id && secret.len() == (SECRET_LENGTH * 4).div_ceil(3)).then_some(Self { id, secret })
    }

    /// Returns whom the token acts for and in what scope, given the record with its id.
    ///
    /// # Errors
    /// When its secret is not the one that belongs to the id, or it has expired.
    pub fn check(self, record: &ApiToken, now: Timestamp) -> Result<Identity, NotAccepted> {
        let presented = Sha256::of(self.secret.as_bytes());
        if !bool::from(presented.as_bytes().ct_eq(record.secret_hash.as_bytes())) {
            return Err(NotAccepted::Withdrawn);
        }
        if now >= record.expires {
            return Err(NotAccepted::Expired);
        }
        let scope = Scope {
            token: record.id.clone(),
            indexes: record.indexes.clone(),
            operations: record.operations.clone(),
        };
        Ok(Identity {
            user: record.user.clone(),
            scope: Some(scope),
            groups: Vec::new(),
            means: Means::Token,
        })
    }
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MintedToken({PREFIX}{}-***)", self.id)
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PresentedToken({PREFIX}{}-***)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::TokenOperation;
    use crate::model::IndexName;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn record(minted: &MintedToken) -> ApiToken {
        ApiToken {
            id: minted.id.clone(),
            user: "ci".into(),
            secret_hash: minted.secret_hash,
            note: String::new(),
            indexes: vec!["ci/*".into()],
            operations: vec![TokenOperation::Upload],
            created: now(),
            expires: now() + Duration::from_hours(1),
            last_used: None,
        }
    }

    #[test]
    fn a_token_acts_for_its_user_in_its_scope() {
        // 0xff is `_` in the secret's base64, 0xfb makes a `-`: only the first dash splits.
        for filler in [0_u8, 0xfb, 0xff] {
            let minted = MintedToken::of(&[filler; 40]);
            let presented = PresentedToken::parse(&minted.text).unwrap();
            assert_eq!(presented.id, minted.id);
            let identity = presented.check(&record(&minted), now()).unwrap();
            assert_eq!(identity.user, "ci");
            let scope = identity.scope.unwrap();
            assert_eq!(scope.operations, [TokenOperation::Upload]);
            for (index, expected) in [("ci/dev", true), ("ci-too/dev", false), ("me/ci", false)] {
                assert_eq!(
                    scope.reaches(&IndexName::parse(index).unwrap()),
                    expected,
                    "{index}"
                );
            }
        }
    }

    #[test]
    fn another_secret_and_another_day_are_refused() {
        let minted = MintedToken::of(&[1; 40]);
        let record = record(&minted);
        let mut other = [1; 40];
        other[39] = 2;
        let other = MintedToken::of(&other);
        assert_eq!(other.id, minted.id);
        let forged = PresentedToken::parse(&other.text).unwrap();
        assert_eq!(forged.check(&record, now()), Err(NotAccepted::Withdrawn));
        let presented = PresentedToken::parse(&minted.text).unwrap();
        assert_eq!(
            presented.check(&record, record.expires),
            Err(NotAccepted::Expired)
        );
    }

    #[test]
    fn other_secrets_are_no_tokens() {
        let good = MintedToken::of(&[1; 40]).text;
        for text in [
            "",
            "cc-",
            "cc-0101010101010101",
            "password",
            &good[1..],
            &good[..good.len() - 1],
            &good.to_uppercase(),
        ] {
            assert_eq!(PresentedToken::parse(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let minted = MintedToken::of(&[1; 40]);
        assert_eq!(
            format!("{minted:?}"),
            "MintedToken(cc-0101010101010101-***)"
        );
        let presented = PresentedToken::parse(&minted.text).unwrap();
        assert_eq!(
            format!("{presented:?}"),
            "PresentedToken(cc-0101010101010101-***)"
        );
    }
}
