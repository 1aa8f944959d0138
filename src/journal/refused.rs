//! What was refused, counted by day, index, project and rule: nothing about who asked.
//!
//! Whoever follows the journal asks for what came since the last time, some rows at a time.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::journal::entry::JournalDecision;
use crate::journal::error::JournalError;
use crate::journal::read::{JournalReader, NumbersOf};
use crate::journal::statement::statement;
use crate::model::Timestamp;
use crate::telemetry::Label as _;

/// Rows that are gone through in one step.
const ROWS: i64 = 50_000;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Where a step ends that begins behind an instant.
const END: &str = "SELECT max(at), count(*) FROM
    (SELECT at FROM entries WHERE at > $1 AND at <= $2 ORDER BY at LIMIT $3)";

const REFUSED: &str = "SELECT at / $3, item, ruling, sum(times) FROM entries
    WHERE at > $1 AND at <= $2 AND ruling IN (SELECT id FROM rulings WHERE decision = $4)
    GROUP BY 1, 2, 3";

/// Refusals of one file or page on one day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalRefused {
    /// The day, counted from 1970.
    pub day: i64,
    /// The index asked.
    pub index: Arc<str>,
    /// The project.
    pub project: Arc<str>,
    /// The rule, by its name.
    pub rule: Arc<str>,
    /// How many there were.
    pub times: u64,
}

/// One step through the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedStep {
    /// What was refused in it, in no order.
    pub refused: Vec<JournalRefused>,
    /// The time of its last row, behind which the next one begins.
    pub end: Timestamp,
    /// Whether there may be more rows.
    pub is_more: bool,
}

impl JournalReader {
    /// What was refused behind one instant and until another, as far as one step goes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn refused(
        &mut self,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<RefusedStep, JournalError> {
        let failed = JournalError::of("count what was refused", self.path());
        let (after, until) = (after.as_microsecond(), until.as_microsecond());
        let end = statement(END).bind(after).bind(until).bind(ROWS);
        let end = end.fetch_one(self.connection()).await;
        let end = end.and_then(|row| Ok((row.try_get::<Option<i64>, _>(0)?, row.try_get(1)?)));
        let (end, rows): (Option<i64>, i64) = end.map_err(&failed)?;
        let end = end.unwrap_or(after);
        let refused = statement(REFUSED).bind(after).bind(end).bind(DAY);
        let refused = refused.bind(JournalDecision::Deny.label());
        let refused = refused.fetch_all(self.connection()).await;
        let refused = refused.and_then(|rows| {
            let numbers = |row: &SqliteRow| {
                let number = |at: usize| row.try_get::<i64, _>(at);
                Ok([number(0)?, number(1)?, number(2)?, number(3)?])
            };
            rows.iter()
                .map(numbers)
                .collect::<Result<Vec<_>, sqlx::Error>>()
        });
        let refused = refused.map_err(failed)?;
        let mut needed = NumbersOf::default();
        for [_, item, ruling, _] in &refused {
            needed.items.insert(*item);
            needed.rulings.insert(*ruling);
        }
        self.learn(&needed).await?;
        let refused = refused
            .into_iter()
            .filter_map(|[day, item, ruling, times]| {
                let (item, ruling) = self.item_and_ruling(item, ruling)?;
                Some(JournalRefused {
                    day,
                    index: ruling.index.clone(),
                    // Of a client that had more than its share it is not kept what it asked for.
                    project: item.project.clone()?,
                    rule: ruling.rule.clone()?,
                    times: times.unsigned_abs(),
                })
            });
        Ok(RefusedStep {
            refused: refused.collect(),
            end: Timestamp::from_microsecond(end).unwrap_or(Timestamp::MIN),
            is_more: rows == ROWS,
        })
    }
}
