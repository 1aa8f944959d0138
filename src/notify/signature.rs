//! How a post is signed, so that its receiver can tell it from anybody else's, and from an old one sent again.
//!
//! As "Standard Webhooks" has it, for which there are libraries: HMAC-SHA256 over `id.timestamp.body`, in
//! base64 behind `v1,`. `docs/operations.md` shows how to check it, and a test runs that.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256 as Hash;

use crate::model::Secret;

/// What stands before a secret that is written in base64.
const ENCODED: &str = "whsec_";

/// The value of `webhook-signature`.
pub(super) fn signature(secret: &Secret, id: &str, second: i64, body: &[u8]) -> String {
    let secret = secret.expose();
    let decoded = secret.strip_prefix(ENCODED);
    let decoded = decoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let mut mac = Hmac::<Hash>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{second}.").as_bytes());
    mac.update(body);
    let code = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    format!("v1,{code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn it_is_what_standard_webhooks_compute() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, second) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&secret, id, second, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let plain = Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_ne!(signature(&plain, id, second, body), signed);
    }
}
