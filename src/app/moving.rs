//! `import` and `export`: the parts they need, without doors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::account::Passwords;
use crate::app::accounts::AccountOptions;
use crate::app::generation::Maker;
use crate::app::house::House;
use crate::app::lock::DataLock;
use crate::app::neighbours::Neighbours;
use crate::app::open_records::{are_there, expect};
use crate::app::setup::Setup;
use crate::app::streams::{audit_log, metrics};
use crate::app::work::runtime;
use crate::app::{accounts, data, gateway_id};
use crate::config::{Config, Loaded, is_default};
use crate::db::Directory;
use crate::devpi::{CheckIndexes, DeclaredIndex};
use crate::gateway::Generations;
use crate::model::{Faults, IndexName};
use crate::moving::{ExportReport, Exporter, ImportOptions, ImportReport, Importer, OnProgress};
use crate::telemetry::{AuditEvent, AuditKind};

/// What `import` was asked for.
#[derive(Debug)]
pub struct ImportStart {
    /// Where the configuration is.
    pub setup: Setup,
    /// Includes the cost of a password hash.
    pub accounts: AccountOptions,
    /// Root's password, used when neither the export nor the records have a root.
    pub root_password: Option<String>,
    /// The export.
    pub folder: PathBuf,
    /// What to do with it.
    pub options: ImportOptions,
}

/// Imports an export into the data directory.
///
/// # Errors
/// Faults in the configuration, a server that runs on the data directory, a disk that fails, or no
/// export at the given path. What is wrong with the export itself stands in the report.
pub fn import(start: &ImportStart, on_progress: OnProgress<'_>) -> anyhow::Result<ImportReport> {
    let mut loaded = start.setup.load()?;
    let check_only = start.options.check_only;
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    let (data, config) = (loaded.config.data.clone(), loaded.config.clone());
    let mended = if check_only {
        Vec::new()
    } else {
        data::own(&data)?
    };
    let _lock = if check_only {
        if !are_there(&config) {
            nowhere.path().clone_into(&mut loaded.config.data);
        }
        None
    } else {
        let lock = DataLock::to_change(&data)?;
        if config.records.is_some() {
            gateway_id::settle(&data)?;
        }
        Some(lock)
    };
    // An import never asks an upstream.
    let house = House::build(runtime()?, metrics()?, &mut loaded, false, &mut |_, _| {
        Ok(())
    })?;
    if !check_only {
        house.hold_records(&config, false)?;
        house.take_depot()?;
    }
    let now = house.clock.now();
    let importer = Importer {
        store: Arc::clone(&house.store),
        records: Arc::clone(&house.records),
        declared: declared_by_files(&house),
        archives: house.flows.core.archives(),
        check: Arc::new(WouldCompile {
            maker: house.maker.clone(),
            loaded,
        }),
        passwords: Passwords::new(start.accounts.cost, 1),
        now,
    };
    if !check_only {
        house
            .work
            .block_on(house.flows.belonging.compare_records())?;
    }
    let import = importer.import(&start.folder, &start.options, on_progress);
    let mut report = house.work.block_on(import)?;
    report.notes.extend(mended);
    report.notes.extend(strangers(&house, &config)?);
    if check_only || !report.faults.is_empty() {
        return Ok(report);
    }
    if let Some(password) = &start.root_password {
        accounts::open(&house.work, &house.records, &start.accounts, password, now)?;
    }
    house.work.block_on(house.flows.belonging.note_serial());
    if let Err(error) = house.work.block_on(house.flows.deposits.send_waiting()) {
        report.notes.push(format!(
            "not all files are in the depot yet ({error}): the next start sends them"
        ));
    }
    account_for(&house, &config, &start.folder, &report)?;
    Ok(report)
}

/// The mirrors in the records that are not asked unless the operator lists where they are.
fn strangers(house: &House, config: &Config) -> anyhow::Result<Vec<String>> {
    let directory = house.work.block_on(house.records.directory())?;
    Ok(Neighbours::of(config).strangers(&Generations::stored(&directory)))
}

/// The indexes that files declare. The built-in one is a default, and yields to what is imported.
fn declared_by_files(house: &House) -> BTreeMap<IndexName, DeclaredIndex> {
    let mut declared = DeclaredIndex::all(&house.flows.core.generation().policies);
    declared.retain(|_, index| !is_default(&index.location));
    declared
}

/// Writes to the audit log that an export was imported.
fn account_for(
    house: &House,
    config: &Config,
    folder: &Path,
    report: &ImportReport,
) -> anyhow::Result<()> {
    let audit = audit_log(config, &house.metrics, None)?;
    let mut event = AuditEvent::new(house.clock.now(), AuditKind::Import);
    let detail = format!(
        "{}: {} users, {} indexes, {} releases, {} files",
        folder.display(),
        report.users,
        report.indexes,
        report.releases,
        report.files
    );
    event.detail = Some(detail.into());
    audit.record(event);
    audit.stop();
    Ok(())
}

/// Exports everything that a data directory holds; a server may run on it.
///
/// # Errors
/// Faults in the configuration, no data, a directory that is not empty, a disk that fails.
pub fn export(
    setup: &Setup,
    folder: &Path,
    on_progress: OnProgress<'_>,
) -> anyhow::Result<ExportReport> {
    let mut loaded = setup.load()?;
    expect(&loaded.config)?;
    data::make_closed();
    let mut unnamed = None;
    let mut find = |loaded: &mut _, stored: &_| {
        unnamed = setup.give_upstream(loaded, stored, None).err();
        Ok(())
    };
    let house = House::build(runtime()?, metrics()?, &mut loaded, false, &mut find)?;
    let exporter = Exporter {
        store: Arc::clone(&house.store),
        depot: house.flows.core.depot.clone(),
        records: Arc::clone(&house.records),
        declared: DeclaredIndex::all(&house.flows.core.generation().policies),
    };
    let export = exporter.export(folder, on_progress);
    let mut report = house.work.block_on(export)?;
    if let Some(error) = unnamed {
        let note = format!("a mirror is exported without its mirror_url: {error}");
        report.notes.push(note);
    }
    Ok(report)
}

/// Compiles what would be after an import, so that the next start does not refuse it.
#[derive(Debug)]
struct WouldCompile {
    maker: Maker,
    loaded: Loaded,
}

impl CheckIndexes for WouldCompile {
    fn check(&self, would_be: &Directory) -> Result<(), Faults> {
        let stored = Generations::stored(would_be);
        self.maker.clone().next(2, &self.loaded, &stored).map(drop)
    }
}
