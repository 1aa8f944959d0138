//! Statements: their text is fixed, their values are bound.

/// A statement that can be run.
pub(super) type Statement<'q> =
    sqlx::query::Query<'q, sqlx::Sqlite, <sqlx::Sqlite as sqlx::Database>::Arguments>;

/// A statement with texts bound to `$1`, `$2` and so on; more may be bound after them.
pub(super) fn statement<'q>(sql: &'static str, texts: &[&'q str]) -> Statement<'q> {
    texts
        .iter()
        .fold(sqlx::query(sql), |statement, text| statement.bind(*text))
}
