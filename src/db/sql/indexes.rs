//! Writing indexes made through the API.

use serde_json::Value;

use crate::db::change::{Cause, IndexDeletion};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, IndexRecord, Serial};
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::statement;
use crate::db::sql::writing::{About, Writing};
use crate::db::sql::{remove, rows};
use crate::model::{IndexName, Timestamp};

/// One index.
pub(super) async fn find(
    writing: &mut Writing,
    name: &IndexName,
) -> Result<Option<IndexRecord>, DbError> {
    let found = statement("SELECT * FROM indexes WHERE name = $1", &[name.as_str()]);
    let row = writing.row(found).await?;
    row.as_ref().map(rows::index).transpose()
}

pub(super) async fn create(
    db: &dyn Engine,
    cause: &Cause,
    index: &IndexRecord,
) -> Result<Option<Serial>, DbError> {
    let mut writing = Writing::begin(db, "create an index").await?;
    if find(&mut writing, &index.name).await?.is_some() {
        return Ok(None);
    }
    let about = About::index(ChangeKind::IndexCreated, &index.name);
    let serial = writing.note(cause, about).await?;
    insert(&mut writing, index, serial, cause.at).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

/// Adds the row of an index whose name is free.
pub(super) async fn insert(
    writing: &mut Writing,
    index: &IndexRecord,
    serial: Serial,
    created: Timestamp,
) -> Result<(), DbError> {
    let inserted = statement(
        "INSERT INTO indexes (name, user_name, volatile, config, revision, created)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[index.name.as_str(), index.name.user()],
    )
    .bind(index.volatile)
    .bind(Value::Object(index.config.clone()).to_string())
    .bind(rows::integer(serial.0))
    .bind(created.as_microsecond());
    writing.run(inserted).await?;
    Ok(())
}

pub(super) async fn update(
    db: &dyn Engine,
    cause: &Cause,
    index: &IndexRecord,
) -> Result<Option<Serial>, DbError> {
    let doing = "change an index";
    let mut writing = Writing::begin(db, doing).await?;
    let Some(there) = find(&mut writing, &index.name).await? else {
        return Ok(None);
    };
    if there.revision != index.revision {
        return Err(DbError::Conflict { doing });
    }
    let about = About::index(ChangeKind::IndexModified, &index.name);
    let serial = writing.note(cause, about).await?;
    let updated = statement(
        "UPDATE indexes SET volatile = $2, config = $3, revision = $4 WHERE name = $1",
        &[index.name.as_str()],
    )
    .bind(index.volatile)
    .bind(Value::Object(index.config.clone()).to_string())
    .bind(rows::integer(serial.0));
    writing.run(updated).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

pub(super) async fn delete(
    db: &dyn Engine,
    cause: &Cause,
    name: &IndexName,
) -> Result<IndexDeletion, DbError> {
    let mut writing = Writing::begin(db, "delete an index").await?;
    let Some(there) = find(&mut writing, name).await? else {
        return Ok(IndexDeletion::Absent);
    };
    if !there.volatile {
        return Ok(IndexDeletion::NonVolatile);
    }
    remove::index_and_content(&mut writing, name).await?;
    let about = About::index(ChangeKind::IndexDeleted, name);
    Ok(IndexDeletion::Deleted(writing.end(cause, about).await?))
}
