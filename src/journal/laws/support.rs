//! Entries to write, and rows to compare.

use std::path::Path;
use std::time::Duration;

use crate::journal::entry::{
    JournalAnswer, JournalDecision, JournalEntry, JournalledFile, Repeated,
};
use crate::journal::keeper::Journal;
use crate::journal::ledger::Ledger;
use crate::journal::open::JournalRules;
use crate::journal::read::JournalReader;
use crate::journal::row::{JournalRow, JournalSubject};
use crate::model::{IndexName, JournalLimits, ProjectName, Sha256, Timestamp};

const NOON: &str = "2026-11-30T12:00:00Z";

pub(super) fn rules() -> JournalRules {
    JournalRules {
        keep: Duration::from_hours(24 * 90),
        disk: 2 << 30,
        has_clients: true,
        is_required: false,
        limits: JournalLimits {
            journal_batch: Duration::from_millis(1),
            journal_retry: Duration::from_millis(1),
            ..JournalLimits::default()
        },
    }
}

/// So many microseconds after noon.
pub(super) fn noon(after: i64) -> Timestamp {
    let noon: Timestamp = NOON.parse().unwrap();
    Timestamp::from_microsecond(noon.as_microsecond() + after).unwrap()
}

pub(super) fn page(at: Timestamp, client: &str, project: &str) -> JournalEntry {
    JournalEntry {
        at,
        client: Some(client.parse().unwrap()),
        user: None,
        token: None,
        index: IndexName::parse("root/pypi").unwrap(),
        project: Some(ProjectName::parse(project).unwrap()),
        file: None,
        decision: JournalDecision::Allow,
        rule: None,
    }
}

pub(super) fn file(at: Timestamp, client: &str, name: &str) -> JournalEntry {
    JournalEntry {
        project: None,
        file: Some(JournalledFile {
            name: name.into(),
            sha256: Some(Sha256::of(name.as_bytes())),
        }),
        ..page(at, client, "unused")
    }
}

pub(super) fn denied(entry: JournalEntry) -> JournalEntry {
    JournalEntry {
        decision: JournalDecision::Deny,
        rule: Some("web/cool-down".into()),
        ..entry
    }
}

/// Notes what a door would have noted.
pub(super) fn note(journal: &Journal, entry: JournalEntry) {
    let file = entry.file.as_ref();
    journal.note(&JournalAnswer {
        at: entry.at,
        client: entry.client,
        user: entry.user.as_ref(),
        token: entry.token.as_ref(),
        index: &entry.index,
        project: entry.project.as_ref(),
        file: file.map(|file| &file.name),
        sha256: file.and_then(|file| file.sha256.as_ref()),
        decision: entry.decision,
        rule: entry.rule.as_ref(),
    });
}

pub(super) async fn write(
    ledger: &mut Ledger,
    entries: &[JournalEntry],
    rules: &JournalRules,
) -> u64 {
    let repeated = |entry: &JournalEntry| Repeated {
        entry: entry.clone(),
        times: 1,
    };
    let mut batch: Vec<Repeated> = entries.iter().map(repeated).collect();
    ledger.append(&mut batch, rules).await.unwrap()
}

pub(super) async fn told(path: &Path, of: &JournalSubject, since: Timestamp) -> Vec<JournalRow> {
    let mut reader = JournalReader::open(path).await.unwrap().unwrap();
    let mut rows = reader.rows(of, since).await.unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().await.unwrap() {
        all.push(row);
    }
    reader.close().await;
    all
}

pub(super) async fn all(path: &Path) -> Vec<JournalRow> {
    told(path, &JournalSubject::All, Timestamp::MIN).await
}
