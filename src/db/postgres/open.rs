//! Opening the database: how durable, how patient, and the migrations that bring it up to date.
//!
//! * **`READ COMMITTED` behind one row's lock**: whoever writes first locks the row of `server`. Writes
//!   then follow one another as they do in SQLite, each sees what the one before committed, and serials are
//!   committed in their order: somebody who follows the change log never misses one.
//! * **One connection that writes**: a second could only wait for that lock, and would keep a reader from
//!   its connection.
//! * **Nobody holds the lock for long**: a gateway that is stopped in the middle of a write
//!   loses it after [`IDLE_IN_WRITE`].
//! * **Migrations expand first and contract later**: an older program goes on beside a newer schema as
//!   long as `server.schema_min` says that it may.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection as _, SqlSafeStr as _};
use tokio::sync::OnceCell;

use crate::db::error::{DbError, Source};
use crate::db::postgres::failed::within;
use crate::db::postgres::hold::Hold;
use crate::db::sql::{Health, Waits, new_facts};
use crate::model::Timestamp;

/// Connections that read.
const READERS: u32 = 8;

/// How long a request waits for a connection before it is told to come back later: long enough for a
/// queue, short enough to answer while a client still listens.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may take to greet before the start is given up.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// How long an idle connection may take to answer before it is used. Each is tried: the server may have
/// restarted a moment ago, and a round trip is little beside a request that fails.
const TRIED_WITHIN: Duration = Duration::from_secs(2);

/// How long current users of the records may delay closing them.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection may do nothing while it holds the lock of those who write.
const IDLE_IN_WRITE: &str = "30s";

/// What every connection is told. What was answered must survive a power cut, so a database whose default
/// is not to wait for its log is told to.
const SETTINGS: &str = "SELECT
    set_config('idle_in_transaction_session_timeout', $1, false),
    set_config('lock_timeout', '20s', false),
    set_config('statement_timeout', '60s', false),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    CASE current_setting('synchronous_commit')
        WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END";

/// Every step from nothing to the present schema. A step that has been released is never edited.
const SCHEMA: [(i64, &str, &str); 2] = [
    (1, "records", include_str!("schema/0001_records.sql")),
    (2, "holdings", include_str!("schema/0002_holdings.sql")),
];

/// The newest schema that this program knows.
pub(super) const KNOWN: i64 = SCHEMA[SCHEMA.len() - 1].0;

/// The records in a PostgreSQL database.
pub struct Postgres {
    pub(super) writer: PgPool,
    pub(super) readers: PgPool,
    pub(super) health: Health,
    pub(super) waits: Waits,
    /// Of the gateway whose data folder this is.
    pub(super) gateway: String,
    pub(super) options: PgConnectOptions,
    pub(super) address: String,
    pub(super) hold: OnceCell<Hold>,
}

// The options hold the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_tuple("Postgres");
        shown.field(&self.address).finish()
    }
}

fn options_of(url: &str) -> Result<PgConnectOptions, String> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err("it begins with neither postgres:// nor postgresql://".to_owned());
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| error.to_string())?;
    Ok(options.application_name("cheesecloth"))
}

fn address_of(options: &PgConnectOptions) -> String {
    let (user, port) = (options.get_username(), options.get_port());
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@{}:{port}/{database}", socket.display()),
        None => format!("postgres://{user}@{}:{port}/{database}", options.get_host()),
    }
}

impl Postgres {
    /// Opens the database of `url` for the gateway of this id, creating and migrating the tables if needed.
    ///
    /// # Errors
    /// [`DbError::Open`] when it cannot be connected to, or a newer program must be used.
    pub async fn open(url: &str, gateway: &str, now: Timestamp) -> Result<Self, DbError> {
        let options = options_of(url).map_err(|cause| DbError::Open {
            path: "of records.postgres".to_owned(),
            cause: cause.into(),
        })?;
        let address = address_of(&options);
        let unopened = |cause: Source| DbError::Open {
            path: address.clone(),
            cause,
        };
        let prepared = async {
            let mut first = connect(&options).await?;
            migrate(&mut first).await?;
            first.close().await?;
            Ok::<_, Source>(())
        };
        let prepared = tokio::time::timeout(OPEN_WITHIN, prepared).await;
        let late = |_| format!("no answer within {OPEN_WITHIN:?}");
        prepared
            .map_err(|elapsed| unopened(late(elapsed).into()))?
            .map_err(unopened)?;
        let opened = Self {
            writer: pool(1).connect_lazy_with(options.clone()),
            readers: pool(READERS).connect_lazy_with(options.clone()),
            health: Health::default(),
            waits: Waits::default(),
            gateway: gateway.to_owned(),
            options,
            address,
            hold: OnceCell::new(),
        };
        opened.settle_facts(now).await?;
        Ok(opened)
    }

    /// Makes the facts of a new database; changes nothing in one that has them.
    async fn settle_facts(&self, now: Timestamp) -> Result<(), DbError> {
        let doing = "settle the server's uuid and secret";
        let facts = new_facts(doing)?;
        let settled = sqlx::query(
            "INSERT INTO server (id, uuid, secret, created, serial, schema_min)
             VALUES (1, $1, $2, $3, 0, 1) ON CONFLICT (id) DO NOTHING",
        )
        .bind(facts.0)
        .bind(facts.1)
        .bind(now.as_microsecond())
        .execute(&self.writer);
        within(doing, settled).await.map(drop)
    }

    /// Closes every connection.
    pub(super) async fn close(&self) {
        if let Some(hold) = self.hold.get() {
            hold.end();
        }
        let closing = async {
            self.readers.close().await;
            self.writer.close().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
            tracing::warn!("records that are still in use are not closed");
        }
    }
}

/// A connection of its own, told what every connection is told.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    settle(&mut connection).await?;
    Ok(connection)
}

async fn settle(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let told = sqlx::query(SETTINGS).bind(IDLE_IN_WRITE);
    told.execute(connection).await.map(drop)
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(settle(connection)))
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(answers(connection).await.is_ok()) })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // The driver rolls back what was dropped in passing; after this it has.
                answers(connection).await?;
                Ok(true)
            })
        })
}

async fn answers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let answer = tokio::time::timeout(TRIED_WITHIN, connection.ping()).await;
    answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Brings the tables up to date. Several programs that start together do so one after the other, under
/// the migrator's own advisory lock.
async fn migrate(connection: &mut PgConnection) -> Result<(), Source> {
    let there: Option<String> = sqlx::query_scalar("SELECT to_regclass('server')::text")
        .fetch_one(&mut *connection)
        .await?;
    if there.is_some() {
        let needed: Option<i64> = sqlx::query_scalar("SELECT schema_min FROM server")
            .fetch_optional(&mut *connection)
            .await?;
        known(needed.unwrap_or(0))?;
    }
    let steps = SCHEMA.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(steps.into());
    // A newer program may have expanded the schema; whether it may be used is `schema_min`'s to say.
    migrator.set_ignore_missing(true);
    migrator.run_direct(None, connection, false).await?;
    Ok(())
}

/// Refuses records that only a newer program may use.
pub(super) fn known(schema_min: i64) -> Result<(), String> {
    if schema_min <= KNOWN {
        return Ok(());
    }
    Err(format!(
        "a newer cheesecloth has changed these records: they need one that knows schema {schema_min}, \
         and this one knows {KNOWN}; upgrade this gateway"
    ))
}
