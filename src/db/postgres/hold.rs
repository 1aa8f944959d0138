//! Who may serve from these records: one gateway, as long as its private bytes are on its own disk.
//!
//! An advisory lock on a connection of its own says that a gateway serves; another that starts is
//! refused. The lock goes when its connection does, which may be a restart of PostgreSQL as well as the
//! end of the gateway. So the row of `server` also names the gateway that took the lock last, and every
//! write reads that under its own lock: a gateway that was displaced meanwhile is refused there.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::db::error::DbError;
use crate::db::postgres::failed::{failed, within};
use crate::db::postgres::open::{Postgres, connect, known};

/// The lock of whoever serves; the lower half is the table's own number, so that each schema has its own.
const LOCK: &str =
    "pg_try_advisory_lock((1667786099::bigint << 32) | 'server'::regclass::oid::bigint)";

/// How long a gateway that ended may still seem to be there: until its server notices.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// The same for this gateway's own last process, which nobody else can have become: as long as the
/// keepalives of a machine that went take.
const OWN_ENDS_WITHIN: Duration = Duration::from_secs(40);

/// Time between two looks at a lock that is to be free soon.
const POLL: Duration = Duration::from_millis(100);

/// Time between two looks at the connection that has the lock.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How long such a look may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

const DOING: &str = "take the records to serve from them";

/// Held as long as the gateway serves.
#[derive(Debug)]
pub(super) struct Hold {
    keeper: JoinHandle<()>,
}

impl Hold {
    /// Lets the records go.
    pub(super) fn end(&self) {
        self.keeper.abort();
    }
}

/// Which gateway serves from the records, or did last.
struct Holder {
    id: Option<String>,
    name: String,
}

impl Postgres {
    /// Takes the records for this gateway, which `name` tells where to find. With `is_upgrade` another
    /// process of the same gateway may have them until it ends.
    ///
    /// # Errors
    /// [`DbError::Open`] when another gateway serves from them.
    pub async fn hold(&self, name: &str, is_upgrade: bool) -> Result<(), DbError> {
        let mut connection = within(DOING, connect(&self.options)).await?;
        let has_lock = self.take(&mut connection, is_upgrade).await?;
        let noted = sqlx::query("UPDATE server SET holder = $1, holder_name = $2")
            .bind(&self.gateway)
            .bind(name)
            .execute(&mut connection);
        within(DOING, noted).await?;
        let keeper = Keeper {
            options: self.options.clone(),
            gateway: self.gateway.clone(),
            connection: Some(connection),
            has_lock,
        };
        let hold = Hold {
            keeper: tokio::spawn(keeper.run()),
        };
        self.hold
            .set(hold)
            .map_err(|_| DbError::Conflict { doing: DOING })
    }

    /// Waits until the lock is free, if that may be soon; whether it was taken.
    async fn take(&self, connection: &mut PgConnection, is_upgrade: bool) -> Result<bool, DbError> {
        let mut waited = Duration::ZERO;
        loop {
            let taken = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {LOCK}")));
            if within(DOING, taken.fetch_one(&mut *connection)).await? {
                return Ok(true);
            }
            let holder = holder(connection).await?;
            let is_own = holder.id.as_deref() == Some(&self.gateway);
            if is_own && is_upgrade {
                return Ok(false);
            }
            let patience = if is_own { OWN_ENDS_WITHIN } else { ENDS_WITHIN };
            if waited >= patience {
                return Err(DbError::Open {
                    path: self.address.clone(),
                    cause: refusal(&holder.name).into(),
                });
            }
            sleep(POLL).await;
            waited += POLL;
        }
    }

    /// Refuses to write when another gateway took the records, or a newer program alone may use them.
    pub(super) fn check_holder(&self, doing: &'static str, server: &PgRow) -> Result<(), DbError> {
        let unavailable = |cause: String| DbError::Unavailable {
            doing,
            cause: cause.into(),
        };
        let holder = holder_of(server).map_err(failed(doing))?;
        if holder.id.is_some_and(|id| id != self.gateway) {
            return Err(unavailable(refusal(&holder.name)));
        }
        let needed: i64 = server.try_get("schema_min").map_err(failed(doing))?;
        known(needed).map_err(unavailable)
    }
}

/// The row of `server`, locked until the end of the transaction.
pub(super) const LOCKED_SERVER: &str =
    "SELECT holder, holder_name, schema_min FROM server FOR UPDATE";

fn refusal(name: &str) -> String {
    format!(
        "the gateway at {name} serves from these records: several on one database need a store that \
         they share for private files, which this version does not have; stop the other first, or \
         give this one records of its own"
    )
}

async fn holder(connection: &mut PgConnection) -> Result<Holder, DbError> {
    let row = sqlx::query("SELECT holder, holder_name FROM server").fetch_one(connection);
    holder_of(&within(DOING, row).await?).map_err(failed(DOING))
}

fn holder_of(row: &PgRow) -> Result<Holder, sqlx::Error> {
    let name: Option<String> = row.try_get("holder_name")?;
    Ok(Holder {
        id: row.try_get("holder")?,
        name: name.unwrap_or_else(|| "an unknown place".to_owned()),
    })
}

/// Watches the connection that has the lock, and takes the lock again after it was lost.
struct Keeper {
    options: PgConnectOptions,
    gateway: String,
    connection: Option<PgConnection>,
    has_lock: bool,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            sleep(LOOK_AGAIN).await;
            let looked = timeout(LOOK_WITHIN, self.look()).await;
            if !matches!(looked, Ok(Ok(()))) {
                // Dropping it is all that can be done with a connection in an unknown state.
                self.connection = None;
                self.has_lock = false;
            }
        }
    }

    async fn look(&mut self) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            lost => lost.insert(connect(&self.options).await?),
        };
        if self.has_lock {
            return sqlx::query("SELECT 1").execute(connection).await.map(drop);
        }
        // Only as long as nobody else has served meanwhile.
        let again = format!("SELECT {LOCK} FROM server WHERE holder = $1");
        let again = sqlx::query_scalar(sqlx::AssertSqlSafe(again)).bind(&self.gateway);
        let again: Option<bool> = again.fetch_optional(connection).await?;
        self.has_lock = again == Some(true);
        Ok(())
    }
}
