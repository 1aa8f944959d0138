//! Writing CI tokens.

use crate::db::change::{Cause, NewApiToken};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial, TokenOperation};
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::statement;
use crate::db::sql::writing::{About, Writing};
use crate::model::Timestamp;

pub(super) async fn create(
    db: &dyn Engine,
    cause: &Cause,
    token: &NewApiToken,
) -> Result<Option<Serial>, DbError> {
    let mut writing = Writing::begin(db, "keep a token").await?;
    let operations = token.operations.iter().copied();
    let operations = operations.map(TokenOperation::as_str);
    let operations = operations.collect::<Vec<_>>().join(" ");
    let kept = statement(
        "INSERT INTO api_tokens (id, user_name, note, operations, secret_hash, index_name, created,
             expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO NOTHING",
        &[&token.id, &token.user, &token.note, &operations],
    )
    .bind(token.secret_hash.as_bytes().as_slice())
    // A glob contains no space; no glob means no restriction.
    .bind((!token.indexes.is_empty()).then(|| token.indexes.join(" ")))
    .bind(cause.at.as_microsecond())
    .bind(token.expires.as_microsecond());
    if writing.run(kept).await? == 0 {
        return Ok(None);
    }
    let about = About::of(ChangeKind::TokenCreated, Some(&token.id));
    writing.end(cause, about).await.map(Some)
}

pub(super) async fn note_uses(
    db: &dyn Engine,
    uses: &[(String, Timestamp)],
) -> Result<(), DbError> {
    let mut writing = Writing::begin(db, "note the use of tokens").await?;
    for (id, at) in uses {
        let noted = statement(
            "UPDATE api_tokens SET last_used = $2
             WHERE id = $1 AND (last_used IS NULL OR last_used < $2)",
            &[id],
        );
        writing.run(noted.bind(at.as_microsecond())).await?;
    }
    writing.commit().await
}

pub(super) async fn delete(
    db: &dyn Engine,
    cause: &Cause,
    id: &str,
) -> Result<Option<Serial>, DbError> {
    let mut writing = Writing::begin(db, "withdraw a token").await?;
    let gone = statement("DELETE FROM api_tokens WHERE id = $1", &[id]);
    if writing.run(gone).await? == 0 {
        return Ok(None);
    }
    let about = About::of(ChangeKind::TokenDeleted, Some(id));
    writing.end(cause, about).await.map(Some)
}
