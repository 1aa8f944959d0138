//! Recalls: few rows, read as a whole.

use crate::db::change::{Cause, NewRecall, RecallMade};
use crate::db::error::DbError;
use crate::db::record::ChangeKind;
use crate::db::sql::engine::Engine;
use crate::db::sql::rows;
use crate::db::sql::statement::statement;
use crate::db::sql::writing::{About, Writing};
use crate::model::Recall;

pub(super) async fn make(
    db: &dyn Engine,
    cause: &Cause,
    new: &NewRecall,
) -> Result<RecallMade, DbError> {
    let mut writing = Writing::begin(db, "record a recall").await?;
    let subject = new.subject.to_string();
    let find = || statement("SELECT * FROM recalls WHERE subject = $1", &[&subject]);
    if let Some(there) = writing.row(find()).await? {
        return Ok(RecallMade::Already(rows::recall(&there)?));
    }
    let who = cause.who.as_deref();
    let insert = statement(
        "INSERT INTO recalls (subject, reason, who, at, is_kept) VALUES ($1, $2, $3, $4, $5)",
        &[&subject, &new.reason],
    );
    let insert = insert.bind(who).bind(cause.at.as_microsecond());
    writing.run(insert.bind(new.is_kept)).await?;
    let made = writing.row(find()).await?;
    let made = made.ok_or(DbError::Corrupt {
        doing: "record a recall",
        what: "no row where one was written".to_owned(),
    })?;
    let made = rows::recall(&made)?;
    let about = About::of(ChangeKind::Recalled, Some(&subject));
    writing.end(cause, about).await?;
    Ok(RecallMade::Made(made))
}

pub(super) async fn withdraw(
    db: &dyn Engine,
    cause: &Cause,
    id: u64,
) -> Result<Option<Recall>, DbError> {
    let mut writing = Writing::begin(db, "withdraw a recall").await?;
    let find = statement("SELECT * FROM recalls WHERE id = $1", &[]);
    let there = writing.row(find.bind(rows::integer(id))).await?;
    let Some(there) = there else {
        return Ok(None);
    };
    let there = rows::recall(&there)?;
    let delete = statement("DELETE FROM recalls WHERE id = $1", &[]);
    writing.run(delete.bind(rows::integer(id))).await?;
    let subject = there.subject.to_string();
    let about = About::of(ChangeKind::RecallWithdrawn, Some(&subject));
    writing.end(cause, about).await?;
    Ok(Some(there))
}
