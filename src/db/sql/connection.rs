//! A connection of either database, in a transaction or not.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite, Transaction};

use crate::db::error::DbError;
use crate::db::sql::statement::Statement;
use crate::db::{postgres, sqlite};

/// A connection. If it is in a transaction, dropping it rolls that back.
#[derive(Debug)]
pub enum Connection {
    /// To SQLite.
    Sqlite(Held<Sqlite>),
    /// To PostgreSQL.
    Postgres(Held<Postgres>),
}

/// A connection that is given back to its pool.
#[derive(Debug)]
pub enum Held<DB: sqlx::Database> {
    /// Each statement stands for itself.
    Plain(PoolConnection<DB>),
    /// In a transaction.
    Begun(Transaction<'static, DB>),
}

/// A row of either database.
pub(in crate::db) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

impl<DB: sqlx::Database> Deref for Held<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Plain(connection) => connection,
            Self::Begun(transaction) => transaction,
        }
    }
}

impl<DB: sqlx::Database> DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Plain(connection) => connection,
            Self::Begun(transaction) => transaction,
        }
    }
}

impl<DB: sqlx::Database> Held<DB> {
    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Begun(transaction) => transaction.commit().await,
        }
    }
}

impl Connection {
    /// Runs a statement; returns how many rows it changed.
    pub(in crate::db) async fn run(
        &mut self,
        statement: Statement<'_>,
        doing: &'static str,
    ) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(on) => {
                let done = statement.of_driver::<Sqlite>().execute(&mut **on).await;
                let done = done.map_err(sqlite::failed(doing))?;
                Ok(done.rows_affected())
            }
            Self::Postgres(on) => {
                postgres::can_be_stored(&statement, doing)?;
                let done = statement.of_driver::<Postgres>().execute(&mut **on);
                Ok(postgres::within(doing, done).await?.rows_affected())
            }
        }
    }

    /// The rows that a statement finds.
    pub(in crate::db) async fn rows(
        &mut self,
        statement: Statement<'_>,
        doing: &'static str,
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(on) => {
                let found = statement.of_driver::<Sqlite>().fetch_all(&mut **on).await;
                let found = found.map_err(sqlite::failed(doing))?;
                Ok(found.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(_) if statement.has_nul() => Ok(Vec::new()),
            Self::Postgres(on) => {
                let found = statement.of_driver::<Postgres>().fetch_all(&mut **on);
                let found = postgres::within(doing, found).await?;
                Ok(found.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The row that a statement finds, if there is one.
    pub(in crate::db) async fn row(
        &mut self,
        statement: Statement<'_>,
        doing: &'static str,
    ) -> Result<Option<Row>, DbError> {
        match self {
            Self::Sqlite(on) => {
                let found = statement.of_driver::<Sqlite>();
                let found = found.fetch_optional(&mut **on).await;
                Ok(found.map_err(sqlite::failed(doing))?.map(Row::Sqlite))
            }
            Self::Postgres(_) if statement.has_nul() => Ok(None),
            Self::Postgres(on) => {
                let found = statement.of_driver::<Postgres>().fetch_optional(&mut **on);
                let found = postgres::within(doing, found).await?;
                Ok(found.map(Row::Postgres))
            }
        }
    }

    /// Ends the transaction and makes everything visible, durably.
    pub(in crate::db) async fn commit(self, doing: &'static str) -> Result<(), DbError> {
        match self {
            Self::Sqlite(on) => on.commit().await.map_err(sqlite::failed(doing)),
            Self::Postgres(on) => postgres::within(doing, on.commit()).await,
        }
    }
}
