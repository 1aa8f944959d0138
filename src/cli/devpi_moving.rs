//! `devpi-import` and `devpi-export`: the spellings of the programs that `import` and `export` stand in
//! for (docs/protocol/devpi.md §20).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::{AccountOptions, ImportStart};
use crate::cli::devpi::Place;
use crate::cli::devpi_others::{ELSEWHERE, PASSWORD, is_elsewhere};
use crate::cli::devpi_refused::refuse;
use crate::cli::moving::{run_export, run_import};
use crate::cli::say_error;
use crate::model::IndexName;
use crate::moving;

/// The door of a program that opens none: one has to be named.
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
    /// Refused: passwords are hashed here.
    #[arg(long, hide = true)]
    root_passwd_hash: Option<String>,
    /// Leave out indexes of this type.
    #[arg(long, value_name = "TYPE")]
    skip_import_type: Vec<String>,
    /// A file or folder of policies, as `import` takes it.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// The directory that an export was written to.
    #[arg(value_name = "DIRECTORY")]
    folder: PathBuf,
    /// Taken, and not needed: an import is over when it ends.
    #[arg(long, hide = true)]
    wait_for_events: bool,
    /// Taken, and not needed: likewise.
    #[arg(long, hide = true)]
    no_events: bool,
    #[command(flatten)]
    unneeded: UnneededToMove,
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
    unneeded: UnneededToMove,
}

/// Options of `devpi-import` and `devpi-export` that decide nothing here: taken, and said so.
#[derive(Debug, Args)]
struct UnneededToMove {
    /// Taken, and not needed: files are copied, so that nobody changes them in both places.
    #[arg(long, hide = true)]
    hard_links: bool,
    /// Taken, and not needed: mirrors fetch their files again.
    #[arg(long, hide = true)]
    include_mirrored_files: bool,
    /// Taken, and not needed: what is left out is always said.
    #[arg(long, hide = true)]
    debug: bool,
    /// A YAML file with options under the key devpi-server.
    #[arg(long, short = 'c', value_name = "FILE")]
    configfile: Option<String>,
    /// Taken, and not needed: the log goes to stderr.
    #[arg(long, hide = true)]
    logger_cfg: Option<String>,
    /// Taken, and not needed: nothing is kept in memory.
    #[arg(long, hide = true)]
    keyfs_cache_size: Option<u32>,
    /// Taken where it is the storage that there is.
    #[arg(long, hide = true)]
    storage: Option<String>,
}

/// `devpi-import`
pub(super) fn import(options: DevpiImport) -> anyhow::Result<ExitCode> {
    if options.root_passwd_hash.is_some() {
        refuse("--root-passwd-hash", PASSWORD)?;
    }
    let mut given = options.unneeded.given()?;
    given.extend(options.wait_for_events.then_some("--wait-for-events"));
    given.extend(options.no_events.then_some("--no-events"));
    say_unneeded(&given);
    let (policies, overrides) = options
        .place
        .sources(options.policies, UNOPENED.to_owned())?;
    let root_pypi = IndexName::parse("root/pypi")?;
    let start = ImportStart {
        policies,
        overrides,
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
    say_unneeded(&options.unneeded.given()?);
    let (policies, overrides) = options
        .place
        .sources(options.policies, UNOPENED.to_owned())?;
    run_export(&policies, &overrides, &options.folder, false)
}

fn say_unneeded(options: &[&str]) {
    for option in options {
        say_error(&format!("{option} is taken and decides nothing here"));
    }
}

impl UnneededToMove {
    fn given(&self) -> anyhow::Result<Vec<&'static str>> {
        if self.storage.as_deref().is_some_and(is_elsewhere) {
            refuse("--storage", ELSEWHERE)?;
        }
        let pairs = [
            ("--hard-links", self.hard_links),
            ("--include-mirrored-files", self.include_mirrored_files),
            ("--debug", self.debug),
            ("--logger-cfg", self.logger_cfg.is_some()),
            ("--keyfs-cache-size", self.keyfs_cache_size.is_some()),
            ("--storage", self.storage.is_some()),
        ];
        let given = pairs.into_iter().filter(|(_, is_given)| *is_given);
        Ok(given.map(|(name, _)| name).collect())
    }
}
