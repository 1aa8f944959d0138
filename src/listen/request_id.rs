//! The id of a request: taken from the client or a proxy in front, or made here.

use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use crate::protocol::X_REQUEST_ID;

/// Longest id accepted; a UUID has 36 characters, a trace context 55.
const LENGTH_MAX: usize = 64;

/// Length of an id made here: 64 bits in hexadecimal digits.
const FRESH_LENGTH: usize = 16;

/// The id of a request. One is made for each, so it takes no memory of its own.
#[derive(Clone, Copy)]
pub struct RequestId {
    text: [u8; LENGTH_MAX],
    length: usize,
}

impl RequestId {
    /// As much of a text as an id may have.
    fn copy(text: &str) -> Self {
        let length = text.len().min(LENGTH_MAX);
        let mut id = Self {
            length,
            ..Self::default()
        };
        id.text[..length].copy_from_slice(&text.as_bytes()[..length]);
        id
    }
}

impl Default for RequestId {
    /// An empty id.
    fn default() -> Self {
        Self {
            text: [0; LENGTH_MAX],
            length: 0,
        }
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        // Only ASCII is ever copied in.
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// Makes ids that are unique in this process, and almost certainly among processes.
#[derive(Debug, Default)]
pub struct RequestIds {
    seed: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    /// The id for a request with these headers.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        let sent = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        sent.filter(|id| is_sane(id))
            .map_or_else(|| self.fresh(), RequestId::copy)
    }

    /// One that is made here.
    pub(super) fn fresh(&self) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut rest = self.seed.hash_one(number);
        let mut id = RequestId {
            length: FRESH_LENGTH,
            ..RequestId::default()
        };
        for digit in &mut id.text[..FRESH_LENGTH] {
            *digit = DIGITS[(rest >> 60) as usize];
            rest <<= 4;
        }
        id
    }
}

/// Whether it may stand unescaped in any log and header.
fn is_sane(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= LENGTH_MAX && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_sane_id_is_taken_over_and_any_other_replaced() {
        let ids = RequestIds::default();
        for (sent, is_kept) in [
            ("0af7651916cd43dd8448eb211c80319c", true),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                true,
            ),
            ("ci.job_7-2", true),
            ("", false),
            ("a b", false),
            ("<script>", false),
            (&*"a".repeat(65), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(sent).unwrap());
            assert_eq!(&*ids.of(&headers) == sent, is_kept, "{sent}");
        }
    }

    #[test]
    fn made_ids_differ_and_are_sane() {
        let ids = RequestIds::default();
        let made: std::collections::HashSet<_> = (0..1000)
            .map(|_| ids.of(&HeaderMap::new()).to_string())
            .collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| is_sane(id)));
        assert_ne!(*ids.fresh(), *RequestIds::default().fresh());
    }
}
