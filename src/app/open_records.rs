//! Records in use. They are closed when this is dropped, in whatever way, so that a clean end leaves
//! everything in the one file that people copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Handle, Runtime};

use crate::db::{Db, Sqlite};
use crate::model::Timestamp;
use crate::telemetry::Metrics;

/// The file of the records below the data directory.
pub(super) const RECORDS: &str = "records.sqlite";

/// Closes records when it is dropped. Must be dropped before the runtime on which it closes them.
#[derive(Debug)]
pub(super) struct OpenRecords {
    work: Handle,
    pub(super) records: Arc<dyn Db>,
}

impl OpenRecords {
    /// Opens the records of a data directory, or creates them. Waits for them are counted in `metrics`.
    pub(super) fn open(
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
        })
    }
}

impl Drop for OpenRecords {
    fn drop(&mut self) {
        self.work.block_on(self.records.close());
    }
}

/// The path of a data directory's records, which must exist.
pub(super) fn existing(data: &Path) -> anyhow::Result<PathBuf> {
    let records = data.join(RECORDS);
    anyhow::ensure!(
        records.exists(),
        "{} holds no data: name its directory with --data",
        data.display()
    );
    Ok(records)
}
