//! What is recorded about a file that comes to a stage.

use bytes::Bytes;

use crate::db::{FileFacts, FileRole, LogEntry, LogEvent};
use crate::devpi::Refusal;
use crate::model::{IndexName, Sha256, Timestamp, Yanked};
use crate::store::{Draft, Hold, Key};
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;

impl Writer {
    /// Keeps the bytes of a draft that is uploaded to an index; returns what to record about them, and
    /// the hold that keeps them from being collected until then.
    pub async fn keep_uploaded(
        &self,
        (caller, index): (&Caller, &IndexName),
        (draft, digest): (Draft, Sha256),
        (filename, role): (&str, FileRole),
    ) -> Result<(FileFacts, Hold), Refusal> {
        let hold = self.hold(digest).await?;
        let stored = draft.finish(Key::PrivateFile).await?;
        let now = self.now();
        let arrival = (caller, now);
        let mut facts = plain_facts(filename, role, stored.sha256, stored.size, arrival);
        let dst = index.clone();
        facts.log = vec![log_entry(caller, now, LogEvent::Upload { dst })];
        Ok((facts, hold))
    }

    /// The same for bytes that are in memory; `what` they are is for messages.
    pub async fn keep_bytes(
        &self,
        place: (&Caller, &IndexName),
        (what, bytes): (&str, Bytes),
        file: (&str, FileRole),
    ) -> Result<(FileFacts, Hold), Refusal> {
        let (digest, length) = (Sha256::of(&bytes), bytes.len() as u64);
        let mut draft = self.flows.core.store.upload_draft(what, length)?;
        draft.write(bytes).await?;
        self.keep_uploaded(place, (draft, digest), file).await
    }
}

/// The facts of a file without anything special; the caller writes its log.
pub fn plain_facts(
    filename: &str,
    role: FileRole,
    sha256: Sha256,
    size: u64,
    arrival: (&Caller, Timestamp),
) -> FileFacts {
    let (caller, now) = arrival;
    FileFacts {
        filename: filename.to_owned(),
        role,
        sha256,
        size,
        md5: None,
        blake2b_256: None,
        uploaded_at: now,
        uploader: caller.principal.name().map(str::to_owned),
        requires_python: None,
        metadata_sha256: None,
        yanked: Yanked::No,
        log: Vec::new(),
    }
}

/// A line of a file's log.
pub fn log_entry(caller: &Caller, now: Timestamp, event: LogEvent) -> LogEntry {
    LogEntry {
        who: caller.principal.name().map(str::to_owned),
        when: now,
        event,
    }
}
