//! The journal of a running server: nothing is lost silently, and nothing is held up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use crate::journal::error::JournalError;
use crate::journal::keeper::Journal;
use crate::journal::laws::support::{all, file, noon, note, page, rules};
use crate::journal::open::{JOURNAL_FILE, JournalRules, open_to_write};
use crate::journal::read::JournalReader;
use crate::telemetry::Metrics;

async fn journal(path: &Path, rules: JournalRules) -> (Journal, Metrics) {
    let metrics = Metrics::register(Registry::new(), "0").unwrap();
    let clock = Arc::new(|| noon(0));
    let journal = Journal::start(path.to_owned(), rules, clock, metrics.journal()).await;
    (journal, metrics)
}

fn metric(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render().unwrap();
    let begin = format!("cheesecloth_journal_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clean_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut rules = rules();
    rules.limits.journal_batch = Duration::from_secs(3_600);
    let (journal, metrics) = journal(&path, rules).await;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..500 {
                    let name = format!("six-{thread}.{number}.zip");
                    note(journal, file(noon(number), "192.0.2.1", &name));
                    note(journal, page(noon(number), "192.0.2.1", "six"));
                }
            });
        }
    });
    journal.stop().await;
    let rows = all(&path).await;
    let files: u64 = rows
        .iter()
        .filter(|row| row.item.file.is_some())
        .map(|row| row.times)
        .sum();
    let pages: u64 = rows
        .iter()
        .filter(|row| row.item.file.is_none())
        .map(|row| row.times)
        .sum();
    assert_eq!((files, pages), (2_000, 2_000));
    assert_eq!(
        (
            metric(&metrics, "rows_total"),
            metric(&metrics, "rows_lost_total")
        ),
        (2_001, 0)
    );
    note(&journal, page(noon(0), "192.0.2.1", "late"));
    assert_eq!(metric(&metrics, "rows_lost_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_written_waits_and_then_is_lost_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet").join(JOURNAL_FILE);
    let mut rules = rules();
    rules.limits.journal_waiting = 100;
    rules.is_required = true;
    let (journal, metrics) = journal(&path, rules).await;
    assert!(
        journal
            .refusal()
            .is_some_and(|words| words.contains("journal"))
    );
    assert_eq!(metric(&metrics, "writable"), 0);
    let noted = 1_000;
    for number in 0..noted {
        note(
            &journal,
            file(noon(number), "192.0.2.1", &format!("six-{number}.zip")),
        );
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    while journal.refusal().is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    journal.stop().await;
    let (written, lost) = (
        metric(&metrics, "rows_total"),
        metric(&metrics, "rows_lost_total"),
    );
    assert_eq!(all(&path).await.len() as u64, written);
    assert_eq!(written + lost, noted.unsigned_abs());
    assert!(written >= 100 && lost > 0, "{written} written, {lost} lost");
    assert!(metric(&metrics, "failures_total") > 0);
    assert_eq!(metric(&metrics, "writable"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let garbage = "this is not a database, it only stands where one should be".repeat(100);
    std::fs::write(&path, &garbage).unwrap();
    let (journal, metrics) = journal(&path, rules()).await;
    note(&journal, page(noon(0), "192.0.2.1", "six"));
    journal.stop().await;
    assert_eq!(all(&path).await.len(), 1);
    assert_eq!(metric(&metrics, "set_aside_total"), 1);
    assert_eq!(metric(&metrics, "writable"), 1);
    let aside = folder
        .path()
        .join(format!("{JOURNAL_FILE}.damaged-{}", noon(0).as_second()));
    assert_eq!(std::fs::read_to_string(aside).unwrap(), garbage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_taken_away_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let (journal, metrics) = journal(&path, rules()).await;
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    note(&journal, page(noon(0), "192.0.2.1", "six"));
    while metric(&metrics, "rows_total") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    journal.stop().await;
    assert_eq!(all(&path).await.len(), 1);
}

#[tokio::test]
async fn a_newer_programs_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JOURNAL_FILE);
    let mut connection = open_to_write(&path).await.unwrap();
    sqlx::query("PRAGMA user_version = 999")
        .execute(&mut connection)
        .await
        .unwrap();
    let (journal, metrics) = journal(&path, rules()).await;
    journal.stop().await;
    assert_eq!(metric(&metrics, "set_aside_total"), 0);
    let error = JournalReader::open(&path).await.unwrap_err();
    assert!(
        matches!(error, JournalError::Newer { version: 999, .. }),
        "{error}"
    );
}
