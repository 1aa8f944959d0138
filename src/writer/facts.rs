//! What is recorded of a file that comes to a stage.

use crate::db::{FileFacts, FileRole, LogEntry, LogEvent};
use crate::model::{Sha256, Timestamp, Yanked};
use crate::writer::caller::Caller;

/// The facts of a file of which nothing special is known; its log is for the caller to write.
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
