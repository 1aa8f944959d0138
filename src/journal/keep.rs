//! What leaves the journal: what is too old, and the oldest when it takes too much of the disk.
//!
//! Rows go in small transactions, between which entries are written.

use sqlx::{AssertSqlSafe, Connection as _};

use crate::journal::error::JournalError;
use crate::journal::ledger::Ledger;
use crate::journal::open::JournalRules;
use crate::journal::statement::{statement, value};
use crate::model::Timestamp;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// About what a row takes, with its place in the index: how many rows make room for so many bytes.
const ROW_BYTES: u64 = 36;

impl Ledger {
    /// Removes rows from before `cutoff`, and what only they needed; returns whether all of them are gone.
    pub(super) async fn remove_old(
        &mut self,
        (cutoff, now): (Timestamp, Timestamp),
        rules: &JournalRules,
    ) -> Result<bool, JournalError> {
        let failed = JournalError::of("remove old rows", &self.path);
        for _ in 0..rules.limits.journal_removals {
            let some = self
                .remove_before(cutoff.as_microsecond(), rules.limits.journal_removed)
                .await
                .map_err(&failed)?;
            if some < rules.limits.journal_removed {
                self.remove_unused(now).await.map_err(&failed)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the oldest rows until what is left takes less than its share of the disk; returns whether it
    /// does.
    pub(super) async fn make_room(
        &mut self,
        now: Timestamp,
        rules: &JournalRules,
    ) -> Result<bool, JournalError> {
        let failed = JournalError::of("make room in the journal", &self.path);
        for _ in 0..rules.limits.journal_removals {
            let used = self.used().await.map_err(&failed)?;
            if used <= rules.disk {
                return Ok(true);
            }
            // A little more than needed, so that this is not done for each row.
            let many = (used - rules.disk / 100 * 99) / ROW_BYTES;
            let many = many.clamp(1, rules.limits.journal_removed);
            let removed = self.remove_before(i64::MAX, many).await.map_err(&failed)?;
            self.remove_unused(now).await.map_err(&failed)?;
            if removed == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives pages that are not used back to the disk, some at a time, if the file is larger than it may be;
    /// returns whether it no longer is, or none are left.
    pub(super) async fn shrink(&mut self, rules: &JournalRules) -> Result<bool, JournalError> {
        let failed = JournalError::of("make the journal smaller", &self.path);
        let [size, all, free] = self.pages().await.map_err(&failed)?;
        let over = all.saturating_sub(rules.disk / size.max(1)).min(free);
        let some = over.min(rules.limits.journal_removed);
        if some > 0 {
            let give_back = AssertSqlSafe(format!("PRAGMA incremental_vacuum({some})"));
            sqlx::query(give_back)
                .fetch_all(&mut self.connection)
                .await
                .map_err(failed)?;
        }
        Ok(some == over)
    }

    /// Bytes of the file that hold something.
    async fn used(&mut self) -> Result<u64, sqlx::Error> {
        let [size, all, free] = self.pages().await?;
        Ok((all - free) * size)
    }

    /// The size of a page, how many there are, and how many of them hold nothing.
    async fn pages(&mut self) -> Result<[u64; 3], sqlx::Error> {
        let connection = &mut self.connection;
        let size: i64 = value(connection, "PRAGMA page_size").await?;
        let all: i64 = value(connection, "PRAGMA page_count").await?;
        let free: i64 = value(connection, "PRAGMA freelist_count").await?;
        Ok([size, all, free].map(i64::unsigned_abs))
    }

    /// Removes so many of the oldest rows, if they are from before this microsecond.
    async fn remove_before(&mut self, cutoff: i64, most: u64) -> Result<u64, sqlx::Error> {
        let remove = statement(
            "DELETE FROM entries
             WHERE at < $1 AND at <= (SELECT max(at) FROM
                 (SELECT at FROM entries WHERE at < $1 ORDER BY at LIMIT $2))",
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let remove = remove.bind(cutoff).bind(most);
        Ok(remove.execute(&mut self.connection).await?.rows_affected())
    }

    /// Removes from the side tables what was last used before the oldest row's day. What is used today
    /// stays: another process that writes takes for granted that it is there.
    async fn remove_unused(&mut self, now: Timestamp) -> Result<(), sqlx::Error> {
        let oldest = self.oldest_at().await?;
        let now = now.as_microsecond();
        let day = oldest.unwrap_or(now).min(now).div_euclid(DAY);
        let mut removed = 0;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for remove in [
            "DELETE FROM items WHERE last < $1",
            "DELETE FROM clients WHERE last < $1",
            "DELETE FROM rulings WHERE last < $1",
        ] {
            let remove = statement(remove).bind(day);
            removed += remove.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        if removed > 0 {
            self.forget();
        }
        Ok(())
    }

    async fn oldest_at(&mut self) -> Result<Option<i64>, sqlx::Error> {
        value(&mut self.connection, "SELECT min(at) FROM entries").await
    }

    /// When the oldest row's answer was.
    pub(super) async fn oldest(&mut self) -> Result<Option<Timestamp>, JournalError> {
        let failed = JournalError::of("look for the oldest row", &self.path);
        let oldest = self.oldest_at().await.map_err(failed)?;
        Ok(oldest.and_then(|at| Timestamp::from_microsecond(at).ok()))
    }

    /// Removes every address that was kept before addresses were to be left out.
    pub(super) async fn remove_addresses(&mut self) -> Result<(), JournalError> {
        let failed = JournalError::of("remove addresses", &self.path);
        let remove = statement("UPDATE clients SET address = NULL WHERE address IS NOT NULL");
        let removed = remove.execute(&mut self.connection).await;
        if removed.map_err(&failed)?.rows_affected() == 0 {
            return Ok(());
        }
        // They stand in the write-ahead log too.
        let moved = statement("PRAGMA wal_checkpoint(TRUNCATE)");
        let moved = moved.execute(&mut self.connection).await;
        moved.map_err(failed)?;
        tracing::info!("the addresses in the journal are removed: journal.clients is none");
        Ok(())
    }
}
