//! `backup` and `restore`.

use std::process::ExitCode;

use indicatif::BinaryBytes;

use crate::app;
use crate::cli::arguments::{BackupOptions, RestoreOptions};
use crate::cli::moving::{counted, overrides, tell};
use crate::cli::progress::Shown;
use crate::cli::serve::{environment, policies_path};

pub(super) fn backup(options: &BackupOptions) -> anyhow::Result<ExitCode> {
    let (policies, overrides) = (policies_path(&options.sources), overrides(&options.sources));
    let shown = Shown::new("looked after");
    let report = app::backup(
        &policies,
        &overrides,
        environment,
        &options.folder,
        options.verify,
        &|progress| shown.show(progress),
    );
    drop(shown);
    let report = report?;
    let mut summary = format!(
        "backed up records up to serial {} and {} files ({}), {} of them new ({})",
        report.serial,
        report.files,
        BinaryBytes(report.bytes),
        report.files_copied,
        BinaryBytes(report.bytes_copied),
    );
    if report.files_removed > 0 {
        let removed = format!("; {} files removed since are gone", report.files_removed);
        summary.push_str(&removed);
    }
    summary.push_str(&lacking(&report.faults));
    tell(
        &report,
        (&report.faults, &report.notes),
        &summary,
        options.json,
    )
}

pub(super) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    let (policies, overrides) = (policies_path(&options.sources), overrides(&options.sources));
    let shown = Shown::new("brought back");
    let report = app::restore(
        &policies,
        &overrides,
        environment,
        &options.folder,
        &|progress| shown.show(progress),
    );
    drop(shown);
    let report = report?;
    let mut summary = format!(
        "restored records up to serial {} and {} files ({}), as of {}",
        report.serial,
        report.files,
        BinaryBytes(report.bytes),
        report.made,
    );
    summary.push_str(&lacking(&report.faults));
    tell(
        &report,
        (&report.faults, &report.notes),
        &summary,
        options.json,
    )
}

fn lacking(faults: &[String]) -> String {
    match faults.len() {
        0 => String::new(),
        _ => format!("; {}, all else is there", counted(faults)),
    }
}
