//! The file, open to write: a batch of entries becomes rows in one transaction.
//!
//! After any failure it is dropped and opened again. SQLite may have rolled back by itself, which the driver
//! does not notice, and the numbers remembered may be those of rows that were rolled back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::journal::entry::{JournalDecision, JournalEntry, Repeated};
use crate::journal::error::JournalError;
use crate::journal::interned::{Interned, Numbers};
use crate::journal::open::{JournalRules, open_to_write};
use crate::journal::statement::{statement, table};
use crate::model::client_network;

/// The file, open to write.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    /// Device and number of the file that was opened.
    place: (u64, u64),
    interned: Interned,
    minute: Minute,
}

/// What the present minute has rows for already.
#[derive(Debug, Default)]
struct Minute {
    number: i64,
    /// The rows of pages, to which the next of the same are added.
    pages: HashMap<Numbers, i64>,
    /// Rows of refusals, by their client's network.
    refusals: HashMap<Option<IpAddr>, u32>,
}

/// Rows to be, by their time.
type Drafts = BTreeMap<i64, (Numbers, u32)>;

impl Ledger {
    pub(super) async fn open(path: &Path, rules: &JournalRules) -> Result<Self, JournalError> {
        let connection = open_to_write(path).await?;
        Ok(Self {
            place: place_of(path)?,
            connection,
            path: path.to_owned(),
            interned: Interned::new(rules.has_clients, rules.limits.journal_names),
            minute: Minute::default(),
        })
    }

    /// Refuses to write into a file that nobody will find again. SQLite itself does not check.
    pub(super) fn check_place(&self) -> Result<(), JournalError> {
        if place_of(&self.path)? == self.place {
            return Ok(());
        }
        Err(JournalError::Unavailable {
            doing: "write",
            path: self.path.display().to_string(),
            cause: "another file stands there than was opened".into(),
        })
    }

    /// Writes a batch; returns how many rows it made.
    pub(super) async fn append(
        &mut self,
        batch: &mut [Repeated],
        rules: &JournalRules,
    ) -> Result<u64, JournalError> {
        let failed = JournalError::of("write to the journal", &self.path);
        batch.sort_by_key(|repeated| repeated.entry.at);
        self.add(batch, rules).await.map_err(failed)
    }

    async fn add(&mut self, batch: &[Repeated], rules: &JournalRules) -> Result<u64, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let (mut drafts, mut again) = (Drafts::new(), HashMap::<i64, i64>::new());
        for Repeated { entry, times } in batch {
            self.minute.pass_to(entry.minute());
            let entry = &*self.minute.shared_out(entry, rules.limits.journal_refusals);
            let numbers = self.interned.numbers(&mut transaction, entry).await?;
            let is_page = entry.file.is_none() && entry.minute() == self.minute.number;
            let row = self.minute.pages.get(&numbers).filter(|_| is_page).copied();
            match row {
                Some(at) => match drafts.get_mut(&at) {
                    Some((_, so_far)) => *so_far = so_far.saturating_add(*times),
                    None => *again.entry(at).or_default() += i64::from(*times),
                },
                None => {
                    let at = free(&drafts, entry.at.as_microsecond());
                    drafts.insert(at, (numbers, *times));
                    if is_page && self.minute.pages.len() < rules.limits.journal_names {
                        self.minute.pages.insert(numbers, at);
                    }
                }
            }
        }
        let moved = make_room(&mut transaction, &mut drafts).await?;
        self.minute.follow(&moved);
        insert(&mut transaction, &drafts).await?;
        count_again(&mut transaction, &again).await?;
        transaction.commit().await?;
        Ok(drafts.len() as u64)
    }

    /// Forgets which numbers and rows there are: some were removed.
    pub(super) fn forget(&mut self) {
        self.interned.forget();
        self.minute.pages.clear();
    }

    /// Closes the file; what was written is then in the file itself, unless another program reads it.
    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the journal ends in its write-ahead log");
        }
    }
}

impl Minute {
    /// Begins another minute, if this one is later.
    fn pass_to(&mut self, minute: i64) {
        if minute > self.number {
            self.number = minute;
            self.pages.clear();
            self.refusals.clear();
        }
    }

    /// The entry, or its stand-in if its client has used its share of refusals.
    fn shared_out<'a>(
        &mut self,
        entry: &'a JournalEntry,
        most: u32,
    ) -> std::borrow::Cow<'a, JournalEntry> {
        if entry.decision != JournalDecision::Deny {
            return std::borrow::Cow::Borrowed(entry);
        }
        let refusals = self.refusals.entry(entry.client.map(client_network));
        let refusals = refusals.or_default();
        *refusals = refusals.saturating_add(1);
        if *refusals <= most {
            return std::borrow::Cow::Borrowed(entry);
        }
        std::borrow::Cow::Owned(JournalEntry {
            client: entry.client.map(client_network),
            project: None,
            file: None,
            rule: None,
            ..entry.clone()
        })
    }

    /// Notes where rows of pages really are.
    fn follow(&mut self, moved: &HashMap<i64, i64>) {
        for at in self.pages.values_mut() {
            if let Some(now) = moved.get(at) {
                *at = *now;
            }
        }
    }
}

/// This microsecond, or the next that no draft has.
fn free(drafts: &Drafts, mut at: i64) -> i64 {
    while drafts.contains_key(&at) {
        at += 1;
    }
    at
}

/// Moves drafts whose microsecond has a row already to a later one; returns from where to where.
async fn make_room(
    connection: &mut SqliteConnection,
    drafts: &mut Drafts,
) -> Result<HashMap<i64, i64>, sqlx::Error> {
    let mut moved = HashMap::new();
    loop {
        let times = table(drafts.keys().map(|at| [*at]));
        let taken =
            statement("SELECT at FROM entries WHERE at IN (SELECT value ->> 0 FROM json_each($1))");
        let taken = taken.bind(times).fetch_all(&mut *connection).await?;
        let taken: Result<HashSet<i64>, _> = taken.iter().map(|row| row.try_get(0)).collect();
        let taken = taken?;
        let Some(last) = taken.iter().max().copied() else {
            return Ok(moved);
        };
        for at in taken {
            let Some(draft) = drafts.remove(&at) else {
                continue;
            };
            let later = free(drafts, last + 1);
            drafts.insert(later, draft);
            // One that is moved a second time began elsewhere.
            let began = moved
                .iter()
                .find(|(_, now)| **now == at)
                .map(|(from, _)| *from);
            moved.insert(began.unwrap_or(at), later);
        }
    }
}

async fn insert(connection: &mut SqliteConnection, drafts: &Drafts) -> Result<(), sqlx::Error> {
    if drafts.is_empty() {
        return Ok(());
    }
    let rows = drafts.iter().map(|(at, (numbers, times))| {
        let Numbers {
            item,
            client,
            ruling,
        } = *numbers;
        [*at, item, client, ruling, i64::from(*times)]
    });
    let insert = statement(
        "INSERT INTO entries (at, item, client, ruling, times)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
         FROM json_each($1)",
    );
    insert.bind(table(rows)).execute(connection).await?;
    Ok(())
}

/// Adds to rows of pages. A row that is gone by now was the oldest, and so would be the addition.
async fn count_again(
    connection: &mut SqliteConnection,
    again: &HashMap<i64, i64>,
) -> Result<(), sqlx::Error> {
    if again.is_empty() {
        return Ok(());
    }
    let update = statement(
        "UPDATE entries SET times = times + added
         FROM (SELECT value ->> 0 AS instant, value ->> 1 AS added FROM json_each($1))
         WHERE at = instant",
    );
    let rows = again.iter().map(|(at, times)| [*at, *times]);
    update.bind(table(rows)).execute(connection).await?;
    Ok(())
}

fn place_of(path: &Path) -> Result<(u64, u64), JournalError> {
    let metadata = std::fs::metadata(path).map_err(|error| JournalError::Unavailable {
        doing: "look for the journal",
        path: path.display().to_string(),
        cause: error.into(),
    })?;
    Ok((metadata.dev(), metadata.ino()))
}
