//! Passwords that were right a moment ago, so that `twine` uploading ten files costs one argon2 run.
//!
//! What is kept is a keyed hash of user, password hash and password. The key is made at start and kept
//! nowhere else; a changed password has another hash, so its old entries can never match again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256 as Hash;

use crate::model::Timestamp;

/// How long a password counts as right without being checked again.
const LIFETIME: Duration = Duration::from_mins(5);

/// Entries kept; users are fewer, and more would be an attack.
const ENTRIES_MAX: usize = 10_000;

/// Passwords that were right a moment ago.
#[derive(Debug)]
pub struct CredentialCache {
    key: [u8; 32],
    until: Mutex<HashMap<[u8; 32], Timestamp>>,
}

impl CredentialCache {
    /// An empty cache with a key nobody knows.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            until: Mutex::default(),
        }
    }

    /// Whether this password was right for this user and hash.
    #[must_use]
    pub fn knows(&self, user: &str, hash: &str, password: &str, now: Timestamp) -> bool {
        let entry = self.entry(user, hash, password);
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&entry).is_some_and(|until| now < *until)
    }

    /// Remembers that it was.
    pub fn remember(&self, user: &str, hash: &str, password: &str, now: Timestamp) {
        self.remember_for(user, hash, password, now, LIFETIME);
    }

    /// The same for another time.
    pub fn remember_for(
        &self,
        user: &str,
        hash: &str,
        password: &str,
        now: Timestamp,
        lifetime: Duration,
    ) {
        let entry = self.entry(user, hash, password);
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= ENTRIES_MAX {
            until.retain(|_, until| now < *until);
        }
        if until.len() >= ENTRIES_MAX {
            until.clear();
        }
        if let Ok(end) = now.checked_add(lifetime) {
            until.insert(entry, end);
        }
    }

    fn entry(&self, user: &str, hash: &str, password: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Hash>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in [user, hash, password] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_three_are_known_and_only_for_a_while() {
        let cache = CredentialCache::new([1; 32]);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        cache.remember("u", "hash", "p", now);
        assert!(cache.knows("u", "hash", "p", now));
        assert!(cache.knows("u", "hash", "p", now + Duration::from_secs(299)));
        assert!(!cache.knows("u", "hash", "p", now + LIFETIME));
        for (user, hash, password) in [
            ("v", "hash", "p"),
            ("u", "other", "p"),
            ("u", "hash", "q"),
            ("uh", "ash", "p"),
            ("u", "hashp", ""),
        ] {
            assert!(
                !cache.knows(user, hash, password, now),
                "{user} {hash} {password}"
            );
        }
        assert!(!CredentialCache::new([2; 32]).knows("u", "hash", "p", now));
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let cache = CredentialCache::new([1; 32]);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for number in 0..=ENTRIES_MAX {
            cache.remember(&number.to_string(), "hash", "p", now);
        }
        assert!(cache.until.lock().unwrap().len() <= ENTRIES_MAX);
        assert!(
            cache.knows(&ENTRIES_MAX.to_string(), "hash", "p", now),
            "the last one is kept"
        );
    }
}
