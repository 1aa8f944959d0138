//! A copy of the records as of one instant, made while they may be written, and what it names.
//!
//! `VACUUM INTO` reads in one transaction, which keeps no writer waiting, and leaves one file that is
//! complete on its own. For the same reasons it is the way to bring records to another place: copying
//! the file itself misses what is in the write-ahead log, or catches half of a checkpoint.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::db::error::DbError;
use crate::db::record::Serial;
use crate::db::snapshot::NeededFile;
use crate::db::sql::{Connection, Held, reader, statement};
use crate::db::sqlite::failed;
use crate::db::sqlite::open::BUSY_TIMEOUT;

const DOING: &str = "read what records name";

/// Records opened to be copied or examined: nothing in them is created or migrated, since another
/// version of the program may be using them.
#[derive(Debug)]
pub struct RecordsFile {
    pool: SqlitePool,
}

impl RecordsFile {
    /// Opens the records of a data directory, whether a server is running on it or not.
    ///
    /// # Errors
    /// When there are none, or they cannot be opened.
    pub async fn of_data(path: &Path) -> Result<Self, DbError> {
        // Not `read_only`: such a connection cannot rebuild the WAL's index after a crash.
        Self::open(path, SqliteConnectOptions::new()).await
    }

    /// Opens a copy that nobody writes. No file is created next to it.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub async fn of_copy(path: &Path) -> Result<Self, DbError> {
        Self::open(path, SqliteConnectOptions::new().immutable(true)).await
    }

    async fn open(path: &Path, options: SqliteConnectOptions) -> Result<Self, DbError> {
        let options = options
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options).await;
        let pool = pool.map_err(|error| DbError::Open {
            path: path.display().to_string(),
            cause: error.into(),
        })?;
        Ok(Self { pool })
    }

    /// Writes everything, as of one instant, into a file that does not exist yet.
    ///
    /// # Errors
    /// When the records cannot be read, or the disk fails or is full; part of the file may exist then.
    pub async fn copy_to(&self, path: &Path) -> Result<(), DbError> {
        let doing = "copy the records";
        let Some(path) = path.to_str() else {
            let cause = format!("the path {} is not Unicode", path.display()).into();
            return Err(DbError::Unavailable { doing, cause });
        };
        sqlx::query("VACUUM INTO $1")
            .bind(path)
            .execute(&self.pool)
            .await
            .map_err(failed(doing))?;
        Ok(())
    }

    /// Checks every page and index.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] with SQLite's words when something is damaged.
    pub async fn check(&self) -> Result<(), DbError> {
        let doing = "check the records";
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&self.pool)
            .await
            .map_err(failed(doing))?;
        if found == "ok" {
            return Ok(());
        }
        Err(DbError::Corrupt { doing, what: found })
    }

    /// Which records they are, and up to which write.
    ///
    /// # Errors
    /// When they cannot be read, or are no records of this program.
    pub async fn identity(&self) -> Result<(String, Serial), DbError> {
        let identity = statement(
            "SELECT uuid, (SELECT coalesce(max(serial), 0) FROM changes) AS serial FROM server",
            &[],
        );
        let row = self.connection().await?.row(identity, DOING).await?;
        let row = row.ok_or(DbError::Corrupt {
            doing: DOING,
            what: "no row".to_owned(),
        })?;
        let read = reader(&row, DOING);
        Ok((read.get("uuid")?, Serial(read.number("serial")?)))
    }

    /// Everything whose bytes a record needs, each digest once, in the digests' order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn files(&self) -> Result<Vec<NeededFile>, DbError> {
        let named = statement(
            "SELECT index_name, filename, sha256, size, metadata_sha256 FROM files
             ORDER BY index_name, filename",
            &[],
        );
        let rows = self.connection().await?.rows(named, DOING).await?;
        let files = rows.iter().map(|row| {
            let read = reader(row, DOING);
            let (name, index): (String, String) = (read.get("filename")?, read.get("index_name")?);
            Ok(NeededFile {
                name: format!("{name} of {index}"),
                sha256: read.digest("sha256")?,
                size: read.number("size")?,
                metadata: read.digest_if_any("metadata_sha256")?,
            })
        });
        Ok(NeededFile::once(files.collect::<Result<Vec<_>, _>>()?))
    }

    async fn connection(&self) -> Result<Connection, DbError> {
        let connection = self.pool.acquire().await.map_err(failed(DOING))?;
        Ok(Connection::Sqlite(Held::Plain(connection)))
    }

    /// Ends all use of them.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::change::Cause;
    use crate::db::conformance::{file, now, publication};
    use crate::db::contract::Db as _;
    use crate::db::sqlite::open::Sqlite;

    #[tokio::test]
    async fn a_copy_is_whole_by_itself_and_names_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (
            folder.path().join("records.sqlite"),
            folder.path().join("copy"),
        );
        let db = Sqlite::open(&path, now()).await.unwrap();
        let cause = Cause {
            who: None,
            at: now(),
        };
        let files =
            ["zip", "tar.gz"].map(|ending| file(&format!("hello_pkg-1.0.{ending}"), "same"));
        let one = publication("1.0", files.into());
        db.publish(&cause, &one).await.unwrap();
        let beside = RecordsFile::of_data(&path).await.unwrap();
        beside.copy_to(&copy).await.unwrap();
        // What comes later is not in it.
        let later = publication("2.0", vec![file("hello_pkg-2.0.zip", "2")]);
        db.publish(&cause, &later).await.unwrap();
        let whole = RecordsFile::of_copy(&copy).await.unwrap();
        whole.check().await.unwrap();
        let uuid = db.facts().await.unwrap().uuid;
        assert_eq!(whole.identity().await.unwrap(), (uuid, Serial(1)));
        let files = whole.files().await.unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(files[0].sha256, one.files[0].sha256);
        whole.close().await;
        beside.close().await;
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("copy"))
            .collect();
        names.sort();
        assert_eq!(names, ["copy"]);
        // A server continues from it.
        let next = Sqlite::open(&copy, now()).await.unwrap();
        assert_eq!(next.serial().await.unwrap(), Serial(1));
        assert!(beside_nothing(&copy.with_file_name("none")).await);
    }

    async fn beside_nothing(path: &Path) -> bool {
        RecordsFile::of_data(path).await.is_err() && !path.exists()
    }
}
