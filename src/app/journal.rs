//! The journal: kept by a server as configured, and read by commands.

use std::sync::Arc;
use std::time::Duration;

use crate::app::house::House;
use crate::app::setup::Setup;
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::{Config, JournalClients};
use crate::journal::{
    JOURNAL_FILE, Journal, JournalReader, JournalRow, JournalRules, JournalSubject,
};
use crate::model::Timestamp;

/// Opens the journal of a server and has it written from now on.
pub(super) fn start(house: &House, config: &Config) -> Arc<Journal> {
    let said = &config.journal;
    let rules = JournalRules {
        keep: said.keep,
        disk: said.disk,
        has_clients: said.clients == JournalClients::Full,
        is_required: said.required,
        limits: config.limits.journal.clone(),
    };
    let clock = house.clock.clone();
    let started = Journal::start(
        config.data.join(JOURNAL_FILE),
        rules,
        Arc::new(move || clock.now()),
        house.metrics.journal(),
    );
    Arc::new(house.work.block_on(started))
}

/// Gives `tell` each row about a subject of the last `since`, in the order of their time, beside a running
/// server or without one.
///
/// # Errors
/// Faults in the configuration, a data directory without a journal, a file that cannot be read; and what
/// `tell` returns.
pub fn read_journal(
    setup: &Setup,
    of: &JournalSubject,
    since: Option<Duration>,
    tell: &mut dyn FnMut(&JournalRow) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = setup.load()?.config.data.join(JOURNAL_FILE);
    let now = Clock::system().now();
    let since = since.map_or(Timestamp::MIN, |since| {
        now.checked_sub(since).unwrap_or(Timestamp::MIN)
    });
    runtime()?.block_on(async {
        let Some(mut reader) = JournalReader::open(&path).await? else {
            anyhow::bail!(
                "there is no journal at {}; name the data directory of the server with --data",
                path.display()
            );
        };
        let mut rows = reader.rows(of, since).await?;
        while let Some(row) = rows.next().await? {
            tell(&row)?;
        }
        reader.close().await;
        Ok(())
    })
}
