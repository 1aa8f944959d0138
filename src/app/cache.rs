//! `cache`: what is held, counted, listed, collected and read again, beside a running server or without one.

use std::sync::Arc;

use anyhow::Context as _;

use crate::app::data;
use crate::app::house::{House, open_depot, store_of};
use crate::app::open_records::{OpenRecords, RECORDS, are_there};
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::db::{NeededFile, RecordsFile, Snapshot};
use crate::gateway::{Generations, Swept};
use crate::model::{IndexName, Sha256};
use crate::moving::{HeldFile, OnProgress, VerifyKept, VerifyReport, list_held};
use crate::policy::Policies;
use crate::store::{FsStore, Holdings};

/// Counts what the data directory holds.
///
/// # Errors
/// No data directory, or a disk that fails.
pub fn holdings(config: &Config) -> anyhow::Result<Holdings> {
    Ok(existing_store(config)?.holdings()?)
}

/// Lists what it holds, by name.
///
/// # Errors
/// Faults in the configuration, no data directory, records or a disk that fail.
pub fn held_files(setup: &Setup) -> anyhow::Result<Vec<HeldFile>> {
    let loaded = setup.load()?;
    let config = &loaded.config;
    let store = existing_store(config)?;
    data::make_closed();
    let records = snapshot(config)?;
    Ok(list_held(&store, &mirrors(&loaded, &records)?, &records)?)
}

/// Does at once what a server does on its schedule. No server may run.
///
/// # Errors
/// Faults in the configuration, no data directory, records or a disk that fail.
pub fn sweep(setup: &Setup) -> anyhow::Result<Swept> {
    let mut loaded = setup.load()?;
    existing_store(&loaded.config)?;
    // No upstream is asked for any of it.
    let mut find = |_: &mut Loaded, _: &_| Ok(());
    let house = House::build(runtime()?, metrics()?, &mut loaded, false, &mut find)?;
    Ok(house.work.block_on(house.flows.sweep())?)
}

/// Reads every stored byte, at `pace` bytes a second; a server may run.
///
/// # Errors
/// No data directory, records or a disk that fail.
pub fn verify(
    config: &Config,
    pace: Option<u64>,
    on_progress: OnProgress<'_>,
) -> anyhow::Result<VerifyReport> {
    let store = existing_store(config)?;
    data::make_closed();
    let needed = needed(config)?;
    let (work, depot) = (runtime()?, open_depot(config, &metrics()?)?);
    let in_depot = depot.map(|depot| {
        let work = &work;
        move |digest: Sha256| match work.block_on(depot.verify(digest)) {
            Ok(true) => None,
            Ok(false) => Some("it is missing from the depot".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    });
    let verify = VerifyKept {
        store: &store,
        needed: &needed,
        pace,
        in_depot: in_depot.as_ref().map(|look| look as _),
    };
    Ok(verify.run(on_progress)?)
}

/// What the records name.
fn needed(config: &Config) -> anyhow::Result<Vec<NeededFile>> {
    if config.records.is_some() {
        return Ok(snapshot(config)?.needed());
    }
    let path = config.data.join(RECORDS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    // Nothing in the file is created or migrated.
    runtime()?.block_on(async {
        let records = RecordsFile::of_data(&path).await?;
        let needed = records.files().await;
        records.close().await;
        Ok(needed?)
    })
}

fn existing_store(config: &Config) -> anyhow::Result<FsStore> {
    let data = &config.data;
    anyhow::ensure!(
        data.is_dir(),
        "{} holds no data: name its directory with --data",
        data.display()
    );
    // Not the same as being there: what is listed as empty must not be what may not be seen.
    std::fs::read_dir(data).with_context(|| format!("read {}", data.display()))?;
    Ok(store_of(config))
}

fn snapshot(config: &Config) -> anyhow::Result<Snapshot> {
    if !are_there(config) {
        return Ok(Snapshot::default());
    }
    let work = runtime()?;
    let open = OpenRecords::open(&work, config, Clock::system().now(), None)?;
    let records = Arc::clone(&open.records);
    Ok(work.block_on(records.snapshot())?)
}

/// The mirrors of files and records.
fn mirrors(loaded: &Loaded, records: &Snapshot) -> anyhow::Result<Vec<IndexName>> {
    let stored = Generations::stored(&records.directory);
    let policies = Policies::compile(&loaded.documents, &stored)?;
    let mirrors = policies.indexes().filter(|index| index.mirror().is_some());
    Ok(mirrors.map(|index| index.name.clone()).collect())
}
