//! `backup` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::BinaryBytes;

use crate::app;
use crate::cli::moving::{counted, tell};
use crate::cli::output::OutputOptions;
use crate::cli::progress::Shown;
use crate::cli::sources::Sources;

#[derive(Debug, Args)]
pub(super) struct BackupOptions {
    #[command(flatten)]
    sources: Sources,
    /// A directory that is new, empty, or holds an earlier backup: only what is new is copied.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Read all that is in the directory already, and copy again what is damaged.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct RestoreOptions {
    #[command(flatten)]
    sources: Sources,
    /// The directory that backup wrote.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn backup(options: &BackupOptions) -> anyhow::Result<ExitCode> {
    let (setup, folder) = (options.sources.setup(), &options.folder);
    let report = Shown::while_at("looked after", |on_progress| {
        app::backup(&setup, folder, options.verify, on_progress)
    })?;
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
    let told = (&report.faults, &report.notes);
    tell(&report, told, &summary, options.output.json)
}

pub(super) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    let (setup, folder) = (options.sources.setup(), &options.folder);
    let report = Shown::while_at("brought back", |on_progress| {
        app::restore(&setup, folder, on_progress)
    })?;
    let mut summary = format!(
        "restored records up to serial {} and {} files ({}), as of {}",
        report.serial,
        report.files,
        BinaryBytes(report.bytes),
        report.made,
    );
    summary.push_str(&lacking(&report.faults));
    let told = (&report.faults, &report.notes);
    tell(&report, told, &summary, options.output.json)
}

fn lacking(faults: &[String]) -> String {
    match faults.len() {
        0 => String::new(),
        _ => format!("; {}, all else is there", counted(faults)),
    }
}
