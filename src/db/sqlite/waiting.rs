//! All connections are obtained here, so that every wait for one is counted and timed.
//!
//! A free one is used as it is: a file does not hang up, so there is no need to check it first.

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite as Driver, SqlitePool};
use sqlx::{Error, Transaction};

use crate::db::sqlite::open::Sqlite;
use crate::telemetry::{Metrics, WaitFor, WaitMeter};

/// The meters of waits for connections.
#[derive(Debug, Default)]
pub(super) struct Waits {
    read: WaitMeter,
    write: WaitMeter,
}

impl Sqlite {
    /// Has the waits for connections counted from now on.
    pub fn meter(&mut self, metrics: &Metrics) {
        self.waits = Waits {
            read: metrics.waits(WaitFor::RecordsRead),
            write: metrics.waits(WaitFor::RecordsWrite),
        };
    }

    /// A connection that reads.
    pub(super) async fn to_read(&self) -> Result<PoolConnection<Driver>, Error> {
        connection(&self.readers, &self.waits.read).await
    }

    /// The connection that writes, for a single statement.
    pub(super) async fn to_write(&self) -> Result<PoolConnection<Driver>, Error> {
        connection(&self.writer, &self.waits.write).await
    }

    /// A transaction that reads: as of one instant.
    pub(super) async fn begin_reading(&self) -> Result<Transaction<'static, Driver>, Error> {
        match self.readers.try_begin().await? {
            Some(begun) => Ok(begun),
            None => {
                let _timer = self.waits.read.start();
                self.readers.begin().await
            }
        }
    }

    /// A transaction that writes and has the write lock.
    pub(super) async fn begin_writing(&self) -> Result<Transaction<'static, Driver>, Error> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        match self.writer.try_begin_with(BEGIN).await? {
            Some(begun) => Ok(begun),
            None => {
                let _timer = self.waits.write.start();
                self.writer.begin_with(BEGIN).await
            }
        }
    }
}

async fn connection(pool: &SqlitePool, waits: &WaitMeter) -> Result<PoolConnection<Driver>, Error> {
    match pool.try_acquire() {
        Some(free) => Ok(free),
        None => {
            let _timer = waits.start();
            pool.acquire().await
        }
    }
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
        let first = db.begin_writing().await.unwrap();
        // The write during opening may only just have finished.
        let before = waits("records_write");
        let reading = db.begin_reading().await.unwrap();
        drop(db.to_read().await.unwrap());
        assert_eq!(waits("records_read"), 0);
        let (second, ()) = tokio::join!(db.begin_writing(), async {
            tokio::task::yield_now().await;
            first.rollback().await.unwrap();
        });
        second.unwrap().rollback().await.unwrap();
        drop(reading);
        assert_eq!(waits("records_read"), 0);
        assert_eq!(waits("records_write"), before + 1);
    }
}
