//! What must be accounted for, as JSON lines under the data directory, each stream rotated by size.
//!
//! Two streams: `audit.jsonl` has logins and every change, and clients that may only read cannot add to it;
//! `refusals.jsonl` has what was refused. Unlike access lines, events of the first stream are never
//! dropped: when the disk is slow, the client that caused the event waits. Each event is written through
//! immediately, so that a crash loses at most those still queued; a clean stop loses none.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use crate::model::AuditLimits;
use crate::telemetry::event::AuditEvent;
use crate::telemetry::label::AuditKind;
use crate::telemetry::line_writer::{LineWriter, Sink};
use crate::telemetry::refusals::Refusals;
use crate::telemetry::rotating::{Rotating, Rotation};

/// Most events that wait for the disk before those who cause more have to wait too.
const QUEUE_MAX: usize = 65_536;

/// The file of changes, below the data directory.
pub const AUDIT_FILE: &str = "audit.jsonl";

/// The file of refusals, next to it.
pub const REFUSALS_FILE: &str = "refusals.jsonl";

/// Whoever is told of each event.
pub type Hearing = Arc<dyn Fn(&AuditEvent) + Send + Sync>;

/// The streams of audit events.
#[derive(Debug)]
pub struct AuditLog {
    changes: LineWriter<AuditEvent>,
    refusals: LineWriter<AuditEvent>,
    failed: IntCounter,
}

impl AuditLog {
    /// Opens or continues the files of a folder. `failed` counts events that could not be written; `hearing`
    /// is told of each event on the thread that writes it, so that no request waits for whoever listens.
    ///
    /// # Errors
    /// When a file cannot be opened for appending, or no thread can be started.
    pub fn open(
        folder: &Path,
        limits: &AuditLimits,
        failed: IntCounter,
        hearing: Option<&Hearing>,
    ) -> io::Result<Self> {
        let rotating =
            |name, size_max, kept| Rotating::open(&folder.join(name), Rotation { size_max, kept });
        let changes = rotating(AUDIT_FILE, limits.changes_file, limits.changes_files)?;
        let refusals = rotating(REFUSALS_FILE, limits.refusals_file, limits.refusals_files)?;
        let (changes, refusals) = (Changes(changes), Refusals::new(refusals));
        let changes = Heard(changes, hearing.cloned());
        let refusals = Heard(refusals, hearing.cloned());
        Ok(Self {
            changes: LineWriter::start("audit log", QUEUE_MAX, changes, failed.clone())?,
            refusals: LineWriter::start("refusals", QUEUE_MAX, refusals, failed.clone())?,
            failed,
        })
    }

    /// Records an event.
    pub fn record(&self, mut event: AuditEvent) {
        event.bound();
        // Being refused costs a client nothing, so nobody waits for a refusal to be written.
        let is_taken = if is_refusal(event.event) {
            self.refusals.offer(event)
        } else {
            self.changes.push(event)
        };
        if !is_taken {
            self.failed.inc();
        }
    }

    /// Waits until every event is written. The doors are closed before.
    pub fn stop(&self) {
        self.changes.stop();
        self.refusals.stop();
    }
}

/// Which stream an event belongs to.
fn is_refusal(kind: AuditKind) -> bool {
    match kind {
        AuditKind::Denied | AuditKind::WouldDeny | AuditKind::LoginFailed => true,
        AuditKind::Login
        | AuditKind::Upload
        | AuditKind::Push
        | AuditKind::Delete
        | AuditKind::User
        | AuditKind::Index
        | AuditKind::Token
        | AuditKind::Import
        | AuditKind::Reload
        | AuditKind::Feed
        | AuditKind::FeedTrouble
        | AuditKind::Recall => false,
    }
}

/// Writes events down, and tells whoever listens.
struct Heard<S>(S, Option<Hearing>);

impl<S: Sink<AuditEvent>> Sink<AuditEvent> for Heard<S> {
    fn write(&mut self, event: &AuditEvent) -> io::Result<()> {
        if let Some(hearing) = &self.1 {
            hearing(event);
        }
        self.0.write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn settles_after(&self) -> Option<Duration> {
        self.0.settles_after()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.0.settle()
    }
}

struct Changes(Rotating);

impl Sink<AuditEvent> for Changes {
    fn write(&mut self, event: &AuditEvent) -> io::Result<()> {
        self.0.write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn event(kind: AuditKind, number: u64) -> AuditEvent {
        let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, kind);
        event.detail = Some(number.to_string().into());
        event
    }

    fn failed() -> IntCounter {
        IntCounter::new("failed", "failed").unwrap()
    }

    fn details(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines
            .map(|line| line["detail"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn a_clean_stop_loses_nothing_and_a_new_start_continues() {
        let folder = tempfile::tempdir().unwrap();
        for start in [0, 5_000] {
            let log =
                AuditLog::open(folder.path(), &AuditLimits::default(), failed(), None).unwrap();
            let record = |number| log.record(event(AuditKind::Upload, number));
            std::thread::scope(|scope| {
                scope.spawn(|| (start..start + 2_500).for_each(record));
                scope.spawn(|| (start + 2_500..start + 5_000).for_each(record));
            });
            log.stop();
        }
        let mut found = details(&folder.path().join(AUDIT_FILE));
        found.sort_unstable();
        assert_eq!(found, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_a_power_cut_has_torn_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind) in [
            (AUDIT_FILE, AuditKind::Upload),
            (REFUSALS_FILE, AuditKind::Denied),
        ] {
            let path = folder.path().join(name);
            for number in 1..=2 {
                let log =
                    AuditLog::open(folder.path(), &AuditLimits::default(), failed(), None).unwrap();
                log.record(event(kind, number));
                log.stop();
                drop(log);
                let whole = std::fs::read(&path).unwrap();
                let torn = [&whole[..], &whole[..whole.len() / 3]].concat();
                std::fs::write(&path, torn).unwrap();
            }
            drop(AuditLog::open(folder.path(), &AuditLimits::default(), failed(), None).unwrap());
            assert_eq!(details(&path), [1, 2], "{name}");
        }
    }

    #[test]
    fn no_number_of_refusals_pushes_out_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let limits = AuditLimits {
            changes_file: 1 << 10,
            changes_files: 1,
            refusals_file: 1 << 10,
            refusals_files: 1,
        };
        let log = AuditLog::open(folder.path(), &limits, failed(), None).unwrap();
        log.record(event(AuditKind::Upload, 1));
        for number in 0..10_000 {
            for kind in [
                AuditKind::Denied,
                AuditKind::WouldDeny,
                AuditKind::LoginFailed,
            ] {
                log.record(event(kind, number));
            }
        }
        log.record(event(AuditKind::Login, 2));
        log.stop();
        assert_eq!(details(&folder.path().join(AUDIT_FILE)), [1, 2]);
        assert!(folder.path().join("refusals.jsonl.1").exists());
    }

    #[test]
    fn an_event_that_cannot_be_written_is_counted() {
        let failed = failed();
        let folder = tempfile::tempdir().unwrap();
        let log =
            AuditLog::open(folder.path(), &AuditLimits::default(), failed.clone(), None).unwrap();
        log.stop();
        log.record(event(AuditKind::Login, 1));
        log.record(event(AuditKind::Denied, 1));
        assert_eq!(failed.get(), 2);
    }
}
