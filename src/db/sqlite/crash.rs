//! SQLite against the conformance suite, and against being killed at any moment.
//!
//! A killed process leaves the files as they are; a power cut may also leave a torn tail of the
//! write-ahead log. Both are simulated by copying the files at a bad moment and opening the copy.

use std::path::Path;

use tempfile::TempDir;

use crate::db::change::{Cause, Published};
use crate::db::conformance::{conformance, file, index, now, publication};
use crate::db::contract::Db;
use crate::db::record::Serial;
use crate::db::sql::{Engine as _, statement};
use crate::db::sqlite::open::Sqlite;
use crate::model::ProjectName;

const NAME: &str = "records.sqlite";

const HALF: &str = "INSERT INTO projects VALUES ('packages/stable', 'half', 'Half')";

async fn open() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&folder.path().join(NAME), now())
        .await
        .unwrap();
    (folder, db)
}

mod suite {
    use super::*;

    conformance!(open);
}

fn cause() -> Cause {
    Cause {
        who: None,
        at: now(),
    }
}

/// What a killed process leaves, with the write-ahead log cut to a length.
fn left_behind(folder: &Path, log_bytes: Option<usize>) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join(NAME), copy.path().join(NAME)).unwrap();
    let log = format!("{NAME}-wal");
    let mut bytes = std::fs::read(folder.join(&log)).unwrap();
    bytes.truncate(log_bytes.unwrap_or(bytes.len()));
    std::fs::write(copy.path().join(log), bytes).unwrap();
    copy
}

async fn reopened(copy: &TempDir) -> Sqlite {
    let db = Sqlite::open(&copy.path().join(NAME), now()).await.unwrap();
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&db.readers)
        .await
        .unwrap();
    assert_eq!(sound, "ok");
    db
}

#[tokio::test]
async fn a_write_that_was_answered_survives_and_one_that_was_not_leaves_nothing() {
    let (folder, db) = open().await;
    db.publish(
        &cause(),
        &publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]),
    )
    .await
    .unwrap();
    let mut writing = db.begin_writing("be killed in the middle").await.unwrap();
    let half = statement(HALF, &[]);
    writing.run(half, "write half").await.unwrap();
    let copy = left_behind(folder.path(), None);
    let after = reopened(&copy).await;
    let names = after.projects(&index("packages/stable")).await.unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(after.serial().await.unwrap(), Serial(1));
    let next = publication("2.0", vec![file("hello_pkg-2.0.zip", "2")]);
    let published = after.publish(&cause(), &next).await.unwrap();
    assert!(
        matches!(
            published,
            Published::Done {
                serial: Serial(2),
                ..
            }
        ),
        "{published:?}"
    );
}

#[tokio::test]
async fn a_dropped_write_is_rolled_back_and_the_next_one_goes_on() {
    let (_folder, db) = open().await;
    {
        let mut writing = db.begin_writing("be dropped").await.unwrap();
        let half = statement(HALF, &[]);
        writing.run(half, "write half").await.unwrap();
    }
    db.publish(&cause(), &publication("1.0", vec![]))
        .await
        .unwrap();
    assert_eq!(
        db.projects(&index("packages/stable")).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn however_the_log_is_torn_each_push_is_whole_or_absent() {
    let (folder, db) = open().await;
    let versions = ["1.0", "2.0", "3.0"];
    for version in versions {
        let files = ["zip", "tar.gz"].map(|ending| {
            let filename = format!("hello_pkg-{version}.{ending}");
            file(&filename, &filename)
        });
        db.publish(&cause(), &publication(version, files.into()))
            .await
            .unwrap();
    }
    let log = std::fs::metadata(folder.path().join(format!("{NAME}-wal"))).unwrap();
    let length = usize::try_from(log.len()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=24).map(|part| length * part / 24) {
        let copy = left_behind(folder.path(), Some(cut));
        let after = reopened(&copy).await;
        let hello = ProjectName::parse("hello-pkg").unwrap();
        let record = after
            .project(&index("packages/stable"), &hello)
            .await
            .unwrap();
        let (releases, files) =
            record.map_or((0, 0), |record| (record.releases.len(), record.files.len()));
        let serial = after.serial().await.unwrap();
        assert_eq!(
            (files, serial.0),
            (2 * releases, releases as u64),
            "cut at {cut} of {length}"
        );
        seen.insert(releases);
    }
    assert!(
        seen.len() > 2 && seen.contains(&3),
        "the cuts met too few states: {seen:?}"
    );
}
