//! Bytes that are held, fit to be answered: a file that is read for the first time since the start is
//! checked, and what is damaged is never answered once that is known (docs/adr/0030-damage.md).
//!
//! Of a small file that is done before its first byte goes out, so that one of a mirror can be fetched
//! again and of a private one can be said what is wrong. A large one is sent while it is checked, and its
//! end waits, as that of a file does which is still arriving.

mod retrieval;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

use crate::exchange::{Core, Error, ErrorKind};
use crate::gateway::content::Content;
use crate::gateway::decide::no_such_file;
use crate::gateway::small::{Small, SmallFiles};
use crate::model::File;
use crate::store::{Growing, Key, Readable, Standing, StoreError, StoredFile};
use crate::telemetry::{Damage, Permits, WaitFor};

use retrieval::{Retrievals, Retrieved};

/// Files checked at one time; each takes a core.
const CHECKS_MAX: usize = 8;

/// How often a file is looked at that changes while it is read.
const CHECK_TRIES: usize = 3;

/// The result of looking at the disk.
enum Held {
    Here(Content),
    Absent,
    /// Why it must not be served.
    Damaged(String),
}

/// What is known about a file besides its key.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its name.
    pub name: &'a str,
    /// How long it should be, if stated.
    pub size: Option<u64>,
}

impl<'a> About<'a> {
    /// What is known of a file that an index lists.
    pub fn of(file: &'a File) -> Self {
        Self {
            name: file.filename.as_str(),
            size: file.size,
        }
    }
}

/// Files that are kept, and which of them are being checked.
#[derive(Debug)]
pub struct HeldFiles {
    core: Arc<Core>,
    small: Arc<SmallFiles>,
    retrievals: Arc<Retrievals>,
    checks: Mutex<HashMap<Key, Arc<Growing>>>,
    check_turns: Permits,
}

impl HeldFiles {
    pub fn new(core: Arc<Core>, small: Arc<SmallFiles>) -> Self {
        let retrievals = Arc::new(Retrievals::new(core.clone()));
        let check_turns = Permits::new(CHECKS_MAX, core.metrics.waits(WaitFor::Checks));
        Self {
            core,
            small,
            retrievals,
            checks: Mutex::default(),
            check_turns,
        }
    }

    /// What is held under a key, or nothing: then one of a mirror is to be fetched. What is damaged is
    /// healed where the same bytes are here a second time.
    ///
    /// # Errors
    /// When a private file is damaged or cannot be read.
    pub async fn held_file(
        self: &Arc<Self>,
        key: &Key,
        about: About<'_>,
    ) -> Result<Option<Content>, Error> {
        match self.held_as_it_is(key, about).await? {
            Held::Here(content) => Ok(Some(content)),
            Held::Absent if !self.is_lost(key).await? => Ok(None),
            Held::Absent => {
                let found = self.found_elsewhere(key, about).await?;
                if found.is_none() {
                    self.lost(key);
                }
                Ok(found)
            }
            Held::Damaged(why) => match self.found_elsewhere(key, about).await? {
                Some(content) => Ok(Some(content)),
                None => missing(key, about, &why),
            },
        }
    }

    /// The held file itself once it is known to be right, for whoever reads within it.
    ///
    /// # Errors
    /// As of [`HeldFiles::held_file`].
    pub async fn checked_file(
        self: &Arc<Self>,
        key: &Key,
        about: About<'_>,
    ) -> Result<Option<Arc<StoredFile>>, Error> {
        for _ in 0..CHECK_TRIES {
            match self.held_file(key, about).await? {
                None => return Ok(None),
                Some(Content::Stored(stored)) => return Ok(Some(stored)),
                Some(Content::Memory(_)) => {}
                Some(Content::Growing(growing)) => drop(growing.settled().await),
            }
            // It was read from end to end; opened again it is the same, or was changed just now.
            let stored = self.core.store.open_file(key);
            let stored = stored.map_err(|error| Error::store("open a held file", error))?;
            if let Some(stored) = stored.filter(|stored| stored.standing() == Standing::Right) {
                return Ok(Some(Arc::new(stored)));
            }
        }
        missing(key, about, "its content changes while it is read").map(|_| None)
    }

    async fn held_as_it_is(self: &Arc<Self>, key: &Key, about: About<'_>) -> Result<Held, Error> {
        let stored = match self.core.store.open_file(key) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(Held::Absent),
            Err(error) => return self.unreadable(key, about, error),
        };
        match stored.standing() {
            Standing::Damaged => {
                let why = "its content has changed on the disk";
                return Ok(Held::Damaged(why.to_owned()));
            }
            Standing::Right | Standing::Unchecked => {}
        }
        if let Some(small) = Small::of(&stored) {
            if key.sha256().is_some_and(|stated| stated != small.sha256) {
                let (what, why) = (about.name.to_owned(), "its digest is another".to_owned());
                let error = StoreError::Damaged { what, why };
                self.damaged(key, &stored, &error);
                return Ok(Held::Damaged(error.to_string()));
            }
            self.core.store.found_right(&stored);
            self.small.insert(key.clone(), small.clone());
            return Ok(Held::Here(Content::Memory(small)));
        }
        let stored = Arc::new(stored);
        if stored.standing() == Standing::Right {
            return Ok(Held::Here(Content::Stored(stored)));
        }
        self.first_read(key, stored, about).await
    }

    async fn first_read(
        self: &Arc<Self>,
        key: &Key,
        stored: Arc<StoredFile>,
        about: About<'_>,
    ) -> Result<Held, Error> {
        let growing = self.check(key, &stored)?;
        let is_large = stored.len() > self.core.settings.limits.work.checked_first;
        // With another length than stated, it is almost certainly damaged.
        let is_streamed = is_large && about.size.is_none_or(|size| size == stored.len());
        let reached = if is_streamed {
            growing.readable(0).await
        } else {
            growing.settled().await
        };
        match reached {
            Readable::Until(_) => Ok(Held::Here(Content::Growing(growing))),
            Readable::Complete(_) => Ok(Held::Here(Content::Stored(stored))),
            Readable::Failed(failure) => Ok(Held::Damaged(failure.to_string())),
        }
    }

    /// Whether what is not there should be: a record needs it.
    async fn is_lost(&self, key: &Key) -> Result<bool, Error> {
        match (key, key.sha256()) {
            (Key::PrivateFile(_), Some(digest)) => self.core.is_needed(&digest).await,
            _ => Ok(false),
        }
    }

    /// The same bytes, kept here as another's or in the depot.
    async fn found_elsewhere(
        self: &Arc<Self>,
        key: &Key,
        about: About<'_>,
    ) -> Result<Option<Content>, Error> {
        if let Some(healed) = self.healed(key).await {
            return Ok(Some(healed));
        }
        let Key::PrivateFile(digest) = key else {
            return Ok(None);
        };
        match self.retrievals.retrieve(*digest, about).await? {
            Retrieved::Absent => return Ok(None),
            Retrieved::Here => {}
            Retrieved::Arriving(growing) => match growing.readable(0).await {
                Readable::Until(_) => return Ok(Some(Content::Growing(growing))),
                Readable::Complete(_) => {}
                Readable::Failed(failure) => {
                    let message = format!("{} did not come from the depot: {failure}", about.name);
                    return Err(Error::new(ErrorKind::Unavailable(Some(1)), message));
                }
            },
        }
        match self.held_as_it_is(key, about).await? {
            Held::Here(content) => Ok(Some(content)),
            Held::Absent | Held::Damaged(_) => {
                let name = about.name;
                Err(Error::busy(format_args!(
                    "{name} comes and goes; try again"
                )))
            }
        }
    }

    /// A damaged or lost file, put in place again out of the same bytes kept as another's.
    async fn healed(self: &Arc<Self>, key: &Key) -> Option<Content> {
        let (store, own_key) = (Arc::clone(&self.core.store), key.clone());
        let heal = move || {
            let digest = own_key.sha256().filter(|_| own_key.is_private());
            let _held = digest.map(|digest| store.hold(&digest)).transpose()?;
            match store.heal(&own_key)? {
                true => store.open_file(&own_key),
                false => Ok(None),
            }
        };
        match spawn_blocking(heal).await {
            Ok(Ok(healed)) => {
                let stored = healed?;
                let path = key.path();
                tracing::info!(path = %path.display(), "healed: the same bytes were kept twice");
                self.small.forget(key);
                Some(Content::Stored(Arc::new(stored)))
            }
            Ok(Err(error)) => {
                tracing::error!(path = %key.path().display(), %error, "a damaged file cannot be healed");
                None
            }
            Err(error) => {
                tracing::error!(%error, "healing a damaged file broke off");
                None
            }
        }
    }

    /// Joins or starts the check of a file.
    fn check(self: &Arc<Self>, key: &Key, stored: &Arc<StoredFile>) -> Result<Arc<Growing>, Error> {
        let mut running = self.checks();
        if let Some(growing) = running.get(key) {
            return Ok(Arc::clone(growing));
        }
        let check = self.core.store.check(stored);
        let check = check.map_err(|error| Error::store("check a held file", error))?;
        let growing = check.growing();
        running.insert(key.clone(), Arc::clone(&growing));
        drop(running);
        let (held, key, stored) = (Arc::clone(self), key.clone(), Arc::clone(stored));
        self.core.work.spawn(async move {
            let _turn = held.check_turns.take().await;
            match spawn_blocking(move || check.run()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => held.damaged(&key, &stored, &error),
                Err(error) => tracing::error!(%error, "the check of a held file broke off"),
            }
            held.checks().remove(&key);
        });
        Ok(growing)
    }

    /// Says that a file is damaged, and takes it out of use.
    pub fn damaged(&self, key: &Key, stored: &StoredFile, error: &StoreError) {
        let path = key.path();
        tracing::error!(path = %path.display(), %error, "a kept file is damaged");
        self.core.metrics.damaged(if key.is_private() {
            Damage::Private
        } else {
            Damage::Mirror
        });
        // What the disk does not give now it may give later; only what it gives wrongly is out of use.
        if key.is_private() && !matches!(error, StoreError::Damaged { .. }) {
            self.core.store.found_lost(key);
            return;
        }
        if let Err(error) = self.core.store.take_out_of_use(stored) {
            tracing::error!(path = %path.display(), %error, "a damaged file cannot be removed");
        }
    }

    fn checks(&self) -> MutexGuard<'_, HashMap<Key, Arc<Growing>>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a private file is not there which a record needs.
    fn lost(&self, key: &Key) {
        if self.core.store.found_lost(key) {
            let path = key.path();
            tracing::error!(path = %path.display(), "an uploaded file is missing");
            self.core.metrics.damaged(Damage::Private);
        }
    }

    fn unreadable(&self, key: &Key, about: About<'_>, error: StoreError) -> Result<Held, Error> {
        if key.is_private() {
            self.core.store.found_lost(key);
            self.core.metrics.damaged(Damage::Private);
            let doing = format!("open {}", about.name);
            return Err(Error::store(doing, error));
        }
        tracing::error!(path = %key.path().display(), %error, "a kept file cannot be opened");
        self.core.metrics.damaged(Damage::Mirror);
        Ok(Held::Absent)
    }
}

/// Why there are no bytes of a file that was uploaded, for whoever asks for it or for its metadata.
///
/// # Errors
/// When the records fail.
pub async fn missing_upload(core: &Core, file: &File) -> Result<Error, Error> {
    // Its record may have been removed since the decision, and then its bytes.
    if let Some(sha256) = file.hashes.sha256()
        && !core.is_needed(&sha256).await?
    {
        return Ok(no_such_file());
    }
    Ok(core.lost_upload(&file.filename))
}

/// A damaged file of a mirror counts as absent; of a private one nobody has another.
fn missing(key: &Key, about: About<'_>, why: &str) -> Result<Option<Content>, Error> {
    if !key.is_private() {
        return Ok(None);
    }
    let name = about.name;
    let message = format!(
        "the bytes of {name} in the store are damaged ({why}); upload the same file again, or restore it from a backup"
    );
    Err(Error::new(ErrorKind::Internal, message))
}
