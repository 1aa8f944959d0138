//! Writing users.
//!
//! A user's generation is the serial of the write that last set its password: serials only grow, so a
//! deleted user's token is invalid for the next user of that name.

use serde_json::Value;

use crate::db::change::{Cause, NewUser, UserDeletion, UserUpdate};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial, User};
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::{Statement, statement};
use crate::db::sql::writing::{About, Writing};
use crate::db::sql::{remove, rows};
use crate::model::Timestamp;

/// One user.
pub(super) async fn find(writing: &mut Writing, name: &str) -> Result<Option<User>, DbError> {
    let found = statement("SELECT * FROM users WHERE name = $1", &[name]);
    let row = writing.row(found).await?;
    row.as_ref().map(rows::user).transpose()
}

pub(super) async fn create(
    db: &dyn Engine,
    cause: &Cause,
    user: &NewUser,
) -> Result<Option<Serial>, DbError> {
    let mut writing = Writing::begin(db, "create a user").await?;
    if find(&mut writing, &user.name).await?.is_some() {
        return Ok(None);
    }
    let about = About::of(ChangeKind::UserCreated, Some(&user.name));
    let serial = writing.note(cause, about).await?;
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
    let inserted = all_of(
        user,
        "INSERT INTO users (name, password_hash, generation, email, title, description, custom_data,
             modified, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    let inserted = inserted.bind(user.created.as_microsecond());
    writing.run(inserted).await?;
    Ok(())
}

/// A statement with all columns of a user except the creation time.
fn all_of<'q>(user: &'q User, sql: &'static str) -> Statement<'q> {
    statement(sql, &[&user.name])
        .bind(user.password_hash.as_deref())
        .bind(rows::integer(user.generation))
        .bind(user.details.email.as_deref())
        .bind(user.details.title.as_deref())
        .bind(user.details.description.as_deref())
        .bind(user.details.custom_data.as_ref().map(Value::to_string))
        .bind(user.modified.map(Timestamp::as_microsecond))
}

pub(super) async fn update(
    db: &dyn Engine,
    cause: &Cause,
    name: &str,
    update: &UserUpdate,
) -> Result<Option<User>, DbError> {
    let mut writing = Writing::begin(db, "change a user").await?;
    let Some(mut user) = find(&mut writing, name).await? else {
        return Ok(None);
    };
    let about = About::of(ChangeKind::UserModified, Some(name));
    let serial = writing.note(cause, about).await?;
    if update.password_hash.is_some() {
        user.password_hash.clone_from(&update.password_hash);
        user.generation = serial.0;
    }
    user.details = update.applied_to(user.details);
    user.modified = Some(cause.at);
    store(&mut writing, &user).await?;
    writing.commit().await?;
    Ok(Some(user))
}

/// Overwrites the user of the same name; the creation time stays.
pub(super) async fn store(writing: &mut Writing, user: &User) -> Result<(), DbError> {
    let stored = all_of(
        user,
        "UPDATE users SET password_hash = $2, generation = $3, email = $4, title = $5,
             description = $6, custom_data = $7, modified = $8 WHERE name = $1",
    );
    writing.run(stored).await?;
    Ok(())
}

pub(super) async fn delete(
    db: &dyn Engine,
    cause: &Cause,
    name: &str,
) -> Result<UserDeletion, DbError> {
    let mut writing = Writing::begin(db, "delete a user").await?;
    if find(&mut writing, name).await?.is_none() {
        return Ok(UserDeletion::Absent);
    }
    let found = statement(
        "SELECT * FROM indexes WHERE user_name = $1 ORDER BY name",
        &[name],
    );
    let indexes = writing.rows(found).await?;
    let indexes: Vec<_> = indexes.iter().map(rows::index).collect::<Result<_, _>>()?;
    if let Some(index) = indexes.iter().find(|index| !index.volatile) {
        return Ok(UserDeletion::NonVolatile(index.name.clone()));
    }
    for index in &indexes {
        remove::index_and_content(&mut writing, &index.name).await?;
    }
    for sql in [
        "DELETE FROM api_tokens WHERE user_name = $1",
        "DELETE FROM users WHERE name = $1",
    ] {
        writing.run(statement(sql, &[name])).await?;
    }
    let about = About::of(ChangeKind::UserDeleted, Some(name));
    Ok(UserDeletion::Deleted(writing.end(cause, about).await?))
}
