//! What the depot holds, as a whole: whose it is, what it lacks, and what nobody needs any more.
//!
//! An object that no record needs is garbage only if the records are those that the objects belong to. So a
//! note in the bucket says which these are and how far they were, like the one beside local files
//! (docs/adr/0027-records-and-files-belong-together.md).

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::db::Serial;
use crate::depot::{Depot, DepotError, DepotKey, InDepot};
use crate::exchange::{Core, Error, ErrorKind, Flow, depot_failed, records_failed};
use crate::gateway::needless::on_store;
use crate::gateway::small::SmallFiles;
use crate::model::{Sha256, Timestamp};
use crate::store::Key;

/// The depot as a whole.
#[derive(Debug)]
pub struct Deposits {
    core: Arc<Core>,
    small: Arc<SmallFiles>,
    /// The note in the bucket; `None` until it was compared with the records.
    noted: Mutex<Option<Noted>>,
}

/// The records that the objects belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    uuid: String,
    serial: u64,
    /// Objects from before this instant are kept though no record needs them: records were put back that
    /// do not know of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_before: Option<Timestamp>,
}

/// Objects that a round removed, and those that it left to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects removed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects too young to go, or held.
    pub held: u64,
}

impl Deposits {
    pub fn new(core: Arc<Core>, small: Arc<SmallFiles>) -> Self {
        let noted = Mutex::default();
        Self { core, small, noted }
    }

    /// Compares the note in the bucket with the records, once in the life of a process.
    ///
    /// # Errors
    /// When depot or records fail, or the objects belong to other records: then nothing may be removed.
    pub async fn compare_records(&self) -> Flow<()> {
        let (Some(depot), None) = (&self.core.depot, self.noted()) else {
            return Ok(());
        };
        let doing = "read whose the depot is";
        let note = depot
            .note()
            .await
            .map_err(|error| depot_failed(doing, error))?;
        let (uuid, serial) = self.records().await?;
        let mut now = Noted {
            uuid,
            serial,
            kept_before: None,
        };
        if let Some(note) = note {
            let noted: Noted =
                serde_json::from_slice(&note).map_err(|error| strange(depot, &error))?;
            if noted.uuid != now.uuid {
                let why = format!(
                    "it belongs to records with the uuid {}, and these have {}",
                    noted.uuid, now.uuid
                );
                return Err(strange(depot, &why));
            }
            now.kept_before = noted.kept_before;
            if noted.serial > now.serial {
                tracing::error!(
                    "the depot has seen records up to serial {}, and these end at {serial}: no object \
                     from before now is removed, until records.json is removed from the depot",
                    noted.serial
                );
                now.kept_before = Some(self.core.clock.now());
            }
        }
        self.write(depot, now).await
    }

    /// Notes in the bucket how far the records are, if that has changed.
    pub async fn note_serial(&self) {
        let (Some(depot), Some(noted)) = (&self.core.depot, self.noted()) else {
            return;
        };
        let written = async {
            let (_, serial) = self.records().await?;
            if serial == noted.serial {
                return Ok(());
            }
            self.write(depot, Noted { serial, ..noted }).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "how far the records are is not noted in the depot");
        }
    }

    async fn records(&self) -> Flow<(String, u64)> {
        let failed = |error| records_failed("read the state of the records", error);
        let facts = self.core.records.facts().await.map_err(failed)?;
        let Serial(serial) = self.core.records.serial().await.map_err(failed)?;
        Ok((facts.uuid, serial))
    }

    async fn write(&self, depot: &Depot, next: Noted) -> Flow<()> {
        let doing = "note whose the depot is";
        let text =
            serde_json::to_vec_pretty(&next).map_err(|error| Error::internal(doing, error))?;
        let written = depot.write_note(text.into()).await;
        written.map_err(|error| depot_failed(doing, error))?;
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }

    fn noted(&self) -> Option<Noted> {
        let noted = self.noted.lock();
        noted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends to the depot what is only here and needed: what was uploaded before there was a depot, was
    /// restored or imported, or was left by a crash. Returns how many files and sidecars went.
    ///
    /// # Errors
    /// When the records, the disk or the depot fail; the next call goes on.
    pub async fn send_waiting(&self) -> Flow<u64> {
        if self.core.depot.is_none() {
            return Ok(0);
        }
        let waiting = on_store(&self.core, |store| {
            let kept = store.private_contents();
            kept.collect::<Result<Vec<_>, _>>()
        });
        let (mut sent, mut failure) = (0, None);
        for kept in waiting.await? {
            let Some(digest) = kept.key.kept_under() else {
                continue;
            };
            let _held = on_store(&self.core, move |store| store.hold(&digest)).await?;
            if !self.core.is_needed(&digest).await? {
                continue;
            }
            match self.core.deposit(digest).await {
                Ok(()) => sent += 1,
                Err(error) if matches!(error.kind, ErrorKind::Unavailable(_)) => return Err(error),
                // One damaged file does not keep the others back.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(sent), Err)
    }

    /// Removes the objects that no record needs and that are older than the grace.
    ///
    /// # Errors
    /// When the records or the depot fail; what was removed by then is gone.
    pub async fn collect(&self) -> Flow<Removed> {
        let mut removed = Removed::default();
        let Some(depot) = &self.core.depot else {
            return Ok(removed);
        };
        self.compare_records().await?;
        let kept_before = self.noted().and_then(|noted| noted.kept_before);
        let failed = |error| depot_failed("collect what nobody needs", error);
        let needed = self.core.records.referenced().await;
        let needed = needed.map_err(|error| records_failed("ask which bytes are needed", error))?;
        let mut listed = depot.list();
        while let Some(object) = listed.next().await {
            let object: InDepot = object.map_err(failed)?;
            let digest = object.key.kept_under();
            if needed.contains(&digest) {
                continue;
            }
            let since = self.core.clock.now().duration_since(object.modified_at);
            let age = std::time::Duration::try_from(since).unwrap_or_default();
            let is_kept = kept_before.is_some_and(|before| object.modified_at <= before);
            if is_kept || age < depot.grace() {
                removed.held += 1;
            } else {
                self.remove(depot, &object, &mut removed).await?;
            }
        }
        Ok(removed)
    }

    /// Removes one object, unless a record needs it by now: an upload that has written its record since is
    /// seen here, and one that has not holds the digest.
    async fn remove(&self, depot: &Depot, object: &InDepot, removed: &mut Removed) -> Flow<()> {
        let digest = object.key.kept_under();
        let claimed = on_store(&self.core, move |store| store.claim(&digest)).await?;
        let Some(claim) = claimed else {
            removed.held += 1;
            return Ok(());
        };
        if !self.core.is_needed(&digest).await? {
            let gone = depot.remove(object.key).await;
            gone.map_err(|error| depot_failed("collect what nobody needs", error))?;
            let key = local(object.key);
            self.small.forget(&key);
            on_store(&self.core, move |store| store.remove_everywhere(&key)).await?;
            removed.objects += 1;
            removed.bytes += object.size;
        }
        drop(claim);
        Ok(())
    }
}

/// Where the same bytes are kept here.
fn local(key: DepotKey) -> Key {
    let kept: fn(Sha256) -> Key = match key {
        DepotKey::File(_) => Key::PrivateFile,
        DepotKey::Metadata(_) => Key::PrivateMetadata,
    };
    kept(key.kept_under())
}

/// The objects belong to other records, or that cannot be told.
fn strange(depot: &Depot, why: &dyn std::fmt::Display) -> Error {
    let error = DepotError::Unfit {
        place: depot.words().to_owned(),
        why: format!(
            "{why}: name another bucket or prefix, bring back the records that it belongs to, or \
             remove records.json from it if its objects are yours and theirs are gone for good"
        ),
    };
    Error::new(ErrorKind::Internal, error.to_string())
}
