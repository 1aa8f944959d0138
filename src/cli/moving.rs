//! `import` and `export`.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::app::{AccountOptions, ImportStart};
use crate::cli::arguments::{ExportOptions, ImportOptions, Sources};
use crate::cli::progress::Shown;
use crate::cli::say;
use crate::cli::serve::{environment, policies_path};
use crate::config::{Overrides, PoliciesPath};
use crate::moving::{ExportReport, ImportReport};
use crate::{app, moving};

pub(super) fn import(options: ImportOptions) -> anyhow::Result<ExitCode> {
    let start = ImportStart {
        policies: policies_path(&options.sources),
        overrides: overrides(&options.sources),
        accounts: AccountOptions::default(),
        root_password: None,
        folder: options.folder,
        options: moving::ImportOptions {
            check_only: options.check,
            skipped_types: options.skip_import_type,
            skipped_indexes: Vec::new(),
        },
    };
    run_import(&start, options.json)
}

pub(super) fn export(options: &ExportOptions) -> anyhow::Result<ExitCode> {
    let (policies, overrides) = (policies_path(&options.sources), overrides(&options.sources));
    run_export(&policies, &overrides, &options.folder, options.json)
}

pub(super) fn overrides(sources: &Sources) -> Overrides {
    Overrides {
        data: sources.data.clone(),
        ..Overrides::default()
    }
}

/// Imports, and prints what came of it.
pub(super) fn run_import(start: &ImportStart, json: bool) -> anyhow::Result<ExitCode> {
    let shown = Shown::new("read");
    let report = app::import(start, environment, &|progress| shown.show(progress));
    drop(shown);
    let report = report?;
    let summary = imported(&report, start.options.check_only);
    tell(&report, (&report.faults, &report.notes), &summary, json)
}

/// Exports, and prints what came of it.
pub(super) fn run_export(
    policies: &PoliciesPath,
    overrides: &Overrides,
    folder: &Path,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let shown = Shown::new("written");
    let report = app::export(policies, overrides, environment, folder, &|progress| {
        shown.show(progress);
    });
    drop(shown);
    let report = report?;
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
        say(&serde_json::to_string_pretty(report)?)?;
    } else {
        for note in notes {
            say(&format!("note: {note}"))?;
        }
        for fault in faults {
            say(&format!("fault: {fault}"))?;
        }
        say(summary)?;
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
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
