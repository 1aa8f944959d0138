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
use crate::db::sqlite::open::Sqlite;
use crate::model::ProjectName;

const NAME: &str = "records.sqlite";

async fn open() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&folder.path().join(NAME), now())
        .await
        .unwrap();
    (folder, db)
}

mod suite {
    use super::*;

    conformance! { open:
        a_new_database_is_empty_and_knows_who_it_is,
        a_user_reads_back_as_created,
        a_name_is_taken_once,
        an_update_changes_what_it_names_and_nothing_else,
        a_generation_is_never_used_again,
        a_newer_hash_of_the_same_password_ends_no_login,
        a_user_goes_with_its_volatile_indexes_and_their_content,
        a_user_with_a_non_volatile_index_stays_whole,
        an_index_reads_back_as_created_and_changed,
        of_two_changes_made_from_one_revision_the_second_is_told,
        an_index_needs_its_user,
        the_change_log_tells_who_did_what,
        a_file_reads_back_as_published,
        a_registered_project_is_held_without_files,
        metadata_is_laid_over_what_was_known,
        the_same_file_again_changes_nothing,
        other_content_is_refused_and_nothing_of_the_push_stays,
        a_push_adds_what_is_missing,
        an_overwritten_file_is_gone_and_its_successor_says_so,
        a_file_that_moves_to_another_version_leaves_no_empty_release,
        spellings_of_one_version_are_one_release,
        a_test_result_needs_its_release_file,
        the_last_file_takes_its_release_and_that_the_project,
        the_last_release_takes_the_project,
        a_deleted_project_leaves_other_indexes_and_projects_alone,
        a_file_uploaded_again_was_not_deleted,
        every_byte_a_record_needs_is_referenced,
        uploads_of_one_name_at_the_same_time_have_one_winner,
        what_is_restored_reads_back_and_once_is_enough,
        one_differing_file_keeps_everything_out,
        a_rehearsal_tells_and_changes_nothing,
        what_is_there_stays_and_is_named,
        an_index_is_not_restored_without_its_user,
        a_token_reads_back_as_kept,
        a_token_needs_its_user_and_goes_with_it,
        a_withdrawn_token_is_gone,
        the_latest_use_of_a_token_is_kept,
        a_recall_reads_back_as_made,
        the_same_is_recalled_once,
        a_withdrawn_recall_is_gone_and_its_number_not_used_again,
        what_changed_leads_from_what_was_to_what_is,
        a_project_that_did_not_change_is_not_read_again,
        what_may_have_changed_every_project_has_all_read_again,
        after_many_changes_all_is_read_again,
        a_file_and_a_release_are_found_by_their_names,
    }
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
    let mut writing = db.write("be killed in the middle").await.unwrap();
    sqlx::query("INSERT INTO projects VALUES ('packages/stable', 'half', 'Half')")
        .execute(writing.on())
        .await
        .unwrap();
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
        let mut writing = db.write("be dropped").await.unwrap();
        sqlx::query("INSERT INTO projects VALUES ('packages/stable', 'half', 'Half')")
            .execute(writing.on())
            .await
            .unwrap();
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
