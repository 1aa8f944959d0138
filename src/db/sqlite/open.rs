//! Opening the file: how durable, how concurrent, and the migrations that bring it up to date.
//!
//! * **WAL**: readers never wait for the writer, nor it for them, and `export` or `explain` may read
//!   beside a running server.
//! * **`synchronous = FULL`**: in WAL mode `NORMAL` would survive a killed process but may lose the last
//!   commits when the power fails. An upload that was answered 200 is announced in a release note a
//!   second later; one fsync for each upload is a small price.
//! * **One connection that writes**: SQLite has one write lock anyway. Waiting for a connection is
//!   first come, first served and costs nothing; waiting for the lock is polling with a time-out.
//! * **A connection comes back clean or not at all**: after some errors (a full disk, a disk that fails)
//!   SQLite rolls back by itself. The driver's own `ROLLBACK` then fails, and the driver believes that
//!   the connection is still inside a transaction: the writing connection would refuse every later
//!   write, and a reading one would show the same instant forever. Such a connection is closed.
//! * **`BEGIN IMMEDIATE`** (in `waiting`): a transaction that read first and then wants to write could
//!   fail half-way with "locked"; one that takes the write lock immediately cannot.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, SqlSafeStr};

use crate::db::error::DbError;
use crate::db::sql::{Health, Waits, new_facts};
use crate::db::sqlite::{failed, normalised};
use crate::model::Timestamp;

/// Connections that read: more would only compete for the processor.
const READERS: u32 = 4;

/// How long a statement waits for a lock that another process holds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for a connection before it is told to come back later.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long current users of the records may delay closing them.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Every step from nothing to the present schema. A step that has been released is never edited.
const SCHEMA: [(i64, &str, &str); 4] = [
    (1, "records", include_str!("schema/0001_records.sql")),
    (2, "by key", include_str!("schema/0002_by_key.sql")),
    (3, "recalls", include_str!("schema/0003_recalls.sql")),
    (4, "holdings", include_str!("schema/0004_holdings.sql")),
];

/// The records in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) writer: SqlitePool,
    pub(in crate::db) readers: SqlitePool,
    pub(super) health: Health,
    pub(super) waits: Waits,
    path: PathBuf,
    /// Device and number of the file that was opened.
    place: (u64, u64),
}

impl Sqlite {
    /// Opens the file at `path`, creating and migrating it if needed.
    ///
    /// # Errors
    /// [`DbError::Open`] when the folder is missing or not writable, the file is not a database, or a
    /// newer program wrote it.
    pub async fn open(path: &Path, now: Timestamp) -> Result<Self, DbError> {
        let unopened = |cause: Box<dyn std::error::Error + Send + Sync>| DbError::Open {
            path: path.display().to_string(),
            cause,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = pool_options();
        let one = pool.clone().max_connections(1).min_connections(1);
        let writer = one
            .connect_with(options.clone())
            .await
            .map_err(|error| unopened(error.into()))?;
        migrator()
            .run(&writer)
            .await
            .map_err(|error| unopened(error.into()))?;
        normalised::fill_in(&writer)
            .await
            .map_err(|error| unopened(error.into()))?;
        // Created only once: a connection that is opened later and finds no file must not put an empty
        // one next to the write-ahead log of the original.
        let options = options.create_if_missing(false);
        writer.set_connect_options(options.clone());
        // All of them from the start, whatever happens to the writer: opening one on a full disk may
        // need room for the WAL's index, which goes with the last connection.
        let several = pool.max_connections(READERS).min_connections(READERS);
        // Not `read_only`: such a connection cannot rebuild the WAL's index after a crash.
        let readers = several
            .connect_with(options.pragma("query_only", "1"))
            .await
            .map_err(|error| unopened(error.into()))?;
        let opened = Self {
            writer,
            readers,
            health: Health::default(),
            waits: Waits::default(),
            path: path.to_owned(),
            place: place_of(path).map_err(|error| unopened(error.into()))?,
        };
        opened.settle_facts(now).await?;
        Ok(opened)
    }

    /// Makes the facts of a new database; changes nothing in one that has them.
    async fn settle_facts(&self, now: Timestamp) -> Result<(), DbError> {
        let doing = "settle the server's uuid and secret";
        let (uuid, secret) = new_facts(doing)?;
        sqlx::query(
            "INSERT INTO server (only, uuid, secret, created) VALUES (1, $1, $2, $3)
             ON CONFLICT (only) DO NOTHING",
        )
        .bind(uuid)
        .bind(secret)
        .bind(now.as_microsecond())
        .execute(&self.writer)
        .await
        .map_err(failed(doing))?;
        Ok(())
    }

    /// Refuses to write into a file that nobody will find again: one that was removed, or replaced,
    /// while it was open. SQLite itself does not check.
    pub(super) fn check_place(&self, doing: &'static str) -> Result<(), DbError> {
        let unavailable = |cause| DbError::Unavailable { doing, cause };
        let path = self.path.display();
        match place_of(&self.path) {
            Ok(place) if place == self.place => Ok(()),
            Ok(_) => Err(unavailable(
                format!("another file stands at {path} than was opened: stop the server first")
                    .into(),
            )),
            Err(error) => Err(unavailable(format!("{path} is gone: {error}").into())),
        }
    }

    /// Closes every connection; what was written is then in the file itself.
    ///
    /// The last connection to close would do that by itself, but a command that reads beside a server
    /// may have others. A query still under way keeps its connection only for so long.
    pub async fn close(&self) {
        let closing = async {
            self.readers.close().await;
            let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&self.writer)
                .await;
            if let Err(error) = moved
                && !self.writer.is_closed()
            {
                tracing::warn!(%error, "the records end in their write-ahead log");
            }
            self.writer.close().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
            tracing::warn!("records that are still in use are not closed");
        }
    }
}

fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not hang up: there is no point in reconnecting now and then.
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| {
            Box::pin(async move {
                // The driver rolls back what was dropped in passing; after this it has.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

fn place_of(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn migrator() -> Migrator {
    let steps = SCHEMA.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(steps.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::contract::Db as _;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[tokio::test]
    async fn uuid_and_secret_survive_a_restart_and_differ_between_servers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let first = Sqlite::open(&path, now()).await.unwrap();
        let facts = first.facts().await.unwrap();
        assert_eq!(facts.uuid.len(), 32);
        first.close().await;
        let again = Sqlite::open(&path, now() + Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(again.facts().await.unwrap(), facts);
        let other = Sqlite::open(&folder.path().join("other"), now())
            .await
            .unwrap();
        let other = other.facts().await.unwrap();
        assert!(other.uuid != facts.uuid && other.secret != facts.secret);
    }

    #[tokio::test]
    async fn the_file_is_opened_as_durable_as_promised() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("records.sqlite"), now())
            .await
            .unwrap();
        for pool in [&db.writer, &db.readers] {
            for (pragma, expected) in [("synchronous", "2"), ("foreign_keys", "1")] {
                let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
                let value: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
                assert_eq!(value.to_string(), expected, "{pragma}");
            }
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
                .fetch_one(pool)
                .await
                .unwrap();
            assert_eq!(mode, "wal");
        }
        let write = sqlx::query("DELETE FROM server").execute(&db.readers).await;
        assert!(write.is_err(), "a reader could write");
    }

    #[tokio::test]
    async fn a_connection_on_which_sqlite_rolled_back_by_itself_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("records.sqlite"), now())
            .await
            .unwrap();
        for pool in [&db.writer, &db.readers] {
            for _ in 0..2 * READERS {
                let mut begun = pool.begin_with("BEGIN").await.unwrap();
                // As SQLite does it on a full disk: the driver does not notice.
                let rolled_back = sqlx::query("ROLLBACK").execute(&mut *begun).await;
                rolled_back.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_says_which_file_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/records.sqlite");
        let garbage = folder.path().join("garbage");
        std::fs::write(
            &garbage,
            "this is not a database, it only stands where one should be",
        )
        .unwrap();
        let newer = folder.path().join("newer");
        let db = Sqlite::open(&newer, now()).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999, 'tomorrow', 1, X'00', 0)",
        )
        .execute(&db.writer)
        .await
        .unwrap();
        db.close().await;
        for path in [missing, garbage, newer] {
            let error = Sqlite::open(&path, now()).await.unwrap_err();
            let named = matches!(&error, DbError::Open { path: named, .. } if *named == path.display().to_string());
            assert!(named, "{error:?}");
        }
    }
}
