//! A write transaction: takes the write lock at the start, ends with one row of the change log.
//!
//! If it is dropped before [`Writing::commit`] it rolls back; that is how a refusal leaves nothing
//! behind.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, Transaction};

use crate::db::change::Cause;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial};
use crate::db::sqlite::health::Health;
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::rows;
use crate::db::sqlite::statement::{Statement, statement};
use crate::model::{IndexName, ProjectName};

pub(super) struct Writing {
    transaction: Transaction<'static, sqlx::Sqlite>,
    doing: &'static str,
    health: Health,
}

/// What the change log says about a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) kind: ChangeKind,
    pub(super) index: Option<&'a IndexName>,
    pub(super) project: Option<&'a ProjectName>,
    pub(super) detail: Option<&'a str>,
}

impl<'a> About<'a> {
    /// About this user, token or nothing, in no index.
    pub(super) fn of(kind: ChangeKind, detail: Option<&'a str>) -> Self {
        Self {
            kind,
            index: None,
            project: None,
            detail,
        }
    }

    /// About an index.
    pub(super) fn index(kind: ChangeKind, index: &'a IndexName) -> Self {
        Self {
            index: Some(index),
            ..Self::of(kind, None)
        }
    }

    /// About what an index has of a project.
    pub(super) fn content(
        kind: ChangeKind,
        (index, project): (&'a IndexName, &'a ProjectName),
        detail: Option<&'a str>,
    ) -> Self {
        Self {
            kind,
            index: Some(index),
            project: Some(project),
            detail,
        }
    }
}

impl Sqlite {
    /// Starts to write.
    pub(super) async fn write(&self, doing: &'static str) -> Result<Writing, DbError> {
        let failed = failed(doing, self.health.clone());
        self.check_place(doing)
            .inspect_err(|error| self.health.failed(error))?;
        let begun = self.begin_writing().await;
        Ok(Writing {
            transaction: begun.map_err(failed)?,
            doing,
            health: self.health.clone(),
        })
    }

    /// Rewrites something unchanged, to see whether the disk takes it.
    pub(super) async fn try_to_write(&self) -> Result<(), DbError> {
        let mut writing = self.write("see whether the records can be written").await?;
        writing
            .run(statement("UPDATE server SET created = created", &[]))
            .await?;
        writing.commit().await
    }
}

impl Writing {
    /// What to run statements on.
    pub(super) fn on(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, DbError> {
        let done = statement.execute(&mut *self.transaction).await;
        Ok(done.map_err(self.failed())?.rows_affected())
    }

    /// The rows that a statement finds.
    pub(super) async fn rows(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Vec<SqliteRow>, DbError> {
        let found = statement.fetch_all(&mut *self.transaction).await;
        found.map_err(self.failed())
    }

    /// The row that a statement finds, if there is one.
    pub(super) async fn row(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Option<SqliteRow>, DbError> {
        let found = statement.fetch_optional(&mut *self.transaction).await;
        found.map_err(self.failed())
    }

    /// Classifies an error by what the caller can do about it.
    fn failed(&self) -> impl Fn(sqlx::Error) -> DbError + use<> {
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

    /// Adds the row of the change log and makes everything visible.
    pub(super) async fn end(mut self, cause: &Cause, about: About<'_>) -> Result<Serial, DbError> {
        let serial = self.note(cause, about).await?;
        self.commit().await?;
        Ok(serial)
    }

    /// Makes everything visible, durably.
    pub(super) async fn commit(self) -> Result<(), DbError> {
        let failed = self.failed();
        self.transaction.commit().await.map_err(failed)?;
        self.health.succeeded();
        Ok(())
    }
}

/// Classifies an error of a write, and notes what it says about the disk.
fn failed(doing: &'static str, health: Health) -> impl Fn(sqlx::Error) -> DbError {
    let sorted = rows::failed(doing);
    move |error| {
        let error = sorted(error);
        health.failed(&error);
        error
    }
}
