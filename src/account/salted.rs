//! The hash that devpi-server made before version 5: sha256 over salt and password, beside its salt.
//!
//! It is far too cheap by now, so it is only compared, never made: a user who logs in with it gets an
//! argon2id hash instead. It is kept in one text with its salt, much like a PHC string.

use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "$devpi-sha256$";

/// Hexadecimal digits of a sha256.
const DIGITS: usize = 64;

/// Longest salt; devpi's have 24 characters.
const SALT_MAX: usize = 256;

/// The text to keep; `None` if this is no such hash.
pub fn join(salt: &str, digest: &str) -> Option<String> {
    let is_salt =
        !salt.is_empty() && salt.len() <= SALT_MAX && salt.is_ascii() && !salt.contains('$');
    let is_digest = digest.len() == DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_salt && is_digest).then(|| format!("{PREFIX}{salt}${digest}"))
}

/// Splits a kept text into salt and digest.
pub fn split(kept: &str) -> Option<(&str, &str)> {
    kept.strip_prefix(PREFIX)?.split_once('$')
}

/// Whether the digest is that of this password.
pub fn holds(password: &str, salt: &str, digest: &str) -> bool {
    let found = digest_of(password, salt);
    found
        .as_bytes()
        .ct_eq(digest.to_ascii_lowercase().as_bytes())
        .into()
}

/// What devpi made of a password.
pub fn digest_of(password: &str, salt: &str) -> String {
    let digest = sha2::Sha256::new()
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    crate::model::Sha256::from_bytes(digest.into()).to_hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salt_comes_before_the_password() {
        let expected = crate::model::Sha256::of(b"saltpassword").to_hex();
        assert_eq!(digest_of("password", "salt"), expected);
        assert!(holds("password", "salt", &expected.to_uppercase()));
        assert!(!holds("passwort", "salt", &expected));
    }
}
