//! All connections are obtained here, so that every wait for one is counted and timed.
//!
//! A free one is used as it is: a file does not hang up, so there is no need to check it first.

use async_trait::async_trait;
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::Sqlite as Driver;

use crate::db::error::DbError;
use crate::db::sql::{Connection, Engine, Health, Held, Own, Waits, begun, connection};
use crate::db::sqlite::failed;
use crate::db::sqlite::open::Sqlite;
use crate::telemetry::Metrics;

impl Sqlite {
    /// Has the waits for connections counted from now on.
    pub fn meter(&mut self, metrics: &Metrics) {
        self.waits = Waits::counted_in(metrics);
    }
}

/// `changes` and `recalls` have AUTOINCREMENT, whose last numbers are in a table of SQLite's.
const OWN: Own = Own {
    note: "INSERT INTO changes (at, who, what, index_name, project, detail)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING serial",
    set_serial: &[],
    last_recall: "SELECT coalesce(max(seq), 0) AS n FROM sqlite_sequence WHERE name = 'recalls'",
    set_last_recall: &[
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'recalls', $1
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'recalls')",
        "UPDATE sqlite_sequence SET seq = $1 WHERE name = 'recalls'",
    ],
};

#[async_trait]
impl Engine for Sqlite {
    async fn to_read(&self, doing: &'static str) -> Result<Connection, DbError> {
        let connection = connection(&self.readers, &self.waits.read).await;
        Ok(plain(connection.map_err(failed(doing))?))
    }

    async fn begin_reading(&self, doing: &'static str) -> Result<Connection, DbError> {
        let begun = begun(&self.readers, &self.waits.read, "BEGIN").await;
        Ok(in_transaction(begun.map_err(failed(doing))?))
    }

    async fn to_write(&self, doing: &'static str) -> Result<Connection, DbError> {
        let connection = connection(&self.writer, &self.waits.write).await;
        Ok(plain(connection.map_err(failed(doing))?))
    }

    async fn begin_writing(&self, doing: &'static str) -> Result<Connection, DbError> {
        self.check_place(doing)?;
        let begun = begun(&self.writer, &self.waits.write, "BEGIN IMMEDIATE").await;
        Ok(in_transaction(begun.map_err(failed(doing))?))
    }

    fn own(&self) -> &'static Own {
        &OWN
    }

    fn health(&self) -> &Health {
        &self.health
    }

    async fn end(&self) {
        self.close().await;
    }
}

fn plain(connection: PoolConnection<Driver>) -> Connection {
    Connection::Sqlite(Held::Plain(connection))
}

fn in_transaction(transaction: Transaction<'static, Driver>) -> Connection {
    Connection::Sqlite(Held::Begun(transaction))
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_one_connection_that_writes_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut db = Sqlite::open(&folder.path().join("records"), now)
            .await
            .unwrap();
        let metrics = Metrics::register(Registry::new(), "0").unwrap();
        db.meter(&metrics);
        let waits = |what: &str| {
            let count = format!("cheesecloth_wait_duration_seconds_count{{what=\"{what}\"}} ");
            let text = metrics.render().unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(&count));
            line.unwrap().parse::<u64>().unwrap()
        };
        let first = db.begin_writing("write").await.unwrap();
        // The write during opening may only just have finished.
        let before = waits("records_write");
        let reading = db.begin_reading("read").await.unwrap();
        drop(db.to_read("read").await.unwrap());
        assert_eq!(waits("records_read"), 0);
        let (second, ()) = tokio::join!(db.begin_writing("write"), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        drop(second.unwrap());
        drop(reading);
        assert_eq!(waits("records_read"), 0);
        assert_eq!(waits("records_write"), before + 1);
    }
}
