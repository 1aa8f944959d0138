//! `devpi-import` and `devpi-export`: the spellings of the programs that `import` and `export` stand in
//! for (docs/protocol/devpi.md §20).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::{AccountOptions, ImportStart};
use crate::cli::devpi::Place;
use crate::cli::devpi_unused::{EXPORT, IMPORT, Unused};
use crate::cli::moving::{run_export, run_import};
use crate::model::IndexName;
use crate::moving;

/// The door of a program that opens none; the configuration needs one.
const UNOPENED: &str = "127.0.0.1:0";

#[derive(Debug, Args)]
pub(super) struct DevpiImport {
    #[command(flatten)]
    place: Place,
    /// Leave the index root/pypi out.
    #[arg(long)]
    no_root_pypi: bool,
    /// The password of the user root, if the export has no such user.
    #[arg(long, value_name = "PASSWORD")]
    root_passwd: Option<String>,
    /// Leave out indexes of this type.
    #[arg(long, value_name = "TYPE")]
    skip_import_type: Vec<String>,
    /// A file or folder of policies, as `import` takes it.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// The directory that an export was written to.
    #[arg(value_name = "DIRECTORY")]
    folder: PathBuf,
    #[command(flatten)]
    unused: Unused<IMPORT>,
}

#[derive(Debug, Args)]
pub(super) struct DevpiExport {
    #[command(flatten)]
    place: Place,
    /// A file or folder of policies, as `export` takes it.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// A directory that is new or empty.
    #[arg(value_name = "DIRECTORY")]
    folder: PathBuf,
    #[command(flatten)]
    unused: Unused<EXPORT>,
}

/// `devpi-import`
pub(super) fn import(options: DevpiImport) -> anyhow::Result<ExitCode> {
    options.unused.check()?;
    let root_pypi = IndexName::parse("root/pypi")?;
    let start = ImportStart {
        setup: options.place.setup(options.policies, UNOPENED.to_owned())?,
        accounts: AccountOptions {
            cost: options.place.cost(),
            ..AccountOptions::default()
        },
        root_password: Some(options.root_passwd.unwrap_or_default()),
        folder: options.folder,
        options: moving::ImportOptions {
            check_only: false,
            skipped_types: options.skip_import_type,
            skipped_indexes: options
                .no_root_pypi
                .then_some(root_pypi)
                .into_iter()
                .collect(),
        },
    };
    run_import(&start, false)
}

/// `devpi-export`
pub(super) fn export(options: DevpiExport) -> anyhow::Result<ExitCode> {
    options.unused.check()?;
    let setup = options.place.setup(options.policies, UNOPENED.to_owned())?;
    run_export(&setup, &options.folder, false)
}
