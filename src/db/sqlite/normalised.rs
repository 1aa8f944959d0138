//! Fills in how versions are spelled when they are normalised, of releases that an earlier program
//! recorded. Nothing is left to do when the file is opened again.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use crate::model::Version;

/// Rows that are read at one time.
const ROWS: i64 = 1_000;

pub(super) async fn fill_in(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut writing = writer.begin_with("BEGIN IMMEDIATE").await?;
    loop {
        let found = sqlx::query(
            "SELECT rowid, version FROM releases WHERE normalised IS NULL ORDER BY version LIMIT $1",
        );
        let found = found.bind(ROWS).fetch_all(&mut *writing).await?;
        if found.is_empty() {
            return writing.commit().await;
        }
        for row in found {
            let (at, version): (i64, String) = (row.try_get("rowid")?, row.try_get("version")?);
            sqlx::query("UPDATE releases SET normalised = $2 WHERE rowid = $1")
                .bind(at)
                .bind(Version::parse(&version).normalised())
                .execute(&mut *writing)
                .await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::db::conformance::{index, now, publication};
    use crate::db::contract::Db as _;
    use crate::db::sqlite::open::Sqlite;
    use crate::model::ProjectName;

    #[tokio::test]
    async fn releases_that_an_earlier_program_recorded_are_found_in_every_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let db = Sqlite::open(&path, now()).await.unwrap();
        let cause = crate::db::change::Cause {
            who: None,
            at: now(),
        };
        for number in 0..2_500 {
            let publication = publication(&format!("1.0.{number}-rc1"), Vec::new());
            if number % 500 == 0 {
                db.publish(&cause, &publication).await.unwrap();
            }
        }
        // As they are before the column is filled in.
        let emptied = sqlx::query("UPDATE releases SET normalised = NULL");
        emptied.execute(&db.writer).await.unwrap();
        db.close().await;
        let db = Sqlite::open(&path, now()).await.unwrap();
        let (stable, project) = (
            index("packages/stable"),
            ProjectName::parse("hello-pkg").unwrap(),
        );
        for number in (0..2_500).step_by(500) {
            let asked = format!("v1.0.{number}RC1");
            let found = db
                .release(&stable, &project, &asked)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(found.record.version, format!("1.0.{number}-rc1"));
        }
        assert!(!db.has_release(&stable, &project, "1.0").await.unwrap());
    }
}
