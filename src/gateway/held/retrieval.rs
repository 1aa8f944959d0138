//! Uploaded bytes on their way back from the depot: asked for once for everybody, kept here as in a cache,
//! and read while they arrive. Nothing of them is served before it is known to be what the record says, or
//! of a large file its end is held back until then (docs/adr/0030-damage.md).

use std::sync::Arc;

use crate::cache::{Early, Flights};
use crate::depot::{Depot, DepotKey, Withdrawal};
use crate::exchange::{Core, Error, ErrorKind, Flow, depot_failed};
use crate::gateway::held::About;
use crate::model::{Hashes, Sha256};
use crate::store::{Draft, Growing, Key, StoreError};
use crate::telemetry::{Damage, Permits, WaitFor};

/// Files that come from the depot at one time: each takes a thread that writes and hashes it.
const AT_ONCE: usize = 16;

/// Files that are coming, or about to.
#[derive(Debug)]
pub struct Retrievals {
    core: Arc<Core>,
    under_way: Flights<Sha256, Flow<Retrieved>>,
    places: Permits,
}

/// What became of a file that was asked for.
#[derive(Debug, Clone)]
pub enum Retrieved {
    /// It arrives.
    Arriving(Arc<Growing>),
    /// It is here.
    Here,
    /// The depot does not have it.
    Absent,
}

/// A file that is asked for.
#[derive(Debug, Clone)]
struct Wanted {
    digest: Sha256,
    name: String,
    size: Option<u64>,
}

impl Retrievals {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            under_way: core.flights(),
            places: Permits::new(AT_ONCE, core.metrics.waits(WaitFor::Depot)),
            core,
        }
    }

    /// Joins or starts the retrieval of a file that a record needs and that is not here.
    ///
    /// # Errors
    /// 503 while the depot is not available; 500 when it has something else under this key.
    pub async fn retrieve(self: &Arc<Self>, digest: Sha256, about: About<'_>) -> Flow<Retrieved> {
        let Some(depot) = self.core.depot.clone() else {
            return Ok(Retrieved::Absent);
        };
        let wanted = Wanted {
            digest,
            name: about.name.to_owned(),
            size: about.size,
        };
        let retrievals = Arc::clone(self);
        let flight = self
            .under_way
            .board_early(digest, move |_, early| async move {
                retrievals.fetch(&depot, &wanted, &early).await
            });
        let busy = |error| Error::busy(format_args!("fetch a file from the depot: {error}"));
        flight.map_err(busy)?.landed().await.map_err(busy)?.value
    }

    /// A small file is brought here before anybody is told, so that what is wrong with it can be said; a
    /// large one is read while it comes.
    async fn fetch(
        &self,
        depot: &Depot,
        wanted: &Wanted,
        early: &Early<Flow<Retrieved>>,
    ) -> Flow<Retrieved> {
        let _place = self.places.take().await;
        let doing = format!("fetch {} from the depot", wanted.name);
        let got = depot.get(DepotKey::File(wanted.digest)).await;
        let Some(object) = got.map_err(|error| depot_failed(&doing, error))? else {
            return Ok(Retrieved::Absent);
        };
        let size = object.size;
        if let Some(stated) = wanted.size.filter(|stated| *stated != size) {
            let why = format!("it has {size} bytes, and should have {stated}");
            return Err(self.wrong(depot, wanted, &why));
        }
        let (store, promised) = (&self.core.store, Hashes::sha256_only(wanted.digest));
        let draft = store.draft(&wanted.name, promised, Some(size), size);
        let draft = draft.map_err(|error| Error::store(&*doing, error))?;
        if size > self.core.settings.limits.work.checked_first {
            early.tell(Ok(Retrieved::Arriving(draft.growing())));
        }
        let brought = self.bring(depot, wanted, object, draft).await;
        brought.inspect_err(|error| {
            tracing::error!(file = wanted.name, %error, "a file did not come from the depot");
        })?;
        Ok(Retrieved::Here)
    }

    /// Brings it here, whole and right, or not at all.
    async fn bring(
        &self,
        depot: &Depot,
        wanted: &Wanted,
        mut object: Withdrawal,
        mut draft: Draft,
    ) -> Flow<()> {
        let doing = format!("fetch {} from the depot", wanted.name);
        let kept = loop {
            match object.next().await {
                Ok(Some(piece)) => {
                    if let Err(error) = draft.write(piece).await {
                        break Err(error);
                    }
                }
                Ok(None) => break draft.finish(Key::MirrorFile).await,
                Err(error) => {
                    draft.give_up(error.to_string()).await;
                    return Err(depot_failed(&doing, error));
                }
            }
        };
        match kept {
            Ok(_) => {
                self.settle(wanted.digest).await;
                Ok(())
            }
            Err(StoreError::Integrity { why, .. }) => Err(self.wrong(depot, wanted, &why)),
            Err(error) => Err(Error::store(doing, error)),
        }
    }

    /// A damaged file in its place before is one no longer.
    async fn settle(&self, digest: Sha256) {
        let (store, key) = (Arc::clone(&self.core.store), Key::PrivateFile(digest));
        if !store.is_harmed(&key) {
            return;
        }
        let removed = tokio::task::spawn_blocking(move || store.remove(&key)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(%error, "a damaged file cannot be removed");
        }
    }

    fn wrong(&self, depot: &Depot, wanted: &Wanted, why: &str) -> Error {
        drop(depot.found_wrong(wanted.digest, why));
        self.core.metrics.damaged(Damage::Private);
        let message = format!(
            "the bytes of {} in the depot are not what they should be ({why}); upload the same file \
             again, or bring the object back from another copy of the bucket",
            wanted.name
        );
        Error::new(ErrorKind::Internal, message)
    }
}
