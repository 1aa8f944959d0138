//! Whether records and private files belong together, checked before anything is removed because of it.
//!
//! A file that no record needs is garbage only if the records are as new as the files. Records that
//! were lost and started over, or restored from an old copy, know nothing of files that people rely on.
//! So a note next to the files says which records were last seen with them, and up to which serial
//! (`private/records.json`). If the records are different ones, or older, nothing that was there by
//! then is collected, for as long as `quarantine.json` says so: until every one of the files has its
//! record again, or the operator removes that file. Nothing is moved: with the right records all is
//! well.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::db::Serial;
use crate::exchange::{Core, Error, records_failed};
use crate::gateway::needless::{needless, on_store};
use crate::model::Timestamp;
use crate::store::{Kept, Key};

/// Longest of the two files that is read; this program writes them.
const BYTES_MAX: u64 = 64 << 10;

/// What an operator has to know, written to the file that they will find.
const ADVICE: &str = "nothing is lost: stop the server and bring back the records that belong to \
    these files (`cheesecloth restore`, or a copy of records.sqlite), or remove this file to have the \
    files removed that no record needs";

/// What is known of the records and the files of this process's data.
#[derive(Debug)]
pub struct Belonging {
    core: Arc<Core>,
    /// The note next to the files; `None` until it was compared with the records.
    seen: Mutex<Option<Seen>>,
}

/// The records that were last seen with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    uuid: String,
    serial: u64,
}

/// Protects everything that was there at an instant from being collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    since: Timestamp,
    why: String,
    advice: String,
}

impl Quarantine {
    /// Whether a file was there by then. One with a future timestamp may have been.
    pub fn holds(&self, kept: &Kept, now: Timestamp) -> bool {
        kept.modified_at <= self.since || kept.modified_at > now
    }
}

impl Belonging {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            seen: Mutex::default(),
        }
    }

    /// Compares the records with the note next to the files, once in the life of a process.
    ///
    /// # Errors
    /// When records or disk fail; nothing is known then, and nothing may be collected.
    pub async fn compare_records(&self) -> Result<(), Error> {
        if self.seen().is_some() {
            return Ok(());
        }
        // The file first: a process that hands over may write further records and note them meanwhile.
        let seen = on_store(&self.core, |store| {
            store.read_small(&Key::RecordsSeen, BYTES_MAX)
        })
        .await?;
        let seen = seen.and_then(|text| serde_json::from_slice::<Seen>(&text).ok());
        let failed = |error| records_failed("read the state of the records", error);
        let facts = self.core.records.facts().await.map_err(failed)?;
        let serial = self.core.records.serial().await.map_err(failed)?;
        let why = match seen {
            None => self.why_files_are_strange(facts.created).await?,
            Some(seen) if seen.uuid != facts.uuid => Some(format!(
                "the records (uuid {}) are not those that knew the files (uuid {})",
                facts.uuid, seen.uuid
            )),
            Some(seen) if seen.serial > serial.0 => Some(format!(
                "the records end at serial {serial}, and the files have seen serial {}",
                seen.serial
            )),
            Some(_) => None,
        };
        if let Some(why) = why {
            self.begin_quarantine(why).await?;
        }
        let seen = Seen {
            uuid: facts.uuid,
            serial: serial.0,
        };
        self.write_seen(seen).await
    }

    /// Notes next to the files how far the records are: after a write that made files known, and at the
    /// end. A failure is only logged; the files are safe, their note is just less recent.
    pub async fn note_serial(&self) {
        if let Err(error) = self.note().await {
            tracing::warn!(%error, "how far the records are is not noted beside the files");
        }
    }

    async fn note(&self) -> Result<(), Error> {
        let serial = self.core.records.serial().await;
        let failed = |error| records_failed("read the serial of the records", error);
        let Serial(serial) = serial.map_err(failed)?;
        match self.seen() {
            Some(seen) if seen.serial < serial => self.write_seen(Seen { serial, ..seen }).await,
            // Not compared yet: the note is still to be read.
            None | Some(_) => Ok(()),
        }
    }

    fn seen(&self) -> Option<Seen> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write_seen(&self, next: Seen) -> Result<(), Error> {
        let text = written(&next)?;
        on_store(&self.core, move |store| {
            store.put_small(&Key::RecordsSeen, &text)
        })
        .await?;
        let seen = self.seen.lock();
        *seen.unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }

    /// For files without a note: whether they were there before these records were created.
    async fn why_files_are_strange(&self, created: Timestamp) -> Result<Option<String>, Error> {
        let needless = needless(&self.core).await?.into_iter();
        let older = needless.filter(|(_, kept)| kept.modified_at < created);
        let count = older.count();
        Ok((count > 0).then(|| {
            format!("{count} files are older than the records, which were made at {created}")
        }))
    }

    async fn begin_quarantine(&self, why: String) -> Result<(), Error> {
        tracing::error!(
            why,
            "records and private files do not belong together: no private file that is here now is \
             removed. Bring back the records that belong to the files, or remove quarantine.json from \
             the data directory to have those removed that no record needs"
        );
        let quarantine = Quarantine {
            since: self.core.clock.now(),
            why,
            advice: ADVICE.to_owned(),
        };
        let text = written(&quarantine)?;
        on_store(&self.core, move |store| {
            store.put_small(&Key::Quarantine, &text)
        })
        .await
    }

    /// The quarantine in force. The operator may end it at any time by removing its file; an unreadable
    /// one protects everything.
    pub async fn quarantine(&self) -> Result<Option<Quarantine>, Error> {
        let text = on_store(&self.core, |store| {
            store.read_small(&Key::Quarantine, BYTES_MAX)
        })
        .await?;
        let quarantine = text.map(|text| {
            serde_json::from_slice(&text).unwrap_or_else(|error| Quarantine {
                since: Timestamp::MAX,
                why: format!("quarantine.json cannot be read: {error}"),
                advice: ADVICE.to_owned(),
            })
        });
        Ok(quarantine)
    }

    /// Reports what a round has set aside, and ends the quarantine if that is nothing.
    pub async fn set_aside(
        &self,
        quarantine: Option<&Quarantine>,
        files: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        self.core.metrics.private_files_quarantined(files);
        let Some(quarantine) = quarantine else {
            return Ok(());
        };
        if files > 0 {
            tracing::warn!(
                files,
                bytes,
                since = %quarantine.since,
                why = quarantine.why,
                "private files without a record are in quarantine"
            );
            return Ok(());
        }
        on_store(&self.core, |store| store.remove(&Key::Quarantine)).await?;
        tracing::info!("every private file has its record: the quarantine is over");
        Ok(())
    }
}

fn written(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| Error::internal("write down what the files have seen", error))
}
