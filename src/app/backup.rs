//! `backup` beside a server or after one, and `restore` into a data directory that has no records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::app::data;
use crate::app::house::{open_depot, store_of};
use crate::app::lock::{DataLock, RESTORING};
use crate::app::open_records::{RECORDS, existing_file, expect_folder};
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::db::RecordsFile;
use crate::moving::{Backup, BackupReport, OnProgress, Restore, RestoreReport};
use crate::store::FsStore;

/// Backs a data directory up into another directory; a server may run on it.
///
/// # Errors
/// Faults in the configuration, no data, a directory that holds something else, a disk that fails.
pub fn backup(
    setup: &Setup,
    folder: &Path,
    verify: bool,
    on_progress: OnProgress<'_>,
) -> anyhow::Result<BackupReport> {
    let config = setup.load()?.config;
    let records = existing_file(&config, "cheesecloth backup")?;
    let depot = open_depot(&config, &metrics()?)?;
    let store = store_of(&config);
    let data = config.data;
    keep_apart(&data, folder)?;
    data::make_closed();
    let report = runtime()?.block_on(async {
        let backup = Backup {
            store: Arc::new(store),
            depot,
            records: RecordsFile::of_data(&records).await?,
            now: Clock::system().now(),
            verify,
        };
        let report = backup.run(folder, on_progress).await;
        backup.records.close().await;
        report
    })?;
    Ok(report)
}

/// Restores a backup into the data directory that the configuration names.
///
/// # Errors
/// Faults in the configuration, a server on the data directory or records in it, an incomplete backup,
/// a disk that fails.
pub fn restore(
    setup: &Setup,
    folder: &Path,
    on_progress: OnProgress<'_>,
) -> anyhow::Result<RestoreReport> {
    let config = setup.load()?.config;
    expect_folder(&config, "cheesecloth restore")?;
    let data = config.data;
    keep_apart(&data, folder)?;
    let mended = data::own(&data)?;
    let _lock = DataLock::to_restore(&data)?;
    let restore = Restore {
        store: Arc::new(FsStore::open(&data, u64::MAX)?),
        data,
        records: RECORDS,
        mark: RESTORING,
    };
    let mut report = runtime()?.block_on(restore.run(folder, on_progress))?;
    report.notes.extend(mended);
    Ok(report)
}

/// Refuses one directory inside the other: one would be removed or copied with the other.
fn keep_apart(data: &Path, folder: &Path) -> anyhow::Result<()> {
    let (data, folder) = (absolute(data)?, absolute(folder)?);
    if data.starts_with(&folder) || folder.starts_with(&data) {
        anyhow::bail!(
            "{} and {} are within each other: name a directory elsewhere, best on another disk",
            folder.display(),
            data.display()
        );
    }
    Ok(())
}

/// The absolute form of a path, resolved as far as it exists.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
    for there in whole.ancestors() {
        if let Ok(real) = there.canonicalize() {
            let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
            return Ok(real.join(rest));
        }
    }
    Ok(whole)
}
