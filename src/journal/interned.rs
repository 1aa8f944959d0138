//! The side tables: each text stands once, rows name it by number.
//!
//! The numbers in use are remembered, within a limit. They are those of one connection's committed
//! transactions: after a failure they are forgotten together with the connection.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use sqlx::{Row as _, SqliteConnection};

use crate::journal::entry::{JournalDecision, JournalEntry, JournalledFile};
use crate::journal::statement::{Statement, statement};
use crate::model::{Filename, IndexName, ProjectName};
use crate::telemetry::Label as _;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The numbers of what an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Numbers {
    pub(super) item: i64,
    pub(super) client: i64,
    pub(super) ruling: i64,
}

/// A number, and the last day that the table knows of on which it was used.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: i64,
    last: i64,
}

type ItemKey = (Option<ProjectName>, Option<JournalledFile>);
type ClientKey = (Option<IpAddr>, Option<Arc<str>>, Option<Arc<str>>);
type RulingKey = (IndexName, JournalDecision, Option<Arc<str>>);

#[derive(Debug)]
pub(super) struct Interned {
    has_clients: bool,
    items: Remembered<ItemKey>,
    clients: Remembered<ClientKey>,
    rulings: Remembered<RulingKey>,
}

impl Interned {
    /// Remembers at most so many of each kind; leaves addresses out unless `has_clients`.
    pub(super) fn new(has_clients: bool, most: usize) -> Self {
        Self {
            has_clients,
            items: Remembered::new(most),
            clients: Remembered::new(most),
            rulings: Remembered::new(most),
        }
    }

    /// Forgets all numbers, but not what the tables have.
    pub(super) fn forget(&mut self) {
        self.items.known.clear();
        self.clients.known.clear();
        self.rulings.known.clear();
    }

    /// The numbers of an entry, which the tables have from now on.
    pub(super) async fn numbers(
        &mut self,
        connection: &mut SqliteConnection,
        entry: &JournalEntry,
    ) -> Result<Numbers, sqlx::Error> {
        let day = entry.at.as_second().div_euclid(DAY);
        let address = entry.client.filter(|_| self.has_clients);
        let client = (address, entry.user.clone(), entry.token.clone());
        let item = (entry.project.clone(), entry.file.clone());
        let ruling = (entry.index.clone(), entry.decision, entry.rule.clone());
        Ok(Numbers {
            item: self.items.number(connection, item, day).await?,
            client: self.clients.number(connection, client, day).await?,
            ruling: self.rulings.number(connection, ruling, day).await?,
        })
    }
}

/// What stands in a row of a side table.
trait SideRow: Clone + Eq + Hash {
    /// Finds the row: its number and last day.
    const FIND: &'static str;
    /// Adds it; the last value is the day.
    const ADD: &'static str;
    /// Notes another last day.
    const USE: &'static str;
    /// Binds its texts, in the order of the columns.
    fn bound<'q>(&'q self, statement: Statement<'q>) -> Statement<'q>;
}

impl SideRow for ItemKey {
    const FIND: &'static str = "SELECT id, last FROM items
         WHERE project IS $1 AND version IS $2 AND file IS $3 AND sha256 IS $4 LIMIT 1";
    const ADD: &'static str =
        "INSERT INTO items (project, version, file, sha256, last) VALUES ($1, $2, $3, $4, $5)";
    const USE: &'static str = "UPDATE items SET last = $2 WHERE id = $1";

    fn bound<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        let (project, file) = self;
        let name = file.as_ref().map(|file| &*file.name);
        let named = name.map(|name| release_of(project.as_ref(), name));
        let (project, version) = named.unwrap_or_else(|| (project.clone(), None));
        statement
            .bind(project.map(|project| project.as_str().to_owned()))
            .bind(version)
            .bind(name)
            .bind(
                file.as_ref()
                    .and_then(|file| Some(file.sha256?.as_bytes().to_vec())),
            )
    }
}

/// The project and version that a file's name tells.
fn release_of(known: Option<&ProjectName>, name: &str) -> (Option<ProjectName>, Option<String>) {
    let project = known.cloned();
    let project = project.or_else(|| Filename::projects(name).into_iter().next());
    let parsed = project
        .as_ref()
        .and_then(|project| Filename::parse(name, project).ok());
    let version = parsed.map(|name| name.version_text().to_owned());
    (project, version)
}

impl SideRow for ClientKey {
    const FIND: &'static str =
        "SELECT id, last FROM clients WHERE address IS $1 AND user IS $2 AND token IS $3 LIMIT 1";
    const ADD: &'static str =
        "INSERT INTO clients (address, user, token, last) VALUES ($1, $2, $3, $4)";
    const USE: &'static str = "UPDATE clients SET last = $2 WHERE id = $1";

    fn bound<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        let (address, user, token) = self;
        statement
            .bind(address.map(|address| address.to_string()))
            .bind(user.as_deref())
            .bind(token.as_deref())
    }
}

impl SideRow for RulingKey {
    const FIND: &'static str = "SELECT id, last FROM rulings
         WHERE index_name IS $1 AND decision IS $2 AND rule IS $3 LIMIT 1";
    const ADD: &'static str =
        "INSERT INTO rulings (index_name, decision, rule, last) VALUES ($1, $2, $3, $4)";
    const USE: &'static str = "UPDATE rulings SET last = $2 WHERE id = $1";

    fn bound<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        let (index, decision, rule) = self;
        statement
            .bind(index.as_str())
            .bind(decision.label())
            .bind(rule.as_deref())
    }
}

/// The numbers of one table.
#[derive(Debug)]
struct Remembered<K> {
    known: HashMap<K, Known>,
    most: usize,
}

impl<K: SideRow> Remembered<K> {
    fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            most,
        }
    }

    /// The number of a row, which is added if it is missing, and is known to be in use on this day.
    async fn number(
        &mut self,
        connection: &mut SqliteConnection,
        key: K,
        day: i64,
    ) -> Result<i64, sqlx::Error> {
        if let Some(known) = self.known.get(&key)
            && known.last >= day
        {
            return Ok(known.id);
        }
        // Remembered from another day, it may have been removed since.
        let found = key.bound(statement(K::FIND));
        let found = found.fetch_optional(&mut *connection).await?;
        let known = match found {
            Some(row) => {
                let (id, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                if last < day {
                    let used = statement(K::USE).bind(id).bind(day);
                    used.execute(&mut *connection).await?;
                }
                let last = last.max(day);
                Known { id, last }
            }
            None => {
                let added = key.bound(statement(K::ADD)).bind(day);
                let id = added.execute(&mut *connection).await?.last_insert_rowid();
                Known { id, last: day }
            }
        };
        if self.known.len() >= self.most {
            self.known.clear();
        }
        self.known.insert(key, known);
        Ok(known.id)
    }
}
