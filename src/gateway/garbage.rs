//! Bytes of stages that no record needs any more: of what was removed or overwritten, and of uploads
//! that a crash cut off before their record was written. They are looked for at the start and after
//! something was removed, and go once nobody can start to need them (see `store`'s holds), they have
//! an age, and records and files belong together (see `quarantine`).
//!
//! A client that is being answered keeps the bytes open and gets the rest of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::gateway::context::Shared;
use crate::gateway::error::Error;
use crate::gateway::quarantine::Belonging;
use crate::gateway::trouble::records_failed;
use crate::model::{Sha256, Timestamp};
use crate::store::{FsStore, Kept, Key, StoreError};

/// Whether there may be something to collect, and what is known of records and files.
#[derive(Debug)]
pub struct Garbage {
    is_suspected: AtomicBool,
    pub belonging: Belonging,
}

impl Default for Garbage {
    /// Nobody knows how the last process ended.
    fn default() -> Self {
        Self {
            is_suspected: AtomicBool::new(true),
            belonging: Belonging::default(),
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
    /// Files and sidecars that somebody was about to need, that are too young, or in quarantine; the
    /// next round looks at them again.
    pub held: u64,
}

impl Shared {
    /// Says that records went which needed bytes.
    pub fn suspect_garbage(&self) {
        self.garbage.is_suspected.store(true, Ordering::Release);
    }

    /// Whether a record needs these bytes (still).
    pub async fn is_needed(&self, digest: &Sha256) -> Result<bool, Arc<Error>> {
        let is_needed = self.records.is_referenced(digest).await;
        is_needed.map_err(|error| Arc::new(records_failed("ask whether bytes are needed", error)))
    }

    /// Removes private bytes that no record needs and that have been as they are for so long, if there
    /// may be any.
    ///
    /// # Errors
    /// When the records or the disk fail. What was removed by then is gone, and the next call looks
    /// again.
    pub async fn collect_garbage(&self, age: Duration) -> Result<Collected, Error> {
        if !self.garbage.is_suspected.swap(false, Ordering::AcqRel) {
            return Ok(Collected::default());
        }
        let collected = self.collect(age).await;
        if !matches!(collected, Ok(Collected { held: 0, .. })) {
            self.suspect_garbage();
        }
        collected
    }

    /// Whether there are bytes under a key; asked by whoever holds its digest.
    pub fn is_kept(&self, key: &Key) -> Result<bool, StoreError> {
        Ok(self.store.open_file(key)?.is_some())
    }

    async fn collect(&self, age: Duration) -> Result<Collected, Error> {
        self.compare_records().await?;
        let now = self.clock.now();
        let needless = self.needless().await?;
        let quarantine = self.quarantine().await?;
        let (mut collected, mut set_aside) = (Collected::default(), Collected::default());
        for (digest, kept) in needless {
            if quarantine.as_ref().is_some_and(|one| one.holds(&kept, now)) {
                set_aside.files += 1;
                set_aside.bytes += kept.bytes;
            } else if is_young(&kept, age, now) {
                collected.held += 1;
            } else {
                self.collect_one(digest, &kept, &mut collected).await?;
            }
        }
        collected.held += set_aside.files;
        self.set_aside(quarantine.as_ref(), set_aside).await?;
        Ok(collected)
    }

    /// What no record needs.
    pub async fn needless(&self) -> Result<Vec<(Sha256, Kept)>, Error> {
        let needed = self.records.referenced().await;
        let needed = needed.map_err(|error| records_failed("ask which bytes are needed", error))?;
        self.on_store(move |store| needless_in(store, &needed))
            .await
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
        let doing = "ask whether bytes are needed";
        if !is_needed.map_err(|error| records_failed(doing, error))? {
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

    pub async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FsStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let store = Arc::clone(&self.store);
        let done = spawn_blocking(move || work(&store)).await;
        let done = done.map_err(|error| failed("collect private bytes", error))?;
        done.map_err(|error| failed("collect private bytes", error))
    }
}

fn needless_in(
    store: &FsStore,
    needed: &HashSet<Sha256>,
) -> Result<Vec<(Sha256, Kept)>, StoreError> {
    let is_needless = |kept: Kept| {
        let digest = kept.key.kept_under()?;
        (!needed.contains(&digest)).then_some((digest, kept))
    };
    let kept = store.private_contents();
    kept.filter_map(|kept| kept.map(is_needless).transpose())
        .collect()
}

/// Whether a file has changed too lately, by its own account, for anybody to say that nothing needs
/// it. One from the future counts as young: a clock was wrong, and that is no reason to remove.
fn is_young(kept: &Kept, age: Duration, now: Timestamp) -> bool {
    let changed_at = kept.changed_at.max(kept.modified_at);
    let since = now.duration_since(changed_at);
    Duration::try_from(since).map_or(true, |since| since < age)
}

fn failed(doing: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal(doing.to_owned(), cause)
}
