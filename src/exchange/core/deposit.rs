//! Uploaded bytes on their way into the depot, and what is said of it when it fails.

use std::sync::Arc;

use bytes::Bytes;

use crate::depot::{Depot, DepotError, DepotKey};
use crate::exchange::core::Core;
use crate::exchange::{Error, ErrorKind, Flow, blocking};
use crate::model::{Hashes, Sha256};
use crate::store::{Key, StoreError, check};

/// When a client should try again while the depot is not available.
const RETRY_AFTER_S: u32 = 5;

/// What fails here; it fits after "failed to".
const DOING: &str = "send a file to the depot";

/// What a client learns of a depot that failed; the log has the rest.
pub fn depot_failed(doing: &str, error: DepotError) -> Error {
    match error {
        DepotError::Unavailable { .. } | DepotError::Unfit { .. } => Error {
            kind: ErrorKind::Unavailable(Some(RETRY_AFTER_S)),
            message: "the depot, where uploaded files are kept, is not available; try again in a \
                      moment"
                .to_owned(),
            source: Some(Arc::new(error)),
        },
        DepotError::Wrong { .. } | DepotError::Source { .. } => Error::internal(doing, error),
    }
}

impl Core {
    /// Why a file that was uploaded cannot be had, and what helps.
    pub fn lost_upload(&self, name: &dyn std::fmt::Display) -> Error {
        let place = match self.depot {
            Some(_) => "depot",
            None => "store",
        };
        let message = format!(
            "the bytes of {name}, which was uploaded here, are missing from the {place}; upload the same \
             file again, or restore it from a backup"
        );
        Error::new(ErrorKind::Internal, message)
    }

    /// Has private bytes in the depot before a record names them; the caller holds their digest. Without a
    /// depot they are where they belong already.
    ///
    /// # Errors
    /// 503 while the depot is not available; when the bytes are nowhere, or damaged.
    pub async fn deposit(&self, digest: Sha256) -> Flow<()> {
        let Some(depot) = &self.depot else {
            return Ok(());
        };
        self.deposit_metadata(depot, digest).await?;
        self.deposit_file(depot, digest, false).await
    }

    /// The same for bytes that were uploaded again: what the depot has of them is read, and replaced if it
    /// is wrong.
    ///
    /// # Errors
    /// As of [`Core::deposit`].
    pub async fn deposit_again(&self, digest: Sha256) -> Flow<()> {
        match &self.depot {
            Some(depot) => self.deposit_file(depot, digest, true).await,
            None => Ok(()),
        }
    }

    async fn deposit_file(&self, depot: &Depot, digest: Sha256, is_doubted: bool) -> Flow<()> {
        let key = Key::PrivateFile(digest);
        let store = Arc::clone(&self.store);
        let opened = blocking(DOING, move || -> Result<_, StoreError> {
            Ok((store.open_file(&key)?, store.is_waiting(&key)?))
        });
        let (stored, is_waiting) = opened.await?.map_err(|error| Error::store(DOING, error))?;
        let failed = |error| depot_failed(DOING, error);
        // Of what was deposited once, most is still there.
        if !is_waiting
            && !is_doubted
            && depot
                .head(DepotKey::File(digest))
                .await
                .map_err(failed)?
                .is_some()
        {
            return Ok(());
        }
        let Some(stored) = stored else {
            let message = format!("the bytes with the sha256 {digest} are missing from the store");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let file = stored.file().try_clone();
        let file = file.map_err(|error| Error::internal(DOING, error))?;
        let put = depot.put_file(digest, file, stored.len()).await;
        put.map_err(failed)?;
        self.is_deposited(Key::PrivateFile(digest)).await
    }

    async fn deposit_metadata(&self, depot: &Depot, wheel: Sha256) -> Flow<()> {
        let (store, most) = (
            Arc::clone(&self.store),
            self.settings.limits.upstream.metadata,
        );
        let key = Key::PrivateMetadata(wheel);
        let read = blocking(DOING, move || match store.is_waiting(&key)? {
            true => store.read_small(&key, most),
            false => Ok(None),
        });
        let read = read.await?.map_err(|error| Error::store(DOING, error))?;
        let Some(content) = read else { return Ok(()) };
        let put = depot.put_metadata(wheel, content).await;
        put.map_err(|error| depot_failed(DOING, error))?;
        self.is_deposited(Key::PrivateMetadata(wheel)).await
    }

    async fn is_deposited(&self, key: Key) -> Flow<()> {
        let store = Arc::clone(&self.store);
        let moved = blocking(DOING, move || store.is_deposited(&key)).await?;
        moved.map_err(|error| Error::store(DOING, error))
    }

    /// Whether private bytes can be had, here or from the depot; the caller holds their digest.
    ///
    /// # Errors
    /// When the disk fails; 503 while the depot is not available.
    pub async fn has_bytes(&self, digest: Sha256) -> Flow<bool> {
        let (store, key) = (Arc::clone(&self.store), Key::PrivateFile(digest));
        let doing = "look for a file";
        let Some(depot) = &self.depot else {
            let opened = blocking(doing, move || store.open_file(&key)).await?;
            return Ok(opened
                .map_err(|error| Error::store(doing, error))?
                .is_some());
        };
        let head = depot.head(DepotKey::File(digest)).await;
        if head.map_err(|error| depot_failed(doing, error))?.is_some() {
            return Ok(true);
        }
        let waiting = blocking(doing, move || store.is_waiting(&key)).await?;
        waiting.map_err(|error| Error::store(doing, error))
    }

    /// The metadata of a stage's wheel, if the depot has some that is what is stated of it. Otherwise it is
    /// read from the wheel, so nothing of this is an error.
    pub async fn deposited_metadata(&self, key: Option<&Key>, stated: &Hashes) -> Option<Bytes> {
        let (depot, Some(Key::PrivateMetadata(wheel))) = (self.depot.as_ref()?, key) else {
            return None;
        };
        if stated.is_empty() {
            return None;
        }
        let most = self.settings.limits.upstream.metadata;
        let read = depot.metadata(*wheel, most).await.ok()??;
        check(&read, stated).is_ok().then_some(read)
    }
}
