//! Reading, also beside a running server.
//!
//! Rows are read some thousand at a time, each time as of another instant: a reader that takes its time
//! does not keep the server from reusing its write-ahead log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::journal::entry::JournalDecision;
use crate::journal::error::JournalError;
use crate::journal::open::open_to_read;
use crate::journal::row::{JournalClient, JournalItem, JournalRow, JournalRuling, JournalSubject};
use crate::journal::statement::{Statement, statement, table};
use crate::model::{ProjectName, Sha256, Timestamp, Version};
use crate::telemetry::{Label as _, LabelSet as _};

/// Rows that are read together.
const ROWS: i64 = 10_000;

/// The same, when they are looked for by what they are about: for each part all of them are gone through.
const ROWS_OF_ITEMS: i64 = 100_000;

/// Rows as one text of numbers: the driver takes longer for each value than SQLite for writing it out.
const ALL: &str = "SELECT group_concat(line, ' ') FROM
    (SELECT format('%d %d %d %d %d', at, item, client, ruling, times) AS line
     FROM entries WHERE at > $1 ORDER BY at LIMIT $2)";

/// The same of some items.
const OF_ITEMS: &str = "SELECT group_concat(line, ' ') FROM
    (SELECT at || ' ' || item || ' ' || client || ' ' || ruling || ' ' || times AS line
     FROM entries INDEXED BY entries_by_item
     WHERE item IN (SELECT value ->> 0 FROM json_each($3)) AND at > $1
     ORDER BY at LIMIT $2)";

/// Names in each side table that are remembered before they are read again.
const NAMES_MAX: usize = 1 << 20;

/// A journal, open to read.
#[derive(Debug)]
pub struct JournalReader {
    connection: SqliteConnection,
    path: PathBuf,
    names: Names,
}

/// Rows in the order of their time.
#[derive(Debug)]
pub struct JournalRows<'a> {
    reader: &'a mut JournalReader,
    /// The items that are asked for; `None` for all.
    items: Option<String>,
    after: i64,
    read: VecDeque<JournalRow>,
    is_over: bool,
}

impl JournalReader {
    /// Opens the file; `None` if there is none.
    ///
    /// # Errors
    /// When it is damaged, written by a newer program, or cannot be read.
    pub async fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let connection = open_to_read(path).await?;
        Ok(connection.map(|connection| Self {
            connection,
            path: path.to_owned(),
            names: Names::default(),
        }))
    }

    /// The rows about a subject from an instant on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn rows(
        &mut self,
        of: &JournalSubject,
        since: Timestamp,
    ) -> Result<JournalRows<'_>, JournalError> {
        let items = match of {
            JournalSubject::All => None,
            JournalSubject::Sha256(sha256) => Some(self.with_digest(sha256).await?),
            JournalSubject::Project(project) => Some(self.of_project(project, None).await?),
            JournalSubject::Release(project, version) => {
                Some(self.of_project(project, Some(version)).await?)
            }
        };
        let items = items.map(|items| table(items.into_iter().map(|item| [item])));
        Ok(JournalRows {
            reader: self,
            items,
            after: since.as_microsecond().saturating_sub(1),
            read: VecDeque::new(),
            is_over: false,
        })
    }

    /// The time of the oldest row; `None` if there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn oldest(&mut self) -> Result<Option<Timestamp>, JournalError> {
        let failed = JournalError::of("look for the oldest row", &self.path);
        let oldest = statement("SELECT min(at) FROM entries");
        let oldest = oldest.fetch_one(&mut self.connection).await;
        let oldest: Result<Option<i64>, _> = oldest.and_then(|row| row.try_get(0));
        let oldest = oldest.map_err(failed)?;
        Ok(oldest.and_then(|at| Timestamp::from_microsecond(at).ok()))
    }

    /// The rows after an instant, by their numbers.
    pub(super) async fn numbered(
        &mut self,
        after: i64,
        most: i64,
    ) -> Result<Vec<Numbered>, JournalError> {
        let failed = JournalError::of("read the journal", &self.path);
        let text = statement(ALL).bind(after).bind(most);
        let text = text.fetch_one(&mut self.connection).await;
        let text = text.and_then(|row| row.try_get::<Option<String>, _>(0));
        let text = text.map_err(&failed)?.unwrap_or_default();
        Numbered::read(&text).map_err(failed)
    }

    /// Reads the names of items, clients and rulings with these numbers.
    pub(super) async fn learn(&mut self, numbers: &NumbersOf) -> Result<(), JournalError> {
        let failed = JournalError::of("read the journal", &self.path);
        let connection = &mut self.connection;
        let learnt = self.names.learn(
            connection,
            numbers.items.iter().copied(),
            numbers.clients.iter().copied(),
            numbers.rulings.iter().copied(),
        );
        learnt.await.map_err(failed)
    }

    /// The names of an item and a ruling that were learnt.
    pub(super) fn item_and_ruling(
        &self,
        item: i64,
        ruling: i64,
    ) -> Option<(Arc<JournalItem>, &JournalRuling)> {
        let item = self.names.items.get(&item)?;
        Some((Arc::clone(item), self.names.rulings.get(&ruling)?))
    }

    /// The name of a client that was learnt.
    pub(super) fn client(&self, number: i64) -> Option<Arc<JournalClient>> {
        self.names.clients.get(&number).cloned()
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file.
    pub async fn close(self) {
        // A reader has nothing to lose.
        let _ = self.connection.close().await;
    }

    async fn with_digest(&mut self, sha256: &Sha256) -> Result<Vec<i64>, JournalError> {
        let failed = JournalError::of("look for a digest", &self.path);
        let found = statement("SELECT id FROM items WHERE sha256 = $1");
        let found = found.bind(sha256.as_bytes().as_slice());
        let found = found.fetch_all(&mut self.connection).await;
        let ids = found.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        ids.map_err(failed)
    }

    async fn of_project(
        &mut self,
        project: &ProjectName,
        version: Option<&Version>,
    ) -> Result<Vec<i64>, JournalError> {
        let failed = JournalError::of("look for a project", &self.path);
        let found = statement("SELECT id, version FROM items WHERE project = $1");
        let found = found.bind(project.as_str());
        let found = found.fetch_all(&mut self.connection).await;
        let found = found.and_then(|rows| {
            let both = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
            rows.iter()
                .map(both)
                .collect::<Result<Vec<_>, sqlx::Error>>()
        });
        let found: Vec<(i64, Option<String>)> = found.map_err(failed)?;
        let is_meant = |named: Option<&str>| {
            version
                .is_none_or(|version| named.is_some_and(|named| Version::parse(named) == *version))
        };
        let meant = found
            .into_iter()
            .filter(|(_, named)| is_meant(named.as_deref()));
        Ok(meant.map(|(id, _)| id).collect())
    }
}

impl JournalRows<'_> {
    /// The next row.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub async fn next(&mut self) -> Result<Option<JournalRow>, JournalError> {
        if self.read.is_empty() && !self.is_over {
            self.read_more().await?;
        }
        Ok(self.read.pop_front())
    }

    async fn read_more(&mut self) -> Result<(), JournalError> {
        let JournalReader {
            connection,
            path,
            names,
        } = &mut *self.reader;
        let failed = JournalError::of("read the journal", path);
        let (statement, most) = match &self.items {
            None => (statement(ALL), ROWS),
            Some(_) => (statement(OF_ITEMS), ROWS_OF_ITEMS),
        };
        let statement = statement.bind(self.after).bind(most);
        let statement = match &self.items {
            Some(items) => statement.bind(items.as_str()),
            None => statement,
        };
        let text = statement.fetch_one(&mut *connection).await;
        let text = text.and_then(|row| row.try_get::<Option<String>, _>(0));
        let text = text.map_err(&failed)?.unwrap_or_default();
        let rows = Numbered::read(&text).map_err(&failed)?;
        names.learn_rows(connection, &rows).await.map_err(failed)?;
        self.is_over = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
        self.after = rows.last().map_or(self.after, |row| row.at);
        self.read
            .extend(rows.iter().filter_map(|row| names.told(row)));
        Ok(())
    }
}

/// A row as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) at: i64,
    pub(super) item: i64,
    pub(super) client: i64,
    pub(super) ruling: i64,
    pub(super) times: i64,
}

impl Numbered {
    /// The rows in a text as [`ALL`] makes it.
    fn read(text: &str) -> Result<Vec<Self>, sqlx::Error> {
        let number = |numbers: &mut std::str::SplitAsciiWhitespace<'_>| {
            let text = numbers.next()?;
            text.parse().ok()
        };
        let mut numbers = text.split_ascii_whitespace();
        let mut rows = Vec::new();
        while let Some(at) = number(&mut numbers) {
            let mut next = || {
                let found = number(&mut numbers);
                found.ok_or_else(|| sqlx::Error::Decode("a row is not of numbers".into()))
            };
            rows.push(Self {
                at,
                item: next()?,
                client: next()?,
                ruling: next()?,
                times: next()?,
            });
        }
        Ok(rows)
    }
}

/// Numbers whose names are needed.
#[derive(Debug, Default)]
pub(super) struct NumbersOf {
    pub(super) items: HashSet<i64>,
    pub(super) clients: HashSet<i64>,
    pub(super) rulings: HashSet<i64>,
}

/// Numbers of a table are looked up for each row: multiplying is enough of a hash for them.
#[derive(Debug, Default)]
pub(super) struct Multiplied(u64);

impl std::hash::Hasher for Multiplied {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}

type ByNumber<T> = HashMap<i64, Arc<T>, BuildHasherDefault<Multiplied>>;

/// What the side tables say, as far as it was needed.
#[derive(Debug, Default)]
struct Names {
    items: ByNumber<JournalItem>,
    clients: ByNumber<JournalClient>,
    rulings: ByNumber<JournalRuling>,
}

impl Names {
    /// The row with its names; `None` if it was removed between two looks at the file.
    fn told(&self, row: &Numbered) -> Option<JournalRow> {
        Some(JournalRow {
            at: Timestamp::from_microsecond(row.at).ok()?,
            times: row.times.unsigned_abs(),
            item: Arc::clone(self.items.get(&row.item)?),
            client: Arc::clone(self.clients.get(&row.client)?),
            ruling: Arc::clone(self.rulings.get(&row.ruling)?),
        })
    }

    /// Reads the names that these rows need.
    async fn learn_rows(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &[Numbered],
    ) -> Result<(), sqlx::Error> {
        self.learn(
            connection,
            rows.iter().map(|row| row.item),
            rows.iter().map(|row| row.client),
            rows.iter().map(|row| row.ruling),
        )
        .await
    }

    async fn learn(
        &mut self,
        connection: &mut SqliteConnection,
        of_items: impl Iterator<Item = i64> + Clone,
        of_clients: impl Iterator<Item = i64> + Clone,
        of_rulings: impl Iterator<Item = i64> + Clone,
    ) -> Result<(), sqlx::Error> {
        let items = statement(
            "SELECT id, project, version, file, sha256 FROM items
             WHERE id IN (SELECT value ->> 0 FROM json_each($1))",
        );
        learn(&mut self.items, connection, items, of_items, item).await?;
        let clients = statement(
            "SELECT id, address, user, token FROM clients
             WHERE id IN (SELECT value ->> 0 FROM json_each($1))",
        );
        learn(&mut self.clients, connection, clients, of_clients, client).await?;
        let rulings = statement(
            "SELECT id, index_name, decision, rule FROM rulings
             WHERE id IN (SELECT value ->> 0 FROM json_each($1))",
        );
        learn(&mut self.rulings, connection, rulings, of_rulings, ruling).await
    }
}

async fn learn<T>(
    known: &mut ByNumber<T>,
    connection: &mut SqliteConnection,
    find: Statement<'_>,
    numbers: impl Iterator<Item = i64> + Clone,
    read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<(), sqlx::Error> {
    let missing: HashSet<i64> = numbers
        .clone()
        .filter(|number| !known.contains_key(number))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let needed: HashSet<i64> = if known.len() + missing.len() > NAMES_MAX {
        known.clear();
        numbers.collect()
    } else {
        missing
    };
    let needed = table(needed.into_iter().map(|number| [number]));
    for row in find.bind(needed).fetch_all(connection).await? {
        known.insert(row.try_get(0)?, Arc::new(read(&row)?));
    }
    Ok(())
}

fn text(row: &SqliteRow, column: usize) -> Result<Option<Arc<str>>, sqlx::Error> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.map(Arc::from))
}

fn item(row: &SqliteRow) -> Result<JournalItem, sqlx::Error> {
    let sha256: Option<&[u8]> = row.try_get(4)?;
    let sha256 = sha256.and_then(|bytes| Some(Sha256::from_bytes(bytes.try_into().ok()?)));
    Ok(JournalItem {
        project: text(row, 1)?,
        version: text(row, 2)?,
        file: text(row, 3)?,
        sha256,
    })
}

fn client(row: &SqliteRow) -> Result<JournalClient, sqlx::Error> {
    Ok(JournalClient {
        address: text(row, 1)?,
        user: text(row, 2)?,
        token: text(row, 3)?,
    })
}

fn ruling(row: &SqliteRow) -> Result<JournalRuling, sqlx::Error> {
    let word: &str = row.try_get(2)?;
    let decision = JournalDecision::ALL.iter().find(|one| one.label() == word);
    let decision =
        decision.ok_or_else(|| sqlx::Error::Decode(format!("decision {word}").into()))?;
    Ok(JournalRuling {
        index: text(row, 1)?.unwrap_or_default(),
        decision: *decision,
        rule: text(row, 3)?,
    })
}
