//! Writing indexes made through the API.

use serde_json::Value;
use sqlx::Row;

use crate::db::change::{Cause, IndexDeletion, IndexUpdate, NewIndex};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::writing::{About, Writing};
use crate::db::sqlite::{remove, rows};
use crate::model::{IndexName, Timestamp};

fn about(kind: ChangeKind, name: &IndexName) -> About<'_> {
    About {
        kind,
        index: Some(name),
        project: None,
        detail: None,
    }
}

/// Revision and volatility of an index that exists.
async fn find(writing: &mut Writing, name: &IndexName) -> Result<Option<(i64, bool)>, DbError> {
    let failed = writing.failed();
    let row = sqlx::query("SELECT revision, volatile FROM indexes WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(writing.on())
        .await
        .map_err(&failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let revision = row.try_get("revision").map_err(&failed)?;
    let volatile = row.try_get("volatile").map_err(&failed)?;
    Ok(Some((revision, volatile)))
}

pub(super) async fn create(
    db: &Sqlite,
    cause: &Cause,
    index: &NewIndex,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("create an index").await?;
    if find(&mut writing, &index.name).await?.is_some() {
        return Ok(None);
    }
    let serial = writing
        .note(cause, about(ChangeKind::IndexCreated, &index.name))
        .await?;
    insert(&mut writing, index, serial, cause.at).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

/// Adds the row of an index whose name is free.
pub(super) async fn insert(
    writing: &mut Writing,
    index: &NewIndex,
    serial: Serial,
    created: Timestamp,
) -> Result<(), DbError> {
    let failed = writing.failed();
    sqlx::query(
        "INSERT INTO indexes (name, user_name, volatile, config, revision, created)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(index.name.as_str())
    .bind(index.name.user())
    .bind(index.volatile)
    .bind(Value::Object(index.config.clone()).to_string())
    .bind(rows::integer(serial.0))
    .bind(created.as_microsecond())
    .execute(writing.on())
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn update(
    db: &Sqlite,
    cause: &Cause,
    update: &IndexUpdate,
) -> Result<Option<Serial>, DbError> {
    let doing = "change an index";
    let mut writing = db.write(doing).await?;
    let failed = writing.failed();
    let index = &update.index;
    let Some((revision, _)) = find(&mut writing, &index.name).await? else {
        return Ok(None);
    };
    if revision != rows::integer(update.made_from.0) {
        return Err(DbError::Conflict { doing });
    }
    let serial = writing
        .note(cause, about(ChangeKind::IndexModified, &index.name))
        .await?;
    sqlx::query("UPDATE indexes SET volatile = $2, config = $3, revision = $4 WHERE name = $1")
        .bind(index.name.as_str())
        .bind(index.volatile)
        .bind(Value::Object(index.config.clone()).to_string())
        .bind(rows::integer(serial.0))
        .execute(writing.on())
        .await
        .map_err(failed)?;
    writing.commit().await?;
    Ok(Some(serial))
}

pub(super) async fn delete(
    db: &Sqlite,
    cause: &Cause,
    name: &IndexName,
) -> Result<IndexDeletion, DbError> {
    let mut writing = db.write("delete an index").await?;
    match find(&mut writing, name).await? {
        None => return Ok(IndexDeletion::Absent),
        Some((_, false)) => return Ok(IndexDeletion::NonVolatile),
        Some((_, true)) => {}
    }
    remove::index_and_content(&mut writing, name).await?;
    let serial = writing
        .note(cause, about(ChangeKind::IndexDeleted, name))
        .await?;
    writing.commit().await?;
    Ok(IndexDeletion::Deleted(serial))
}
