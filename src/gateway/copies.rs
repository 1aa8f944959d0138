//! Small copies that can be had again: page copies, lists, what was learned, and sidecars. One that its
//! disk has damaged, or does not give, is none (docs/adr/0034-what-is-kept-is-read-again.md).

use bytes::Bytes;

use crate::gateway::context::Shared;
use crate::model::Hashes;
use crate::store::{Key, StoreError};
use crate::telemetry::Damage;

impl Shared {
    /// What is kept under a key; a copy of before, which has no digest of its own, may be `known` by one.
    pub fn small_copy(&self, key: &Key, bytes_max: u64, known: &Hashes) -> Option<Bytes> {
        let read = self.store.read_known(key, bytes_max, known);
        read.unwrap_or_else(|error| {
            self.copy_is_damaged(key, &error);
            None
        })
    }

    /// Says that a copy is damaged, and removes it, so that it is said once.
    pub fn copy_is_damaged(&self, key: &Key, error: &StoreError) {
        let path = key.path();
        tracing::error!(path = %path.display(), %error, "a kept copy is damaged or cannot be read");
        self.metrics.damaged(Damage::Copy);
        if matches!(error, StoreError::Damaged { .. })
            && let Err(error) = self.store.remove(key)
        {
            tracing::error!(path = %path.display(), %error, "a damaged copy cannot be removed");
        }
    }
}
