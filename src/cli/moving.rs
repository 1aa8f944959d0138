//! `import` and `export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::app::{AccountOptions, ImportStart, Setup};
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::progress::Shown;
use crate::cli::sources::Sources;
use crate::moving::{ExportReport, ImportReport};
use crate::{app, moving};

#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    #[command(flatten)]
    sources: Sources,
    /// The directory that devpi-export or export wrote.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Read and compare everything, and change nothing.
    #[arg(long)]
    check: bool,
    /// Leave out indexes of this type, as devpi-import does.
    #[arg(long, value_name = "TYPE")]
    skip_import_type: Vec<String>,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    sources: Sources,
    /// A directory that is new or empty.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn import(options: ImportOptions) -> anyhow::Result<ExitCode> {
    let start = ImportStart {
        setup: options.sources.setup(),
        accounts: AccountOptions::default(),
        root_password: None,
        folder: options.folder,
        options: moving::ImportOptions {
            check_only: options.check,
            skipped_types: options.skip_import_type,
            skipped_indexes: Vec::new(),
        },
    };
    run_import(&start, options.output.json)
}

pub(super) fn export(options: &ExportOptions) -> anyhow::Result<ExitCode> {
    run_export(
        &options.sources.setup(),
        &options.folder,
        options.output.json,
    )
}

/// Imports, and prints the outcome.
pub(super) fn run_import(start: &ImportStart, json: bool) -> anyhow::Result<ExitCode> {
    let report = Shown::while_at("read", |on_progress| app::import(start, on_progress))?;
    let summary = imported(&report, start.options.check_only);
    tell(&report, (&report.faults, &report.notes), &summary, json)
}

/// Exports, and prints the outcome.
pub(super) fn run_export(setup: &Setup, folder: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = Shown::while_at("written", |on_progress| {
        app::export(setup, folder, on_progress)
    })?;
    let summary = exported(&report);
    tell(&report, (&report.faults, &report.notes), &summary, json)
}

pub(super) fn tell(
    report: &impl Serialize,
    (faults, notes): (&Vec<String>, &Vec<String>),
    summary: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if json {
        say_json(report)?;
    } else {
        for note in notes {
            say(&format!("note: {note}"))?;
        }
        for fault in faults {
            say(&format!("fault: {fault}"))?;
        }
        say(summary)?;
    }
    Ok(code(faults.is_empty()))
}

fn imported(report: &ImportReport, check_only: bool) -> String {
    if !report.faults.is_empty() {
        return format!("{}: nothing was imported", counted(&report.faults));
    }
    let ImportReport {
        users,
        indexes,
        releases,
        files,
        files_already,
        mirror_files,
        ..
    } = report;
    let verb = if check_only {
        "would import"
    } else {
        "imported"
    };
    let mut text =
        format!("{verb} {users} users, {indexes} indexes, {releases} releases, {files} files");
    if *files_already > 0 {
        text.push_str(&format!("; {files_already} files were here already"));
    }
    if *mirror_files > 0 {
        text.push_str(&format!(
            "; {mirror_files} files of mirrors go into the cache"
        ));
    }
    text
}

pub(super) fn counted(faults: &[String]) -> String {
    match faults.len() {
        1 => "1 fault".to_owned(),
        more => format!("{more} faults"),
    }
}

fn exported(report: &ExportReport) -> String {
    if !report.faults.is_empty() {
        return format!("{}: the export is not complete", counted(&report.faults));
    }
    let ExportReport {
        users,
        indexes,
        releases,
        files,
        ..
    } = report;
    format!("exported {users} users, {indexes} indexes, {releases} releases, {files} files")
}
