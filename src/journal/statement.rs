//! Statements: their text is fixed, their values are bound.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, SqliteConnection, Type};

/// A statement that can be run.
pub(super) type Statement<'q> =
    sqlx::query::Query<'q, Sqlite, <Sqlite as sqlx::Database>::Arguments>;

/// A statement with this text.
pub(super) fn statement<'q>(sql: &'static str) -> Statement<'q> {
    sqlx::query(sql)
}

/// The first value that a statement finds.
pub(super) async fn value<T>(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<T, sqlx::Error>
where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + Send + Unpin,
{
    let row: SqliteRow = statement(sql).fetch_one(connection).await?;
    row.try_get(0)
}

/// A list of lists of numbers as JSON, which SQLite reads as a table: one statement for any number of rows.
pub(super) fn table<const N: usize>(rows: impl Iterator<Item = [i64; N]>) -> String {
    let mut text = String::from("[");
    for row in rows {
        text.push_str(if text.len() == 1 { "[" } else { ",[" });
        for (at, number) in row.into_iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(itoa::Buffer::new().format(number));
        }
        text.push(']');
    }
    text.push(']');
    text
}
