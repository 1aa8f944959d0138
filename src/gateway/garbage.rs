//! Bytes of stages that no record needs any more: of what was removed or overwritten, and of uploads
//! that a crash cut off before their record was written. They are looked for at the start and after
//! removals, and are removed once nobody can start to need them (see `store`'s holds), they are old
//! enough, and records and files belong together (see `quarantine`).
//!
//! A client that is being answered keeps the bytes open and gets the rest of them.

mod deposits;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exchange::{Core, Error};
use crate::gateway::needless::{needless, on_store};
use crate::gateway::quarantine::Belonging;
use crate::gateway::small::SmallFiles;
use crate::model::{Sha256, Timestamp};
use crate::store::Kept;

pub use deposits::Deposits;

/// Collects them, when there may be something to collect.
#[derive(Debug)]
pub struct Garbage {
    core: Arc<Core>,
    small: Arc<SmallFiles>,
    belonging: Arc<Belonging>,
    deposits: Arc<Deposits>,
    is_suspected: AtomicBool,
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

impl Garbage {
    pub fn new(
        core: Arc<Core>,
        small: Arc<SmallFiles>,
        (belonging, deposits): (Arc<Belonging>, Arc<Deposits>),
    ) -> Self {
        Self {
            core,
            small,
            belonging,
            deposits,
            // It is unknown how the last process ended.
            is_suspected: AtomicBool::new(true),
        }
    }

    /// Notes that records were removed which needed bytes.
    pub fn suspect(&self) {
        self.is_suspected.store(true, Ordering::Release);
    }

    /// Removes private bytes that no record needs and that have not changed for so long, if there may
    /// be any.
    ///
    /// # Errors
    /// When the records or the disk fail. What was removed by then is gone, and the next call looks
    /// again.
    pub async fn collect(&self, age: Duration) -> Result<Collected, Error> {
        if !self.is_suspected.swap(false, Ordering::AcqRel) {
            return Ok(Collected::default());
        }
        let collected = self.collect_all(age).await;
        if !matches!(collected, Ok(Collected { held: 0, .. })) {
            self.suspect();
        }
        collected
    }

    async fn collect_all(&self, age: Duration) -> Result<Collected, Error> {
        self.belonging.compare_records().await?;
        let now = self.core.clock.now();
        let needless = needless(&self.core).await?;
        let quarantine = self.belonging.quarantine().await?;
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
        self.belonging
            .set_aside(quarantine.as_ref(), set_aside.files, set_aside.bytes)
            .await?;
        let removed = self.deposits.collect().await?;
        collected.files += removed.objects;
        collected.bytes += removed.bytes;
        collected.held += removed.held;
        Ok(collected)
    }

    /// Removes one file or sidecar, unless a record needs it by now.
    async fn collect_one(
        &self,
        digest: Sha256,
        kept: &Kept,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let claimed = on_store(&self.core, move |store| store.claim(&digest)).await?;
        let Some(claim) = claimed else {
            collected.held += 1;
            return Ok(());
        };
        // Checked under the claim: an upload that has written its record since is seen here.
        if !self.core.is_needed(&digest).await? {
            let key = kept.key.clone();
            if on_store(&self.core, move |store| store.remove(&key)).await? {
                self.small.forget(&kept.key);
                collected.files += 1;
                collected.bytes += kept.bytes;
            }
        }
        drop(claim);
        Ok(())
    }
}

/// Whether a file changed too recently, by its own timestamp, to say that nothing needs it. A timestamp
/// in the future counts as recent: a clock was wrong, and that is no reason to remove anything.
fn is_young(kept: &Kept, age: Duration, now: Timestamp) -> bool {
    let changed_at = kept.changed_at.max(kept.modified_at);
    let since = now.duration_since(changed_at);
    Duration::try_from(since).map_or(true, |since| since < age)
}
