//! A write transaction: takes the write lock at the start, ends with one row of the change log.
//!
//! If it is dropped before [`Writing::commit`] it rolls back; that is how a refusal leaves nothing
//! behind.

use crate::db::change::Cause;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial};
use crate::db::sql::connection::{Connection, Row};
use crate::db::sql::engine::Engine;
use crate::db::sql::health::Health;
use crate::db::sql::rows;
use crate::db::sql::statement::{Statement, statement};
use crate::model::{IndexName, ProjectName};

pub(super) struct Writing {
    transaction: Connection,
    doing: &'static str,
    health: Health,
    note: &'static str,
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

/// Rewrites something unchanged, to see whether that is possible.
pub(super) async fn try_to_write(db: &dyn Engine) -> Result<(), DbError> {
    let mut writing = Writing::begin(db, "see whether the records can be written").await?;
    let unchanged = statement("UPDATE server SET created = created", &[]);
    writing.run(unchanged).await?;
    writing.commit().await
}

impl Writing {
    /// Starts to write.
    pub(super) async fn begin(db: &dyn Engine, doing: &'static str) -> Result<Self, DbError> {
        let health = db.health().clone();
        let begun = db.begin_writing(doing).await;
        Ok(Self {
            transaction: begun.inspect_err(|error| health.failed(error))?,
            doing,
            health,
            note: db.own().note,
        })
    }

    /// What to run statements on.
    pub(super) fn on(&mut self) -> &mut Connection {
        &mut self.transaction
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, DbError> {
        let done = self.transaction.run(statement, self.doing).await;
        done.inspect_err(|error| self.health.failed(error))
    }

    /// The rows that a statement finds.
    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<Row>, DbError> {
        let found = self.transaction.rows(statement, self.doing).await;
        found.inspect_err(|error| self.health.failed(error))
    }

    /// The row that a statement finds, if there is one.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Result<Option<Row>, DbError> {
        let found = self.transaction.row(statement, self.doing).await;
        found.inspect_err(|error| self.health.failed(error))
    }

    /// Adds the row of the change log.
    pub(super) async fn note(
        &mut self,
        cause: &Cause,
        about: About<'_>,
    ) -> Result<Serial, DbError> {
        let noted = statement(self.note, &[])
            .bind(cause.at.as_microsecond())
            .bind(cause.who.as_deref())
            .bind(about.kind.as_str())
            .bind(about.index.map(IndexName::as_str))
            .bind(about.project.map(ProjectName::as_str))
            .bind(about.detail);
        let noted = self.row(noted).await?.ok_or(DbError::Corrupt {
            doing: self.doing,
            what: "no change log to write to".to_owned(),
        })?;
        Ok(Serial(rows::reader(&noted, self.doing).number("serial")?))
    }

    /// Adds the row of the change log and makes everything visible.
    pub(super) async fn end(mut self, cause: &Cause, about: About<'_>) -> Result<Serial, DbError> {
        let serial = self.note(cause, about).await?;
        self.commit().await?;
        Ok(serial)
    }

    /// Makes everything visible, durably.
    pub(super) async fn commit(self) -> Result<(), DbError> {
        let committed = self.transaction.commit(self.doing).await;
        committed.inspect_err(|error| self.health.failed(error))?;
        self.health.succeeded();
        Ok(())
    }
}
