//! Waits for connections, which are counted and timed.

use sqlx::pool::PoolConnection;
use sqlx::{Database, Error, Pool, Transaction};

use crate::telemetry::{Metrics, WaitFor, WaitMeter};

/// The meters of waits for connections.
#[derive(Debug, Default)]
pub(in crate::db) struct Waits {
    pub(in crate::db) read: WaitMeter,
    pub(in crate::db) write: WaitMeter,
}

impl Waits {
    /// Counts in these metrics.
    pub(in crate::db) fn counted_in(metrics: &Metrics) -> Self {
        Self {
            read: metrics.waits(WaitFor::RecordsRead),
            write: metrics.waits(WaitFor::RecordsWrite),
        }
    }
}

/// A connection that is free, taken as it is, or the next one.
pub(in crate::db) async fn connection<DB: Database>(
    pool: &Pool<DB>,
    waits: &WaitMeter,
) -> Result<PoolConnection<DB>, Error> {
    match pool.try_acquire() {
        Some(free) => Ok(free),
        None => {
            let _timer = waits.start();
            pool.acquire().await
        }
    }
}

/// A transaction in a connection that is free, taken as it is, or in the next one.
pub(in crate::db) async fn begun<DB: Database>(
    pool: &Pool<DB>,
    waits: &WaitMeter,
    sql: &'static str,
) -> Result<Transaction<'static, DB>, Error> {
    match pool.try_begin_with(sql).await? {
        Some(begun) => Ok(begun),
        None => {
            let _timer = waits.start();
            pool.begin_with(sql).await
        }
    }
}
