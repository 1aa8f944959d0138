//! A write transaction: takes the write lock at once, ends with one row of the change log.
//!
//! Dropped before [`Writing::commit`] it rolls back; that is how every refusal leaves nothing behind.

use sqlx::{SqliteConnection, Transaction};

use crate::db::change::Cause;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial};
use crate::db::sqlite::health::Health;
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::rows;
use crate::model::{IndexName, ProjectName};

pub(super) struct Writing {
    transaction: Transaction<'static, sqlx::Sqlite>,
    doing: &'static str,
    health: Health,
}

/// What the change log says of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) kind: ChangeKind,
    pub(super) index: Option<&'a IndexName>,
    pub(super) project: Option<&'a ProjectName>,
    pub(super) detail: Option<&'a str>,
}

impl Sqlite {
    /// Starts to write.
    pub(super) async fn write(&self, doing: &'static str) -> Result<Writing, DbError> {
        let failed = failed(doing, self.health.clone());
        self.check_place(doing)
            .inspect_err(|error| self.health.failed(error))?;
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        Ok(Writing {
            transaction: begun.map_err(failed)?,
            doing,
            health: self.health.clone(),
        })
    }

    /// Writes what is there already, to see whether the disk takes it.
    pub(super) async fn try_to_write(&self) -> Result<(), DbError> {
        let mut writing = self.write("see whether the records can be written").await?;
        let failed = writing.failed();
        sqlx::query("UPDATE server SET created = created")
            .execute(writing.on())
            .await
            .map_err(failed)?;
        writing.commit().await
    }
}

impl Writing {
    /// What to run statements on.
    pub(super) fn on(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Sorts an error by what the caller can do about it.
    pub(super) fn failed(&self) -> impl Fn(sqlx::Error) -> DbError + use<> {
        failed(self.doing, self.health.clone())
    }

    /// Adds the row of the change log.
    pub(super) async fn note(
        &mut self,
        cause: &Cause,
        about: About<'_>,
    ) -> Result<Serial, DbError> {
        let serial: i64 = sqlx::query_scalar(
            "INSERT INTO changes (at, who, what, index_name, project, detail)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING serial",
        )
        .bind(cause.at.as_microsecond())
        .bind(cause.who.as_deref())
        .bind(about.kind.as_str())
        .bind(about.index.map(IndexName::as_str))
        .bind(about.project.map(ProjectName::as_str))
        .bind(about.detail)
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.failed())?;
        Ok(Serial(serial.unsigned_abs()))
    }

    /// Makes everything visible, durably.
    pub(super) async fn commit(self) -> Result<(), DbError> {
        let failed = self.failed();
        self.transaction.commit().await.map_err(failed)?;
        self.health.succeeded();
        Ok(())
    }
}

/// Sorts an error of a write, and notes what it says about the disk.
fn failed(doing: &'static str, health: Health) -> impl Fn(sqlx::Error) -> DbError {
    let sorted = rows::failed(doing);
    move |error| {
        let error = sorted(error);
        health.failed(&error);
        error
    }
}
