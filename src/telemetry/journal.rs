//! The metrics of the journal of what was delivered and refused.

use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use crate::telemetry::declared::Declared;

/// The journal's metrics.
#[derive(Debug, Clone)]
pub struct JournalMetrics {
    rows: IntCounter,
    lost: IntCounter,
    failures: IntCounter,
    set_aside: IntCounter,
    writable: IntGauge,
    bytes: IntGauge,
    oldest_age: IntGauge,
}

impl JournalMetrics {
    pub(super) fn of(all: &Declared) -> Self {
        Self {
            rows: all.journal_rows.clone(),
            lost: all.journal_lost.clone(),
            failures: all.journal_failures.clone(),
            set_aside: all.journal_set_aside.clone(),
            writable: all.journal_writable.clone(),
            bytes: all.journal_bytes.clone(),
            oldest_age: all.journal_oldest_age.clone(),
        }
    }

    /// Counts rows that were written.
    pub fn written(&self, rows: u64) {
        self.rows.inc_by(rows);
    }

    /// Counts answers that no row will tell of.
    pub fn lost(&self, answers: u64) {
        self.lost.inc_by(answers);
    }

    /// Counts an attempt to write that failed.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Counts a damaged file.
    pub fn set_aside(&self) {
        self.set_aside.inc();
    }

    /// States whether the last attempt to write succeeded.
    pub fn is_writable(&self, is_writable: bool) {
        self.writable.set(i64::from(is_writable));
    }

    /// States what the file takes on the disk.
    pub fn takes(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// States how old the oldest row is.
    pub fn oldest(&self, age: Duration) {
        let seconds = i64::try_from(age.as_secs());
        self.oldest_age.set(seconds.unwrap_or(i64::MAX));
    }
}
