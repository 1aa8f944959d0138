//! Writing users.
//!
//! A user's generation is the serial of the write that last set its password: serials only grow, so a
//! token of a deleted user is void for whoever takes the name next.

use serde_json::Value;

use crate::db::change::{Cause, NewUser, UserDeletion, UserUpdate};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial, User};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::writing::{About, Writing};
use crate::db::sqlite::{remove, rows};
use crate::model::IndexName;

fn about(kind: ChangeKind, name: &str) -> About<'_> {
    About {
        kind,
        index: None,
        project: None,
        detail: Some(name),
    }
}

/// One user.
pub(super) async fn find(writing: &mut Writing, name: &str) -> Result<Option<User>, DbError> {
    let failed = writing.failed();
    let row = sqlx::query("SELECT * FROM users WHERE name = $1")
        .bind(name)
        .fetch_optional(writing.on())
        .await
        .map_err(failed)?;
    row.as_ref().map(rows::user).transpose()
}

pub(super) async fn create(
    db: &Sqlite,
    cause: &Cause,
    user: &NewUser,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("create a user").await?;
    if find(&mut writing, &user.name).await?.is_some() {
        return Ok(None);
    }
    let serial = writing
        .note(cause, about(ChangeKind::UserCreated, &user.name))
        .await?;
    let user = User {
        name: user.name.clone(),
        password_hash: user.password_hash.clone(),
        generation: serial.0,
        details: user.details.clone(),
        created: cause.at,
        modified: None,
    };
    insert(&mut writing, &user).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

/// Adds the row of a user whose name is free.
pub(super) async fn insert(writing: &mut Writing, user: &User) -> Result<(), DbError> {
    let failed = writing.failed();
    sqlx::query(
        "INSERT INTO users (name, password_hash, generation, email, title, description, custom_data,
             created, modified) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&user.name)
    .bind(user.password_hash.as_deref())
    .bind(rows::integer(user.generation))
    .bind(user.details.email.as_deref())
    .bind(user.details.title.as_deref())
    .bind(user.details.description.as_deref())
    .bind(user.details.custom_data.as_ref().map(Value::to_string))
    .bind(user.created.as_microsecond())
    .bind(user.modified.map(crate::model::Timestamp::as_microsecond))
    .execute(writing.on())
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn update(
    db: &Sqlite,
    cause: &Cause,
    name: &str,
    update: &UserUpdate,
) -> Result<Option<User>, DbError> {
    let mut writing = db.write("change a user").await?;
    let Some(mut user) = find(&mut writing, name).await? else {
        return Ok(None);
    };
    let serial = writing
        .note(cause, about(ChangeKind::UserModified, name))
        .await?;
    if update.password_hash.is_some() {
        user.password_hash.clone_from(&update.password_hash);
        user.generation = serial.0;
    }
    let details = &mut user.details;
    details.email = update.email.applied_to(details.email.take());
    details.title = update.title.applied_to(details.title.take());
    details.description = update.description.applied_to(details.description.take());
    details.custom_data = update.custom_data.applied_to(details.custom_data.take());
    user.modified = Some(cause.at);
    store(&mut writing, &user).await?;
    writing.commit().await?;
    Ok(Some(user))
}

/// Writes a user over the one of its name; when it was created stays.
pub(super) async fn store(writing: &mut Writing, user: &User) -> Result<(), DbError> {
    let failed = writing.failed();
    sqlx::query(
        "UPDATE users SET password_hash = $2, generation = $3, email = $4, title = $5,
             description = $6, custom_data = $7, modified = $8 WHERE name = $1",
    )
    .bind(&user.name)
    .bind(user.password_hash.as_deref())
    .bind(rows::integer(user.generation))
    .bind(user.details.email.as_deref())
    .bind(user.details.title.as_deref())
    .bind(user.details.description.as_deref())
    .bind(user.details.custom_data.as_ref().map(Value::to_string))
    .bind(user.modified.map(crate::model::Timestamp::as_microsecond))
    .execute(writing.on())
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn rehash(db: &Sqlite, name: &str, from: &str, to: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE users SET password_hash = $3 WHERE name = $1 AND password_hash = $2")
        .bind(name)
        .bind(from)
        .bind(to)
        .execute(&db.writer)
        .await
        .map_err(rows::failed("renew a password's hash"))?;
    Ok(())
}

pub(super) async fn delete(
    db: &Sqlite,
    cause: &Cause,
    name: &str,
) -> Result<UserDeletion, DbError> {
    let mut writing = db.write("delete a user").await?;
    let failed = writing.failed();
    if find(&mut writing, name).await?.is_none() {
        return Ok(UserDeletion::Absent);
    }
    let indexes = sqlx::query("SELECT * FROM indexes WHERE user_name = $1 ORDER BY name")
        .bind(name)
        .fetch_all(writing.on())
        .await
        .map_err(&failed)?;
    let mut volatile: Vec<IndexName> = Vec::new();
    for row in &indexes {
        let index = rows::index(row)?;
        if !index.volatile {
            return Ok(UserDeletion::NonVolatile(index.name));
        }
        volatile.push(index.name);
    }
    for index in &volatile {
        remove::index_and_content(&mut writing, index).await?;
    }
    for statement in [
        "DELETE FROM api_tokens WHERE user_name = $1",
        "DELETE FROM users WHERE name = $1",
    ] {
        sqlx::query(statement)
            .bind(name)
            .execute(writing.on())
            .await
            .map_err(&failed)?;
    }
    let serial = writing
        .note(cause, about(ChangeKind::UserDeleted, name))
        .await?;
    writing.commit().await?;
    Ok(UserDeletion::Deleted(serial))
}
