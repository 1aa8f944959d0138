//! What differs between the databases: how connections are had, what begins a write, what an error
//! means. Everything else is SQL that both understand.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::db::error::DbError;
use crate::db::sql::connection::Connection;
use crate::db::sql::health::Health;

/// Statements of which each database has its own.
#[derive(Debug)]
pub struct Own {
    /// Adds a row of the change log and returns its serial, with `$1` instant, `$2` who, `$3` what, `$4`
    /// index, `$5` project, `$6` detail.
    pub note: &'static str,
    /// Sets the serial to `$1`, where it is not that of the change log's last row.
    pub set_serial: &'static [&'static str],
    /// The last number of a recall, as `n`; it may be withdrawn.
    pub last_recall: &'static str,
    /// Sets it to `$1`.
    pub set_last_recall: &'static [&'static str],
}

/// A database that the statements of this folder run on.
#[async_trait]
pub trait Engine: Debug + Send + Sync {
    /// A connection that reads.
    async fn to_read(&self, doing: &'static str) -> Result<Connection, DbError>;

    /// A transaction that reads: as of one instant.
    async fn begin_reading(&self, doing: &'static str) -> Result<Connection, DbError>;

    /// A connection that writes, for a single statement.
    async fn to_write(&self, doing: &'static str) -> Result<Connection, DbError>;

    /// A transaction that writes, and in which nobody else does until it ends.
    async fn begin_writing(&self, doing: &'static str) -> Result<Connection, DbError>;

    /// The statements of which it has its own.
    fn own(&self) -> &'static Own;

    /// How writing went so far.
    fn health(&self) -> &Health;

    /// Closes every connection.
    async fn end(&self);
}
