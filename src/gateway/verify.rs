//! Reading what is kept again in the background, at a pace that leaves the disk to clients: bits that rot
//! in a file which was found right, or which nobody asks for, are seen by nobody else
//! (docs/adr/0034-what-is-kept-is-read-again.md).
//!
//! Page copies and lists are left out: they are read from the disk at most once between two refreshes,
//! and checked then.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::gateway::core::Core;
use crate::gateway::error::Error;
use crate::gateway::held::HeldFiles;
use crate::store::{Contents, Inspection, Kept, Key, StoreError};

/// Names looked up at one time.
const BATCH: usize = 128;

/// What opening a file counts as: a disk that has to seek for it reads as much in that time.
const OPENING_BYTES: u64 = 4 << 10;

/// What a round has done.
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

    /// Reads every file and sidecar once, those of stages first, at so many bytes a second. A damaged one
    /// of a mirror is removed, one of a stage is answered no more. Dropped, it ends after one piece.
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
            let (rest, batch) = spawn_blocking(list).await.map_err(broken)?;
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
        let read = match kept.key.sha256() {
            Some(_) => self.verify_file(&kept.key, pace).await?,
            None => self.verify_sidecar(kept, pace).await?,
        };
        round.files += 1;
        round.bytes += read.bytes;
        round.damaged += u64::from(read.is_damaged);
        Ok(())
    }

    async fn verify_file(&self, key: &Key, pace: u64) -> Result<Read, Error> {
        let (store, own_key) = (Arc::clone(&self.core.store), key.clone());
        let opened = spawn_blocking(move || store.inspect(&own_key)).await;
        rest_after(OPENING_BYTES, pace).await;
        let mut inspection = match opened.map_err(broken)? {
            Ok(Some(inspection)) => inspection,
            // Evicted or deleted since it was listed.
            Ok(None) => return Ok(Read::default()),
            Err(error) => {
                tracing::error!(path = %key.path().display(), %error, "a kept file cannot be opened");
                return Ok(Read::damaged(0));
            }
        };
        let mut bytes = 0;
        let judged = loop {
            let (read, inspected) = read_on(inspection).await?;
            inspection = inspected;
            match read {
                Ok(0) => {
                    let (stored, judged) =
                        spawn_blocking(|| inspection.end()).await.map_err(broken)?;
                    break judged.map_err(|error| (stored, error));
                }
                Ok(read) => {
                    bytes += read;
                    self.core.metrics.verified(read);
                    rest_after(read, pace).await;
                }
                Err(error) => {
                    self.held.damaged(key, inspection.stored(), &error);
                    return Ok(Read::damaged(bytes));
                }
            }
        };
        match judged {
            Ok(()) => Ok(Read {
                bytes,
                is_damaged: false,
            }),
            Err((stored, error)) => {
                self.held.damaged(key, &stored, &error);
                Ok(Read::damaged(bytes))
            }
        }
    }

    async fn verify_sidecar(&self, kept: Kept, pace: u64) -> Result<Read, Error> {
        let core = Arc::clone(&self.core);
        let (key, bytes) = (kept.key, kept.bytes);
        let look = move || {
            let most = core.settings.metadata_bytes_max;
            let looked = core.store.inspect_small(&key, most);
            looked.inspect_err(|error| core.copy_is_damaged(&key, error))
        };
        let looked = spawn_blocking(look).await.map_err(broken)?;
        self.core.metrics.verified(bytes);
        rest_after(OPENING_BYTES + bytes, pace).await;
        Ok(Read {
            bytes,
            is_damaged: looked.is_err(),
        })
    }
}

/// What came of one file.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    bytes: u64,
    is_damaged: bool,
}

impl Read {
    fn damaged(bytes: u64) -> Self {
        Self {
            bytes,
            is_damaged: true,
        }
    }
}

async fn read_on(
    mut inspection: Inspection,
) -> Result<(Result<u64, StoreError>, Inspection), Error> {
    let read = move || (inspection.read(), inspection);
    spawn_blocking(read).await.map_err(broken)
}

/// Leaves the disk alone for as long as so many bytes may take.
async fn rest_after(bytes: u64, pace: u64) {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(pace.max(1));
    sleep(Duration::from_nanos(
        u64::try_from(nanoseconds).unwrap_or(u64::MAX),
    ))
    .await;
}

fn broken(error: tokio::task::JoinError) -> Error {
    Error::internal("verify what is kept", error)
}
