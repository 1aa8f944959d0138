//! Copies the bytes that records name from one store to another: compared on the way, visible there only
//! if they are right, and left alone if they are there already.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use crate::db::NeededFile;
use crate::depot::{Depot, DepotError, DepotKey};
use crate::model::{Hashes, Sha256};
use crate::moving::report::{MovingError, OnProgress, Progress};
use crate::moving::take::{broken, pour};
use crate::store::{FsStore, Key, StoreError};

/// Files copied at the same time: enough to keep a disk busy while it syncs.
pub const AT_ONCE: usize = 4;

/// Longest metadata that is copied: far above `limits.metadata`.
const METADATA_BYTES_MAX: u64 = 1 << 30;

/// From where to where.
#[derive(Debug, Clone)]
pub struct Copying {
    pub from: Arc<FsStore>,
    pub to: Arc<FsStore>,
    /// Has what `from` does not, where that is a cache before it.
    pub depot: Option<Arc<Depot>>,
    /// Read what is already there, too.
    pub verify: bool,
}

/// The outcome.
#[derive(Debug, Default)]
pub struct Copied {
    /// Files that were missing.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are unavailable, in words.
    pub faults: Vec<String>,
}

impl Copying {
    /// Copies everything; what is unavailable is reported and does not hold anything else back.
    pub async fn all(
        &self,
        needed: &[NeededFile],
        on_progress: OnProgress<'_>,
    ) -> Result<Copied, MovingError> {
        let mut progress = Progress::over(needed.iter().map(|file| file.size));
        on_progress(progress);
        let brought = needed.iter().map(|file| async move {
            let brought = self.one(file).await?;
            Ok::<_, MovingError>((file, brought))
        });
        let mut brought = stream::iter(brought).buffer_unordered(AT_ONCE);
        let mut copied = Copied::default();
        while let Some(one) = brought.next().await {
            let (file, brought) = one?;
            match brought {
                Ok(true) => {
                    copied.files += 1;
                    copied.bytes += file.size;
                }
                Ok(false) => {}
                Err(why) => copied.faults.push(format!("{}: {why}", file.name)),
            }
            progress.add(file.size);
            on_progress(progress);
        }
        copied.faults.sort();
        Ok(copied)
    }

    /// Copies one file with its metadata; returns whether anything of it was new, or why it failed.
    async fn one(&self, file: &NeededFile) -> Result<Result<bool, String>, MovingError> {
        let content = self.content(file).await?;
        let metadata = match file.metadata {
            Some(digest) => self.metadata(file.sha256, digest).await?,
            None => Ok(false),
        };
        Ok(match (content, metadata) {
            (Ok(content), Ok(metadata)) => Ok(content || metadata),
            (Err(why), _) | (_, Err(why)) => Err(why),
        })
    }

    async fn content(&self, file: &NeededFile) -> Result<Result<bool, String>, MovingError> {
        let (copying, wanted) = (self.clone(), file.clone());
        let is_there = spawn_blocking(move || copying.has(&wanted)).await;
        if is_there.map_err(broken)?? {
            return Ok(Ok(false));
        }
        let Some(stored) = self.from.open_file(&Key::PrivateFile(file.sha256))? else {
            return self.out_of_depot(file).await;
        };
        if stored.len() != file.size {
            let found = stored.len();
            return Ok(Err(format!(
                "it has {found} bytes, and should have {}",
                file.size
            )));
        }
        let source = stored.file().try_clone();
        let source = source.map_err(|error| MovingError::Broken(error.to_string()))?;
        match self.bring(source, file).await {
            Ok(()) => Ok(Ok(true)),
            Err(MovingError::Store(StoreError::Integrity { why, .. })) => {
                Ok(Err(format!("its bytes are damaged: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    async fn out_of_depot(&self, file: &NeededFile) -> Result<Result<bool, String>, MovingError> {
        let missing = || Ok(Err("its bytes are missing".to_owned()));
        let Some(depot) = &self.depot else {
            return missing();
        };
        let broken = |error: DepotError| MovingError::Broken(error.to_string());
        let got = depot.get(DepotKey::File(file.sha256)).await;
        let Some(mut object) = got.map_err(broken)? else {
            return missing();
        };
        let (promised, size) = (Hashes::sha256_only(file.sha256), file.size);
        let mut draft = self.to.draft(&file.name, promised, Some(size), size)?;
        let brought = async {
            while let Some(piece) = object.next().await.map_err(broken)? {
                draft.write(piece).await?;
            }
            draft.finish(Key::PrivateFile).await?;
            Ok(())
        };
        match brought.await {
            Ok(()) => Ok(Ok(true)),
            Err(MovingError::Store(StoreError::Integrity { why, .. })) => {
                Ok(Err(format!("its bytes in the depot are damaged: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the bytes are there and, if that is to be checked, right.
    fn has(&self, file: &NeededFile) -> Result<bool, StoreError> {
        let key = Key::PrivateFile(file.sha256);
        let there = self.to.open_file(&key)?;
        if there.is_none_or(|there| there.len() != file.size) {
            return Ok(false);
        }
        let is_right = |digest: Option<Sha256>| digest == Some(file.sha256);
        Ok(!self.verify || is_right(self.to.digest(&key)?.map(|stored| stored.sha256)))
    }

    async fn bring(&self, source: File, file: &NeededFile) -> Result<(), MovingError> {
        let (promised, size) = (Hashes::sha256_only(file.sha256), file.size);
        let mut draft = self.to.draft(&file.name, promised, Some(size), size)?;
        let read = pour(source, &mut draft).await?;
        read.map_err(|error| MovingError::Broken(format!("read {}: {error}", file.name)))?;
        draft.finish(Key::PrivateFile).await?;
        Ok(())
    }

    async fn deposited_metadata(&self, wheel: Sha256, digest: Sha256) -> Option<Bytes> {
        let read = self
            .depot
            .as_ref()?
            .metadata(wheel, METADATA_BYTES_MAX)
            .await;
        read.ok()?.filter(|text| Sha256::of(text) == digest)
    }

    async fn metadata(
        &self,
        wheel: Sha256,
        digest: Sha256,
    ) -> Result<Result<bool, String>, MovingError> {
        let copying = self.clone();
        let key = Key::PrivateMetadata(wheel);
        let deposited = self.deposited_metadata(wheel, digest).await;
        let work = move || -> Result<Result<bool, String>, StoreError> {
            let known = Hashes::sha256_only(digest);
            let read = |store: &FsStore| match store.read_known(&key, METADATA_BYTES_MAX, &known) {
                Err(StoreError::Damaged { .. }) => Ok(None),
                read => read.map(|text| text.filter(|text| Sha256::of(text) == digest)),
            };
            if read(&copying.to)?.is_some() {
                return Ok(Ok(false));
            }
            let Some(text) = read(&copying.from)?.or(deposited) else {
                return Ok(Err("its metadata is missing or damaged".to_owned()));
            };
            copying.to.put_small(&key, &text)?;
            Ok(Ok(true))
        };
        Ok(spawn_blocking(work).await.map_err(broken)??)
    }
}
