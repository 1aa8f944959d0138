//! In and out: a directory as `devpi-export` writes it, read and written (devpi-protocol.md §20).
//!
//! On the way in `document` is what is written there, `plan` and `planned_file` what it means, `take`
//! brings the bytes into the store, and one transaction of the records makes all of it visible, or
//! nothing. So an import that ended half-way has left bytes that nobody sees, which the next one finds.
//! On the way out `export` writes files from one snapshot of the records, and last of all their index:
//! a directory without it is no export.
//!
//! `backup` and `restore` are ours alone: a copy of the records, and of the bytes that they name.

mod backup;
mod copying;
mod document;
mod export;
mod export_entry;
mod import;
#[cfg(test)]
mod laws;
mod layout;
mod manifest;
mod plan;
mod planned_file;
mod report;
mod restore;
mod take;

pub use backup::Backup;
pub use export::Exporter;
pub use import::{ImportOptions, Importer};
pub use report::{
    BackupReport, ExportReport, ImportReport, MovingError, OnProgress, Progress, RestoreReport,
};
pub use restore::Restore;
