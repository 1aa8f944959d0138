//! Import, export, backup, restore, and warming the cache.

mod backup;
mod copying;
mod document;
mod export;
mod export_entry;
mod folder;
mod import;
#[cfg(test)]
mod laws;
mod layout;
mod listing;
mod manifest;
mod plan;
mod planned_file;
mod report;
mod restore;
mod take;
mod verify;
mod warm;

pub use backup::Backup;
pub use export::Exporter;
pub use import::{ImportOptions, Importer};
pub use listing::{HeldFile, list_held};
pub use report::{BackupReport, ExportReport, ImportReport, OnProgress, Progress, RestoreReport};
pub use restore::Restore;
pub use verify::{DamagedFile, Remedy, VerifyKept, VerifyReport};
pub use warm::{Warming, warm};
