//! Statements: their text is fixed, their values are bound. Both databases number the places `$1`, `$2`.

use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Database, Encode, SqlSafeStr as _, SqlStr, Type};

/// A statement that can be run on either database.
#[derive(Debug)]
pub(in crate::db) struct Statement<'q> {
    sql: SqlStr,
    values: Vec<Value<'q>>,
}

/// A value of one of the columns' types.
#[derive(Debug)]
pub(in crate::db) enum Value<'q> {
    Text(Option<&'q str>),
    Owned(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<&'q [u8]>),
    Truth(bool),
}

/// A statement with texts bound to `$1`, `$2` and so on; more may be bound after them.
pub(in crate::db) fn statement<'q>(sql: &'static str, texts: &[&'q str]) -> Statement<'q> {
    Statement {
        sql: sql.into_sql_str(),
        values: texts.iter().map(|text| Value::from(*text)).collect(),
    }
}

/// A statement whose text was put together from the tables' own names.
pub(in crate::db) fn composed<'q>(sql: &str) -> Statement<'q> {
    Statement {
        sql: AssertSqlSafe(sql).into_sql_str(),
        values: Vec::new(),
    }
}

impl<'q> Statement<'q> {
    /// The same with a value for the next place.
    pub(in crate::db) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Whether a text holds U+0000, which PostgreSQL stores in no text.
    pub(in crate::db) fn has_nul(&self) -> bool {
        self.values.iter().any(|value| match value {
            Value::Text(text) => text.is_some_and(|text| text.contains('\0')),
            Value::Owned(text) => text.as_ref().is_some_and(|text| text.contains('\0')),
            Value::Integer(_) | Value::Bytes(_) | Value::Truth(_) => false,
        })
    }

    /// The same as the driver knows it.
    pub(in crate::db) fn of_driver<DB>(self) -> Query<'q, DB, <DB as Database>::Arguments>
    where
        DB: Database,
        Option<&'q str>: Encode<'q, DB> + Type<DB>,
        Option<String>: Encode<'q, DB> + Type<DB>,
        Option<i64>: Encode<'q, DB> + Type<DB>,
        Option<&'q [u8]>: Encode<'q, DB> + Type<DB>,
        bool: Encode<'q, DB> + Type<DB>,
    {
        let query = sqlx::query::<DB>(self.sql);
        self.values
            .into_iter()
            .fold(query, |query, value| match value {
                Value::Text(text) => query.bind(text),
                Value::Owned(text) => query.bind(text),
                Value::Integer(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Truth(truth) => query.bind(truth),
            })
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Owned(Some(text))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Owned(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'q> From<Option<&'q [u8]>> for Value<'q> {
    fn from(bytes: Option<&'q [u8]>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}
