//! What was asked for, put together from all rows: each file or page once for an index, with everyone who
//! asked.
//!
//! A month may be five million rows, and whoever replays them under other rules decides once about each
//! file. So rows are only counted here, by their numbers; names are looked up at the end.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use crate::journal::entry::JournalDecision;
use crate::journal::error::JournalError;
use crate::journal::read::{JournalReader, Multiplied, NumbersOf};
use crate::journal::row::{JournalClient, JournalItem};
use crate::model::Timestamp;

/// Rows that are read together: more of them are one text of several megabytes.
const ROWS: i64 = 50_000;

/// One file or page that was asked for through one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalAsked {
    /// What was asked for.
    pub item: Arc<JournalItem>,
    /// The index asked.
    pub index: Arc<str>,
    /// How many answers there were.
    pub times: u64,
    /// How many of them were refusals.
    pub refused: u64,
    /// When it was asked for last.
    pub last: Timestamp,
    /// Who asked, each once.
    pub clients: Vec<Arc<JournalClient>>,
}

/// The same while it is counted.
#[derive(Debug, Default)]
struct Counted {
    times: u64,
    last: i64,
    clients: Clients,
}

/// Numbers of clients, each once at the end; in between repeated ones take at most as much again.
#[derive(Debug, Default)]
struct Clients {
    numbers: Vec<i64>,
    /// How many there may be before repeated ones are removed.
    most: usize,
}

impl Clients {
    /// The fewest that are worth a look.
    const FEW: usize = 8;

    fn add(&mut self, number: i64) {
        if self.numbers.last() == Some(&number) {
            return;
        }
        self.numbers.push(number);
        if self.numbers.len() > self.most.max(Self::FEW) {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.numbers.sort_unstable();
        self.numbers.dedup();
        self.most = self.numbers.len() * 2;
    }
}

type ByItem = HashMap<(i64, i64), Counted, BuildHasherDefault<Multiplied>>;

impl JournalReader {
    /// What was asked for from an instant on, in no order; and how many rows say so.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn asked(
        &mut self,
        since: Timestamp,
    ) -> Result<(Vec<JournalAsked>, u64), JournalError> {
        let mut counted = ByItem::default();
        let mut after = since.as_microsecond().saturating_sub(1);
        let mut count = 0;
        loop {
            let rows = self.numbered(after, ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = last.at;
            count += rows.len() as u64;
            for row in &rows {
                let one = counted.entry((row.item, row.ruling)).or_default();
                one.times += row.times.unsigned_abs();
                one.last = row.at;
                one.clients.add(row.client);
            }
            if (rows.len() as u64) < ROWS.unsigned_abs() {
                break;
            }
        }
        let mut named = Vec::with_capacity(counted.len());
        let mut numbers = NumbersOf::default();
        for ((item, ruling), mut one) in counted {
            one.clients.tidy();
            numbers.items.insert(item);
            numbers.clients.extend(&one.clients.numbers);
            numbers.rulings.insert(ruling);
            named.push((item, ruling, one));
        }
        self.learn(&numbers).await?;
        Ok((self.by_index(named), count))
    }

    /// Puts the rulings of an index together.
    fn by_index(&self, counted: Vec<(i64, i64, Counted)>) -> Vec<JournalAsked> {
        let mut places = HashMap::new();
        let mut all: Vec<(JournalAsked, Clients)> = Vec::new();
        for (item, ruling, one) in counted {
            // Missing names belong to rows that were removed meanwhile.
            let named = self.item_and_ruling(item, ruling);
            let Some((named, ruling)) = named else {
                continue;
            };
            let Ok(last) = Timestamp::from_microsecond(one.last) else {
                continue;
            };
            let refused = match ruling.decision {
                JournalDecision::Deny => one.times,
                JournalDecision::Allow | JournalDecision::Audit => 0,
            };
            let at = *places
                .entry((item, Arc::clone(&ruling.index)))
                .or_insert_with(|| {
                    let empty = JournalAsked {
                        item: named,
                        index: Arc::clone(&ruling.index),
                        times: 0,
                        refused: 0,
                        last: Timestamp::MIN,
                        clients: Vec::new(),
                    };
                    all.push((empty, Clients::default()));
                    all.len() - 1
                });
            let (asked, clients) = &mut all[at];
            asked.times += one.times;
            asked.refused += refused;
            asked.last = asked.last.max(last);
            clients.numbers.extend(one.clients.numbers);
        }
        let whole = all.into_iter().map(|(asked, mut clients)| {
            clients.tidy();
            let clients = clients
                .numbers
                .iter()
                .filter_map(|number| self.client(*number));
            JournalAsked {
                clients: clients.collect(),
                ..asked
            }
        });
        whole.collect()
    }
}
