//! What must be accounted for: refusals, uploads, logins, changes, as JSON lines under the data
//! directory, rotated by size.
//!
//! Unlike an access line an event is never left out: when the disk is slow, who caused the event
//! waits. Each event is written through at once, so that a crash loses at most those still queued; a
//! clean stop loses none.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus::IntCounter;
use serde::{Serialize, Serializer};

use super::label::{AuditKind, Label};
use super::line_writer::{LineWriter, Sink};
use crate::model::IndexName;
use crate::model::ProjectName;
use crate::model::Timestamp;

/// Most events that wait for the disk before who causes more has to wait too.
const QUEUE_MAX: usize = 65_536;

/// One event. What does not apply is left out of the line.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(serialize_with = "as_label")]
    pub event: AuditKind,
    /// The request that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Who, where somebody is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The index.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub index: Option<IndexName>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub project: Option<ProjectName>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// The rule that decided, as `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
    /// The rest, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
}

impl AuditEvent {
    /// An event of which only time and kind are known yet.
    #[must_use]
    pub fn new(time: Timestamp, event: AuditKind) -> Self {
        Self {
            time,
            event,
            request_id: None,
            client: None,
            user: None,
            index: None,
            project: None,
            file: None,
            rule: None,
            detail: None,
        }
    }
}

fn as_label<S: Serializer>(label: &impl Label, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(label.label())
}

fn as_text<S: Serializer>(
    value: &Option<impl std::fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// When a file is full and how many full ones are kept.
#[derive(Debug, Clone, Copy)]
pub struct AuditLimits {
    /// Bytes after which a new file is begun.
    pub size_max: u64,
    /// Full files kept: `audit.jsonl.1` is the youngest.
    pub kept: u32,
}

impl Default for AuditLimits {
    /// A quarter of a million events per file, a gibibyte in all.
    fn default() -> Self {
        Self {
            size_max: 64 << 20,
            kept: 15,
        }
    }
}

/// The stream of audit events.
#[derive(Debug)]
pub struct AuditLog {
    writer: LineWriter<AuditEvent>,
    failed: IntCounter,
}

impl AuditLog {
    /// Opens or continues the file. `failed` counts events that could not be written.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub fn open(path: &Path, limits: AuditLimits, failed: IntCounter) -> io::Result<Self> {
        let file = append_to(path)?;
        let sink = Rotating {
            path: path.to_owned(),
            file,
            limits,
        };
        let writer = LineWriter::start("audit log", QUEUE_MAX, sink, failed.clone())?;
        Ok(Self { writer, failed })
    }

    /// Records an event.
    pub fn record(&self, event: AuditEvent) {
        if !self.writer.push(event) {
            self.failed.inc();
        }
    }

    /// Waits until every event is written. Doors are closed before.
    pub fn stop(&self) {
        self.writer.stop();
    }
}

struct Rotating {
    path: PathBuf,
    file: File,
    limits: AuditLimits,
}

impl Sink<AuditEvent> for Rotating {
    fn write(&mut self, event: &AuditEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        // Asked of the file, not counted: during an upgrade two processes append to it.
        let length = self.file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.limits.size_max {
            self.rotate()?;
        }
        self.file.write_all(&line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Rotating {
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.limits.kept).rev() {
            let older = self.numbered(number + 1);
            match std::fs::rename(self.numbered(number), older) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))?;
        self.file = append_to(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Readable by the operator only: events name clients and users.
fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> AuditEvent {
        let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, AuditKind::Denied);
        event.project = Some(ProjectName::parse("six").unwrap());
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
    fn an_event_says_only_what_applies() {
        let text = serde_json::to_string(&event(7)).unwrap();
        insta::assert_snapshot!(text, @r#"{"time":"1970-01-01T00:00:00Z","event":"denied","project":"six","detail":"7"}"#);
    }

    #[test]
    fn a_clean_stop_loses_nothing_and_a_new_start_continues() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for start in [0, 5_000] {
            let log = AuditLog::open(&path, AuditLimits::default(), failed()).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| (start..start + 2_500).for_each(|number| log.record(event(number))));
                scope.spawn(|| {
                    (start + 2_500..start + 5_000).for_each(|number| log.record(event(number)))
                });
            });
            log.stop();
        }
        let mut found = details(&path);
        found.sort_unstable();
        assert_eq!(found, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let line = serde_json::to_vec(&event(0)).unwrap().len() as u64 + 1;
        let limits = AuditLimits {
            size_max: 2 * line,
            kept: 2,
        };
        let log = AuditLog::open(&path, limits, failed()).unwrap();
        (0..9).for_each(|number| log.record(event(number)));
        log.stop();
        assert_eq!(details(&path), [8]);
        assert_eq!(details(&folder.path().join("audit.jsonl.1")), [6, 7]);
        assert_eq!(details(&folder.path().join("audit.jsonl.2")), [4, 5]);
        assert!(!folder.path().join("audit.jsonl.3").exists());
    }

    #[test]
    fn an_event_that_cannot_be_written_is_counted() {
        let failed = failed();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path, AuditLimits::default(), failed.clone()).unwrap();
        log.stop();
        log.record(event(1));
        assert_eq!(failed.get(), 1);
    }
}
