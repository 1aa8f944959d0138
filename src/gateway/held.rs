//! Bytes that are held, fit to be answered: a file that is read for the first time since the start is
//! checked, and what is damaged is never answered once that is known (docs/adr/0030-damage.md).
//!
//! Of a small file that is done before its first byte goes out, so that one of a mirror can be fetched
//! again and of a private one can be said what is wrong. A large one is sent while it is checked, and its
//! end waits, as that of a file does which is still arriving.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::content::Content;
use super::context::Shared;
use super::error::{Error, ErrorKind};
use super::file::small;
use crate::protocol::ETag;
use crate::store::{Growing, Key, Readable, Standing, StoreError, StoredFile};
use crate::telemetry::Damage;

/// Files checked at one time; each takes a core.
const CHECKS_MAX: usize = 8;

/// Checks under way.
#[derive(Debug)]
pub(super) struct Checks {
    running: Mutex<HashMap<Key, Arc<Growing>>>,
    turns: Semaphore,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            turns: Semaphore::new(CHECKS_MAX),
        }
    }
}

/// What is known of a file besides its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// How long it should be, where somebody says so.
    pub(super) size: Option<u64>,
}

impl Shared {
    /// What is held under a key, or nothing: then one of a mirror is to be fetched.
    ///
    /// # Errors
    /// When a private file is damaged or cannot be read.
    pub(super) async fn held_file(
        self: &Arc<Self>,
        key: &Key,
        about: About<'_>,
    ) -> Result<Option<Content>, Arc<Error>> {
        let stored = match self.store.open_file(key) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(None),
            Err(error) => return self.unreadable(key, about, error),
        };
        match stored.standing() {
            Standing::Damaged => return missing(key, about, "its content has changed on the disk"),
            Standing::Right | Standing::Unchecked => {}
        }
        if let Some(small) = small(&stored) {
            let expected = key.sha256().map(|digest| ETag::of_digest(&digest));
            if expected.is_some_and(|expected| expected != small.etag) {
                let (what, why) = (about.name.to_owned(), "its digest is another".to_owned());
                let error = StoreError::Damaged { what, why };
                self.damaged(key, &stored, &error);
                return missing(key, about, &error.to_string());
            }
            self.store.found_right(&stored);
            self.small.insert(key.clone(), small.clone());
            return Ok(Some(Content::Memory(small)));
        }
        let is_right = stored.standing() == Standing::Right;
        let stored = Arc::new(stored);
        if is_right {
            return Ok(Some(Content::Stored(stored)));
        }
        self.first_read(key, stored, about).await
    }

    async fn first_read(
        self: &Arc<Self>,
        key: &Key,
        stored: Arc<StoredFile>,
        about: About<'_>,
    ) -> Result<Option<Content>, Arc<Error>> {
        let growing = self.check(key, &stored).map_err(Arc::new)?;
        let is_large = stored.len() > self.settings.checked_first_max;
        // Of another length than it should have, it is damaged as good as certainly.
        let is_streamed = is_large && about.size.is_none_or(|size| size == stored.len());
        let reached = if is_streamed {
            growing.readable(0).await
        } else {
            growing.settled().await
        };
        match reached {
            Readable::Until(_) => Ok(Some(Content::Growing(growing))),
            Readable::Complete(_) => Ok(Some(Content::Stored(stored))),
            Readable::Failed(failure) => missing(key, about, &failure.to_string()),
        }
    }

    /// Joins or starts the check of a file.
    fn check(self: &Arc<Self>, key: &Key, stored: &Arc<StoredFile>) -> Result<Arc<Growing>, Error> {
        let mut running = self.checks.running();
        if let Some(growing) = running.get(key) {
            return Ok(Arc::clone(growing));
        }
        let check = self.store.check(stored);
        let check = check.map_err(|error| Error::store("check a held file", error))?;
        let growing = check.growing();
        running.insert(key.clone(), Arc::clone(&growing));
        drop(running);
        let (shared, key, stored) = (Arc::clone(self), key.clone(), Arc::clone(stored));
        self.work.spawn(async move {
            // The semaphore is never closed.
            let _turn = shared.checks.turns.acquire().await;
            match spawn_blocking(move || check.run()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => shared.damaged(&key, &stored, &error),
                Err(error) => tracing::error!(%error, "the check of a held file broke off"),
            }
            shared.checks.running().remove(&key);
        });
        Ok(growing)
    }

    /// Says that a file is damaged, and takes it out of use.
    fn damaged(&self, key: &Key, stored: &StoredFile, error: &StoreError) {
        let path = key.path();
        tracing::error!(path = %path.display(), %error, "a kept file is damaged");
        self.metrics.damaged(if key.is_private() {
            Damage::Private
        } else {
            Damage::Mirror
        });
        // What the disk does not give now it may give later; only what it gives wrongly is out of use.
        if key.is_private() && !matches!(error, StoreError::Damaged { .. }) {
            return;
        }
        if let Err(error) = self.store.take_out_of_use(stored) {
            tracing::error!(path = %path.display(), %error, "a damaged file cannot be removed");
        }
    }

    fn unreadable(
        &self,
        key: &Key,
        about: About<'_>,
        error: StoreError,
    ) -> Result<Option<Content>, Arc<Error>> {
        if key.is_private() {
            let doing = format!("open {}", about.name);
            return Err(Arc::new(Error::store(doing, error)));
        }
        tracing::error!(path = %key.path().display(), %error, "a kept file cannot be opened");
        self.metrics.damaged(Damage::Mirror);
        Ok(None)
    }

    /// Whether the bytes of a digest are held as a private file that is known to be right.
    pub(super) fn is_held_right(&self, key: &Key) -> bool {
        let held = self.store.open_file(key);
        held.is_ok_and(|held| held.is_some_and(|held| held.standing() == Standing::Right))
    }
}

impl Checks {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Growing>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A damaged file of a mirror counts as absent; of a private one nobody has another.
fn missing(key: &Key, about: About<'_>, why: &str) -> Result<Option<Content>, Arc<Error>> {
    if !key.is_private() {
        return Ok(None);
    }
    let name = about.name;
    let message = format!(
        "the bytes of {name} in the store are damaged ({why}); upload the same file again, or restore it from a backup"
    );
    Err(Arc::new(Error::new(ErrorKind::Internal, message)))
}
