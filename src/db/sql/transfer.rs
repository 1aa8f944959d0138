//! Brings all records from one database to another, as they are: users and tokens with their secrets, the
//! change log with its serials, deleted names and recalls with their numbers.
//!
//! The one side is read as of one instant, the other written in one transaction, which is committed only
//! when both were compared. Whatever breaks it off leaves the other side as it was: empty.

use sha2::{Digest as _, Sha256 as Hasher};

use crate::db::error::DbError;
use crate::db::record::Serial;
use crate::db::sql::connection::{Connection, Row};
use crate::db::sql::engine::Engine;
use crate::db::sql::rows;
use crate::db::sql::statement::{Statement, Value, composed, statement};
use crate::db::sql::tables::{Column, Kind, TABLES, TableText};
use crate::model::Sha256;

const DOING: &str = "move the records";

/// Rows that are read at one time.
const ROWS: i64 = 500;

/// What was brought over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRecords {
    /// The last committed write, on both sides.
    pub serial: Serial,
    /// The tables, in the order in which they were brought.
    pub tables: Vec<MovedTable>,
}

/// One table that was brought over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Of all its values, in the order of its key; the same on both sides.
    pub digest: Sha256,
}

/// Brings everything from one database to another that holds nothing yet.
///
/// # Errors
/// [`DbError::Occupied`] when the other holds something; when either fails, or does not read back what
/// was written. Nothing was written then.
pub async fn move_records(from: &dyn Engine, to: &dyn Engine) -> Result<MovedRecords, DbError> {
    let mut read = from.begin_reading(DOING).await?;
    let mut write = to.begin_writing(DOING).await?;
    expect_empty(&mut write).await?;
    server(&mut read, &mut write).await?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let table = table.text();
        let moved = copy(&table, &mut read, &mut write).await?;
        tables.push(moved);
    }
    let serial = number(
        &mut read,
        "SELECT coalesce(max(serial), 0) AS n FROM changes",
    )
    .await?;
    for (own, value) in [
        (to.own().set_serial, serial),
        (
            to.own().set_last_recall,
            number(&mut read, from.own().last_recall).await?,
        ),
    ] {
        for sql in own {
            let set = statement(sql, &[]).bind(value);
            write.run(set, DOING).await?;
        }
    }
    for (table, moved) in TABLES.iter().zip(&tables) {
        let again = digest(&table.text(), &mut write).await?;
        if again != *moved {
            let what = format!(
                "{} differs after it was written: {again:?}, {moved:?}",
                moved.name
            );
            return Err(DbError::Corrupt { doing: DOING, what });
        }
    }
    write.commit(DOING).await?;
    let serial = Serial(serial.unsigned_abs());
    Ok(MovedRecords { serial, tables })
}

/// Refuses to add to what is there.
async fn expect_empty(write: &mut Connection) -> Result<(), DbError> {
    for table in &TABLES {
        let table = table.text();
        let any = write.rows(composed(&table.first), DOING).await?;
        if !any.is_empty() {
            let what = format!("rows in {}", table.name);
            return Err(DbError::Occupied { what });
        }
    }
    Ok(())
}

/// Keeps uuid and secret, so that logins and clients that know the server go on.
async fn server(read: &mut Connection, write: &mut Connection) -> Result<(), DbError> {
    let facts = statement("SELECT uuid, secret, created FROM server", &[]);
    let row = read.row(facts, DOING).await?.ok_or(DbError::Corrupt {
        doing: DOING,
        what: "no row in server".to_owned(),
    })?;
    let facts = rows::reader(&row, DOING);
    let (uuid, secret): (String, Vec<u8>) = (facts.get("uuid")?, facts.get("secret")?);
    let created: i64 = facts.get("created")?;
    let kept = statement(
        "UPDATE server SET uuid = $1, secret = $2, created = $3",
        &[&uuid],
    );
    let kept = kept.bind(secret.as_slice()).bind(created);
    write.run(kept, DOING).await.map(drop)
}

async fn number(on: &mut Connection, sql: &'static str) -> Result<i64, DbError> {
    let row = on.row(statement(sql, &[]), DOING).await?;
    row.map_or(Ok(0), |row| rows::reader(&row, DOING).get("n"))
}

async fn copy(
    table: &TableText,
    read: &mut Connection,
    write: &mut Connection,
) -> Result<MovedTable, DbError> {
    let mut summing = Summing::of(table);
    let mut last = None;
    loop {
        let rows = batch(table, read, last.as_ref()).await?;
        for row in &rows {
            let values = values(table, row)?;
            summing.add(&values);
            let insert = composed(&table.insert);
            let insert = values
                .iter()
                .fold(insert, |insert, value| value.bound(insert));
            write.run(insert, DOING).await?;
            last = Some(values);
        }
        if rows.is_empty() {
            return Ok(summing.end());
        }
    }
}

async fn digest(table: &TableText, on: &mut Connection) -> Result<MovedTable, DbError> {
    let mut summing = Summing::of(table);
    let mut last = None;
    loop {
        let rows = batch(table, on, last.as_ref()).await?;
        for row in &rows {
            let values = values(table, row)?;
            summing.add(&values);
            last = Some(values);
        }
        if rows.is_empty() {
            return Ok(summing.end());
        }
    }
}

/// The rows after the last, in the order of the key.
async fn batch(
    table: &TableText,
    on: &mut Connection,
    last: Option<&Vec<Stored>>,
) -> Result<Vec<Row>, DbError> {
    let rows = match last {
        None => composed(&table.begin),
        Some(last) => {
            let rows = composed(&table.after);
            let key = last.iter().take(table.key);
            key.fold(rows, |rows, value| value.bound(rows))
        }
    };
    on.rows(rows.bind(ROWS), DOING).await
}

/// A value as it stands in a row.
enum Stored {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
    Truth(bool),
}

impl Stored {
    fn read(column: &Column, row: &Row) -> Result<Self, DbError> {
        let read = rows::reader(row, DOING);
        Ok(match column.kind {
            Kind::Text => Self::Text(read.get(column.name)?),
            Kind::Integer => Self::Integer(read.get(column.name)?),
            Kind::Bytes => Self::Bytes(read.get(column.name)?),
            Kind::Truth => Self::Truth(read.get(column.name)?),
        })
    }

    fn bound<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(match self {
            Self::Text(text) => Value::Text(text.as_deref()),
            Self::Integer(number) => Value::Integer(*number),
            Self::Bytes(bytes) => Value::Bytes(bytes.as_deref()),
            Self::Truth(truth) => Value::Truth(*truth),
        })
    }

    /// Its bytes; `None` for NULL.
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => text.as_ref().map(|text| text.as_bytes().to_vec()),
            Self::Integer(number) => number.map(|number| number.to_be_bytes().to_vec()),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Truth(truth) => Some(vec![u8::from(*truth)]),
        }
    }
}

fn values(table: &TableText, row: &Row) -> Result<Vec<Stored>, DbError> {
    let columns = table.columns.iter();
    columns.map(|column| Stored::read(column, row)).collect()
}

/// Counts rows and digests their values.
struct Summing {
    name: &'static str,
    rows: u64,
    hasher: Hasher,
}

impl Summing {
    fn of(table: &TableText) -> Self {
        Self {
            name: table.name,
            rows: 0,
            hasher: Hasher::new(),
        }
    }

    fn add(&mut self, values: &[Stored]) {
        self.rows += 1;
        for value in values {
            match value.bytes() {
                None => self.hasher.update([0]),
                Some(bytes) => {
                    self.hasher.update([1]);
                    self.hasher.update((bytes.len() as u64).to_be_bytes());
                    self.hasher.update(bytes);
                }
            }
        }
    }

    fn end(self) -> MovedTable {
        MovedTable {
            name: self.name,
            rows: self.rows,
            digest: Sha256::from_bytes(self.hasher.finalize().into()),
        }
    }
}
