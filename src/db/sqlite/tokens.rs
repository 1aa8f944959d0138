//! CI tokens.

use crate::db::change::{Cause, NewApiToken};
use crate::db::error::DbError;
use crate::db::record::{ApiToken, ChangeKind, Serial, TokenOperation};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::rows;
use crate::db::sqlite::writing::About;
use crate::model::Timestamp;

fn about(kind: ChangeKind, id: &str) -> About<'_> {
    About {
        kind,
        index: None,
        project: None,
        detail: Some(id),
    }
}

pub(super) async fn create(
    db: &Sqlite,
    cause: &Cause,
    token: &NewApiToken,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("keep a token").await?;
    let failed = writing.failed();
    let words: Vec<&str> = token
        .operations
        .iter()
        .map(|one| TokenOperation::as_str(*one))
        .collect();
    let kept = sqlx::query(
        "INSERT INTO api_tokens (id, user_name, secret_hash, note, index_name, operations, created,
             expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&token.id)
    .bind(&token.user)
    .bind(token.secret_hash.as_bytes().as_slice())
    .bind(&token.note)
    .bind((!token.indexes.is_empty()).then(|| token.indexes.join(" ")))
    .bind(words.join(" "))
    .bind(cause.at.as_microsecond())
    .bind(token.expires.as_microsecond())
    .execute(writing.on())
    .await
    .map_err(failed)?;
    if kept.rows_affected() == 0 {
        return Ok(None);
    }
    let serial = writing
        .note(cause, about(ChangeKind::TokenCreated, &token.id))
        .await?;
    writing.commit().await?;
    Ok(Some(serial))
}

pub(super) async fn one(db: &Sqlite, id: &str) -> Result<Option<ApiToken>, DbError> {
    let row = sqlx::query("SELECT * FROM api_tokens WHERE id = $1")
        .bind(id)
        .fetch_optional(&db.readers)
        .await
        .map_err(rows::failed("read a token"))?;
    row.as_ref().map(rows::api_token).transpose()
}

pub(super) async fn of_user(db: &Sqlite, user: &str) -> Result<Vec<ApiToken>, DbError> {
    let rows = sqlx::query("SELECT * FROM api_tokens WHERE user_name = $1 ORDER BY created, id")
        .bind(user)
        .fetch_all(&db.readers)
        .await
        .map_err(rows::failed("list a user's tokens"))?;
    rows.iter().map(rows::api_token).collect()
}

pub(super) async fn note_uses(db: &Sqlite, uses: &[(String, Timestamp)]) -> Result<(), DbError> {
    let mut writing = db.write("note the use of tokens").await?;
    let failed = writing.failed();
    for (id, at) in uses {
        sqlx::query(
            "UPDATE api_tokens SET last_used = $2
             WHERE id = $1 AND (last_used IS NULL OR last_used < $2)",
        )
        .bind(id)
        .bind(at.as_microsecond())
        .execute(writing.on())
        .await
        .map_err(&failed)?;
    }
    writing.commit().await
}

pub(super) async fn delete(
    db: &Sqlite,
    cause: &Cause,
    id: &str,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("withdraw a token").await?;
    let failed = writing.failed();
    let gone = sqlx::query("DELETE FROM api_tokens WHERE id = $1")
        .bind(id)
        .execute(writing.on())
        .await
        .map_err(failed)?;
    if gone.rows_affected() == 0 {
        return Ok(None);
    }
    let serial = writing
        .note(cause, about(ChangeKind::TokenDeleted, id))
        .await?;
    writing.commit().await?;
    Ok(Some(serial))
}
