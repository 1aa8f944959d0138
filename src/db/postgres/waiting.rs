//! All connections are obtained here, so that every wait for one is counted and timed.

use async_trait::async_trait;
use sqlx::Transaction;
use sqlx::postgres::{PgPool, Postgres as Driver};

use crate::db::error::DbError;
use crate::db::postgres::failed::within;
use crate::db::postgres::hold::LOCKED_SERVER;
use crate::db::postgres::open::Postgres;
use crate::db::sql::{Connection, Engine, Health, Held, Own, Waits};
use crate::telemetry::{Metrics, WaitMeter};

impl Postgres {
    /// Has the waits for connections counted from now on.
    pub fn meter(&mut self, metrics: &Metrics) {
        self.waits = Waits::counted_in(metrics);
    }

    /// Notes that the database cannot be reached, even to read: it is tried again until it can. That all
    /// connections are in use says nothing about it.
    fn noted<T>(&self, got: Result<T, DbError>) -> Result<T, DbError> {
        got.inspect_err(|error| {
            if !is_used_up(&self.readers) {
                self.health.failed(error);
            }
        })
    }
}

const OWN: Own = Own {
    note: "WITH next AS (UPDATE server SET serial = serial + 1 RETURNING serial)
           INSERT INTO changes (serial, at, who, what, index_name, project, detail)
           SELECT serial, $1, $2, $3, $4, $5, $6 FROM next RETURNING serial",
    set_serial: &["UPDATE server SET serial = $1"],
    last_recall: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM recalls_id_seq",
    set_last_recall: &["SELECT setval('recalls_id_seq', greatest($1, 1), $1 > 0)"],
};

#[async_trait]
impl Engine for Postgres {
    async fn to_read(&self, doing: &'static str) -> Result<Connection, DbError> {
        plain(self.noted(connection(&self.readers, &self.waits.read, doing).await))
    }

    async fn begin_reading(&self, doing: &'static str) -> Result<Connection, DbError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = begun((&self.readers, BEGIN), &self.waits.read, doing).await;
        Ok(Connection::Postgres(Held::Begun(self.noted(begun)?)))
    }

    async fn to_write(&self, doing: &'static str) -> Result<Connection, DbError> {
        plain(self.noted(connection(&self.writer, &self.waits.write, doing).await))
    }

    async fn begin_writing(&self, doing: &'static str) -> Result<Connection, DbError> {
        let mut begun = begun((&self.writer, "BEGIN"), &self.waits.write, doing).await?;
        let server = sqlx::query(LOCKED_SERVER).fetch_one(&mut *begun);
        self.check_holder(doing, &within(doing, server).await?)?;
        Ok(Connection::Postgres(Held::Begun(begun)))
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

type Pooled = sqlx::pool::PoolConnection<Driver>;

fn plain(connection: Result<Pooled, DbError>) -> Result<Connection, DbError> {
    Ok(Connection::Postgres(Held::Plain(connection?)))
}

/// Whether all connections are in use; opening one more is not waiting for one.
fn is_used_up(pool: &PgPool) -> bool {
    pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections()
}

async fn connection(
    pool: &PgPool,
    waits: &WaitMeter,
    doing: &'static str,
) -> Result<Pooled, DbError> {
    let _timer = is_used_up(pool).then(|| waits.start());
    within(doing, pool.acquire()).await
}

async fn begun(
    (pool, begin): (&PgPool, &'static str),
    waits: &WaitMeter,
    doing: &'static str,
) -> Result<Transaction<'static, Driver>, DbError> {
    let _timer = is_used_up(pool).then(|| waits.start());
    within(doing, pool.begin_with(begin)).await
}
