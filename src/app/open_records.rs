//! Records in use. They are closed when this is dropped, in whatever way, so that a clean end leaves
//! everything in the one file that people copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Handle, Runtime};

use crate::app::gateway_id;
use crate::config::Config;
use crate::db::{Db, Postgres, Sqlite};
use crate::model::{Secret, Timestamp};
use crate::telemetry::Metrics;

/// The file of the records below the data directory.
pub(super) const RECORDS: &str = "records.sqlite";

/// Closes records when it is dropped. Must be dropped before the runtime on which it closes them.
#[derive(Debug)]
pub(super) struct OpenRecords {
    work: Handle,
    pub(super) records: Arc<dyn Db>,
    /// The same, where they are in a database that others reach too.
    postgres: Option<Arc<Postgres>>,
}

impl OpenRecords {
    /// Opens the records of a configuration, or creates them. Waits for them are counted in `metrics`.
    pub(super) fn open(
        work: &Runtime,
        config: &Config,
        now: Timestamp,
        metrics: Option<&Metrics>,
    ) -> anyhow::Result<Self> {
        match &config.records {
            Some(url) => Self::in_postgres(work, (url, &config.data), now, metrics),
            None => Self::in_folder(work, &config.data, now, metrics),
        }
    }

    /// Opens the records of a data directory, or creates them.
    pub(super) fn in_folder(
        work: &Runtime,
        data: &Path,
        now: Timestamp,
        metrics: Option<&Metrics>,
    ) -> anyhow::Result<Self> {
        let mut records = work.block_on(Sqlite::open(&data.join(RECORDS), now))?;
        if let Some(metrics) = metrics {
            records.meter(metrics);
        }
        Ok(Self {
            work: work.handle().clone(),
            records: Arc::new(records),
            postgres: None,
        })
    }

    fn in_postgres(
        work: &Runtime,
        (url, data): (&Secret, &Path),
        now: Timestamp,
        metrics: Option<&Metrics>,
    ) -> anyhow::Result<Self> {
        let gateway = gateway_id::known(data)?.unwrap_or_default();
        let mut records = work.block_on(Postgres::open(url.expose(), &gateway, now))?;
        if let Some(metrics) = metrics {
            records.meter(metrics);
        }
        let records = Arc::new(records);
        Ok(Self {
            work: work.handle().clone(),
            records: records.clone(),
            postgres: Some(records),
        })
    }

    /// Takes records that other gateways reach too, to serve from them or to change them alone.
    pub(super) fn hold(&self, data: &Path, is_upgrade: bool) -> anyhow::Result<()> {
        if let Some(postgres) = &self.postgres {
            let name = gateway_id::name(data);
            self.work.block_on(postgres.hold(&name, is_upgrade))?;
        }
        Ok(())
    }
}

impl Drop for OpenRecords {
    fn drop(&mut self) {
        self.work.block_on(self.records.close());
    }
}

/// Whether a configuration has records already; those in a database are taken to be there.
pub(super) fn are_there(config: &Config) -> bool {
    config.records.is_some() || config.data.join(RECORDS).exists()
}

/// Refuses a configuration that has no records yet.
pub(super) fn expect(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        are_there(config),
        "{} holds no data: name its directory with --data",
        config.data.display()
    );
    Ok(())
}

/// The file of a configuration's records, which must exist. `command` works on such a file only.
pub(super) fn existing_file(config: &Config, command: &str) -> anyhow::Result<PathBuf> {
    expect_folder(config, command)?;
    expect(config)?;
    Ok(config.data.join(RECORDS))
}

/// Refuses records that are not in the data folder, which `command` works on.
pub(super) fn expect_folder(config: &Config, command: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.records.is_none(),
        "the records are in PostgreSQL, and `{command}` works on those in a data folder: copy the \
         database with pg_dump and the folder after it, or bring the records into the folder with \
         `cheesecloth move-records --from` (docs/scale.md)"
    );
    Ok(())
}
