//! Bytes of stages that no record needs any more: of what was removed or overwritten, and of uploads
//! that a crash cut off before their record was written. They are looked for at the start and after
//! something was removed, and go once nobody can start to need them (see `store`'s holds).
//!
//! Whoever is being answered keeps the bytes open and gets the rest of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::task::spawn_blocking;

use super::context::Shared;
use super::error::Error;
use super::trouble::records_failed;
use crate::model::Sha256;
use crate::store::FsStore;
use crate::store::Kept;
use crate::store::Key;
use crate::store::StoreError;

/// Whether there may be something to collect.
#[derive(Debug)]
pub(super) struct Garbage {
    is_suspected: AtomicBool,
}

impl Default for Garbage {
    /// Nobody knows how the last process ended.
    fn default() -> Self {
        Self {
            is_suspected: AtomicBool::new(true),
        }
    }
}

/// What a round collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Files and sidecars removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files and sidecars that somebody was about to need; the next round looks at them again.
    pub held: u64,
}

impl Shared {
    /// Says that records went which needed bytes.
    pub(super) fn suspect_garbage(&self) {
        self.garbage.is_suspected.store(true, Ordering::Release);
    }

    /// Whether a record needs these bytes (still).
    pub(super) async fn is_needed(&self, digest: &Sha256) -> Result<bool, Arc<Error>> {
        let is_needed = self.records.is_referenced(digest).await;
        is_needed.map_err(|error| Arc::new(records_failed("ask whether bytes are needed", error)))
    }

    /// Removes private bytes that no record needs, if there may be any.
    ///
    /// # Errors
    /// When the records or the disk fail. What was removed by then is gone, and the next call looks
    /// again.
    pub async fn collect_garbage(&self) -> Result<Collected, Error> {
        if !self.garbage.is_suspected.swap(false, Ordering::AcqRel) {
            return Ok(Collected::default());
        }
        let collected = self.collect().await;
        if !matches!(collected, Ok(Collected { held: 0, .. })) {
            self.suspect_garbage();
        }
        collected
    }

    /// Whether there are bytes under a key; asked by whoever holds its digest.
    pub(super) fn is_kept(&self, key: &Key) -> Result<bool, StoreError> {
        Ok(self.store.open_file(key)?.is_some())
    }

    async fn collect(&self) -> Result<Collected, Error> {
        let needed = self.records.referenced().await;
        let needed = needed.map_err(|error| failed("ask which bytes are needed", error))?;
        let store = Arc::clone(&self.store);
        let listed = spawn_blocking(move || -> Result<Vec<(Sha256, Kept)>, StoreError> {
            let is_needless = |kept: Kept| {
                let digest = kept.key.kept_under()?;
                (!needed.contains(&digest)).then_some((digest, kept))
            };
            let kept = store.private_contents();
            kept.filter_map(|kept| kept.map(is_needless).transpose())
                .collect()
        });
        let listed = listed
            .await
            .map_err(|error| failed("list private bytes", error))?;
        let listed = listed.map_err(|error| failed("list private bytes", error))?;
        let mut collected = Collected::default();
        for (digest, kept) in listed {
            self.collect_one(digest, &kept, &mut collected).await?;
        }
        Ok(collected)
    }

    /// Removes one file or sidecar, unless somebody needs it by now.
    async fn collect_one(
        &self,
        digest: Sha256,
        kept: &Kept,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let claimed = self.on_store(move |store| store.claim(&digest)).await?;
        let Some(claim) = claimed else {
            collected.held += 1;
            return Ok(());
        };
        // Asked under the claim: an upload that has written its record since is seen here.
        let is_needed = self.records.is_referenced(&digest).await;
        if !is_needed.map_err(|error| failed("ask whether bytes are needed", error))? {
            let key = kept.key.clone();
            if self.on_store(move |store| store.remove(&key)).await? {
                self.small.remove(&kept.key);
                collected.files += 1;
                collected.bytes += kept.bytes;
            }
        }
        drop(claim);
        Ok(())
    }

    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FsStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let store = Arc::clone(&self.store);
        let done = spawn_blocking(move || work(&store)).await;
        let done = done.map_err(|error| failed("collect private bytes", error))?;
        done.map_err(|error| failed("collect private bytes", error))
    }
}

fn failed(doing: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal(doing.to_owned(), cause)
}
