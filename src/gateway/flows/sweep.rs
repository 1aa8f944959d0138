//! What the schedule does with what is held, at once: mirror files over their quota go, the disk's reserve is
//! kept free, and private bytes that no record needs are collected.

use std::sync::Arc;

use crate::exchange::{Error, blocking};
use crate::gateway::flows::Flows;
use crate::gateway::garbage::Collected;
use crate::store::{StoreError, Usage};

const DOING: &str = "make room in the store";

/// The outcome of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Mirror files and sidecars that were evicted.
    pub evicted: Usage,
    /// Those that are left.
    pub left: Usage,
    /// Private files and sidecars that no record needed.
    pub collected: Collected,
}

impl Flows {
    /// Does it.
    ///
    /// # Errors
    /// When records or disk fail.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let own = &self.core.settings.limits.own;
        let (store, reserve) = (Arc::clone(&self.core.store), own.disk_reserve);
        let make_room = move || -> Result<(Usage, Usage), StoreError> {
            let quota = store.quota();
            let before = quota.scan()?;
            quota.write_touches();
            quota.keep_free(reserve)?;
            if quota.is_exceeded() {
                quota.evict()?;
            }
            Ok((before, quota.scan()?))
        };
        let (before, left) = blocking(DOING, make_room)
            .await?
            .map_err(|error| Error::internal(DOING, error))?;
        self.garbage.suspect();
        let collected = self.garbage.collect(own.collect_after).await?;
        Ok(Swept {
            evicted: Usage {
                files: before.files.saturating_sub(left.files),
                bytes: before.bytes.saturating_sub(left.bytes),
            },
            left,
            collected,
        })
    }
}
