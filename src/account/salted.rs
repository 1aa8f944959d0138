//! The hash that devpi-server made before version 5: sha256 over salt and password, beside its salt.
//!
//! It is far too cheap for today, so it is only compared, never made: whoever logs in with it gets an
//! argon2id hash in its place. Kept in one text with its salt, in the manner of PHC strings.

use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "$devpi-sha256$";

/// Hexadecimal digits of a sha256.
const DIGITS: usize = 64;

/// Longest salt; devpi's have 24 characters.
const SALT_MAX: usize = 256;

/// The text that is kept; nothing when it is no such hash.
pub fn join(salt: &str, digest: &str) -> Option<String> {
    let is_salt =
        !salt.is_empty() && salt.len() <= SALT_MAX && salt.is_ascii() && !salt.contains('$');
    let is_digest = digest.len() == DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_salt && is_digest).then(|| format!("{PREFIX}{salt}${digest}"))
}

/// Salt and digest of a text that is kept.
pub fn split(kept: &str) -> Option<(&str, &str)> {
    kept.strip_prefix(PREFIX)?.split_once('$')
}

/// Whether it is the password.
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
