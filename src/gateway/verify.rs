//! Reads what is kept again in the background, at a pace that leaves the disk to clients. Otherwise
//! nobody would notice bits that rot in a file that was found right before, or that nobody asks for
//! (docs/adr/0034-what-is-kept-is-read-again.md).
//!
//! Page copies and lists are left out: they are read from the disk at most once between two refreshes,
//! and checked then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::exchange::{Core, Error, blocking};
use crate::gateway::held::HeldFiles;
use crate::model::Sha256;
use crate::store::{Contents, Kept, Key, StoreError};

/// Names looked up at one time.
const BATCH: usize = 128;

/// What fails when reading is interrupted.
const DOING: &str = "verify what is kept";

/// What opening a file counts as: a disk that has to seek could read as much in that time.
const OPENING_BYTES: u64 = 4 << 10;

/// The outcome of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifiedRound {
    /// Files and sidecars read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were damaged.
    pub damaged: u64,
}

/// Reads what is kept.
#[derive(Debug)]
pub struct Verification {
    core: Arc<Core>,
    held: Arc<HeldFiles>,
}

impl Verification {
    pub fn new(core: Arc<Core>, held: Arc<HeldFiles>) -> Self {
        Self { core, held }
    }

    /// Reads every file and sidecar once, those of stages first, at `pace` bytes a second. A damaged
    /// file of a mirror is removed, one of a stage is no longer served. When dropped, it stops after
    /// one piece.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn verify_kept(&self, pace: u64) -> Result<VerifiedRound, Error> {
        let mut round = VerifiedRound::default();
        let private = self.core.store.private_contents();
        self.verify_all(private, |_| true, pace, &mut round).await?;
        let is_of_mirror = |key: &Key| !key.is_private();
        let all = self.core.store.contents();
        self.verify_all(all, is_of_mirror, pace, &mut round).await?;
        self.core.metrics.verified_all();
        Ok(round)
    }

    /// Reads uploaded files again whose damage somebody has seen, whatever is known of them.
    ///
    /// # Errors
    /// When reading is interrupted.
    pub async fn inspect_private(&self, digests: &[Sha256]) -> Result<VerifiedRound, Error> {
        let mut round = VerifiedRound::default();
        for digest in digests {
            round.files += 1;
            let key = Key::PrivateFile(*digest);
            self.verify_file(&key, u64::MAX, &mut round).await?;
        }
        Ok(round)
    }

    async fn verify_all(
        &self,
        mut contents: Contents,
        is_wanted: fn(&Key) -> bool,
        pace: u64,
        round: &mut VerifiedRound,
    ) -> Result<(), Error> {
        loop {
            let list = move || {
                let batch = contents.by_ref().take(BATCH);
                let batch: Result<Vec<Kept>, StoreError> = batch.collect();
                (contents, batch)
            };
            let (rest, batch) = blocking(DOING, list).await?;
            let batch = batch.map_err(|error| Error::internal("list what is kept", error))?;
            if batch.is_empty() {
                return Ok(());
            }
            contents = rest;
            for kept in batch {
                if is_wanted(&kept.key) {
                    self.verify_one(kept, pace, round).await?;
                }
            }
        }
    }

    async fn verify_one(
        &self,
        kept: Kept,
        pace: u64,
        round: &mut VerifiedRound,
    ) -> Result<(), Error> {
        round.files += 1;
        match kept.key.sha256() {
            Some(_) => self.verify_file(&kept.key, pace, round).await,
            None => self.verify_sidecar(kept, pace, round).await,
        }
    }

    async fn verify_file(
        &self,
        key: &Key,
        pace: u64,
        round: &mut VerifiedRound,
    ) -> Result<(), Error> {
        let (store, own_key) = (Arc::clone(&self.core.store), key.clone());
        let opened = blocking(DOING, move || store.inspect(&own_key)).await;
        rest_after(OPENING_BYTES, pace).await;
        let mut inspection = match opened? {
            Ok(Some(inspection)) => inspection,
            // Evicted or deleted since it was listed.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(path = %key.path().display(), %error, "a kept file cannot be opened");
                round.damaged += 1;
                return Ok(());
            }
        };
        let (stored, judged) = loop {
            let read = move || (inspection.read(), inspection);
            let (read, inspected) = blocking(DOING, read).await?;
            inspection = inspected;
            match read {
                Ok(0) => break blocking(DOING, || inspection.end()).await?,
                Ok(read) => {
                    round.bytes += read;
                    self.core.metrics.verified(read);
                    rest_after(read, pace).await;
                }
                Err(error) => break (inspection.into_stored(), Err(error)),
            }
        };
        if let Err(error) = judged {
            self.held.damaged(key, &stored, &error);
            round.damaged += 1;
        }
        Ok(())
    }

    async fn verify_sidecar(
        &self,
        kept: Kept,
        pace: u64,
        round: &mut VerifiedRound,
    ) -> Result<(), Error> {
        let core = Arc::clone(&self.core);
        let (key, bytes) = (kept.key, kept.bytes);
        let look = move || {
            let most = core.settings.limits.upstream.metadata;
            let looked = core.store.inspect_small(&key, most);
            looked.inspect_err(|error| core.copy_is_damaged(&key, error))
        };
        let looked = blocking(DOING, look).await?;
        self.core.metrics.verified(bytes);
        rest_after(OPENING_BYTES + bytes, pace).await;
        round.bytes += bytes;
        round.damaged += u64::from(looked.is_err());
        Ok(())
    }
}

/// Leaves the disk alone for as long as reading `bytes` may take at this pace.
async fn rest_after(bytes: u64, pace: u64) {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(pace.max(1));
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
    sleep(Duration::from_nanos(nanoseconds)).await;
}
