//! The commands and their options.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::devpi::{DEVPI_VERSION, InitOptions, ServerOptions};
use crate::cli::devpi_moving::{DevpiExport, DevpiImport};
use crate::cli::token::TokenCommand;
use crate::cli::warm::WarmOptions;
use crate::cli::{devpi, devpi_configfile, devpi_refused, say, say_error};

/// A caching policy gateway between Python installers and PyPI.
#[derive(Debug, Parser)]
#[command(name = "cheesecloth", version, propagate_version = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Arguments {
    /// What was typed, unless that is done already, or wrong: then it was said, and this is the exit
    /// code.
    pub(super) fn read(typed: impl Iterator<Item = OsString>) -> Result<Self, ExitCode> {
        let typed = devpi::spelled(typed);
        let checked = devpi_refused::check_program(&typed);
        let typed = checked.and_then(|()| devpi_configfile::put_in(typed, &Self::command()));
        let typed = typed.map_err(|error| {
            say_error(&format!("{error:#}"));
            ExitCode::from(2)
        })?;
        let is_devpi = typed
            .get(1)
            .is_some_and(|command| command.to_string_lossy().starts_with("devpi-"));
        Self::parsed(typed).map_err(|error| {
            // Scripts and devpi's own tests read it, and look for nothing but the number.
            if is_devpi && error.kind() == ErrorKind::DisplayVersion {
                let _ = say(DEVPI_VERSION);
                return ExitCode::SUCCESS;
            }
            error.exit()
        })
    }

    /// Parses it, as the very program whose name it was started by: help and errors say that name once.
    fn parsed(typed: Vec<OsString>) -> clap::error::Result<Self> {
        let program = typed.first().map(Path::new).and_then(Path::file_name);
        let is_spelled = program.is_some() && program == typed.get(1).map(OsString::as_os_str);
        let matches = if is_spelled {
            Self::command()
                .multicall(true)
                .try_get_matches_from(typed.into_iter().skip(1))
        } else {
            Self::command().try_get_matches_from(typed)
        };
        Self::from_arg_matches(&matches?)
    }

    /// Whether `devpi-server` takes these options: what it says against them.
    pub(super) fn check_devpi_server(options: &[String]) -> anyhow::Result<()> {
        let program = ["cheesecloth", "devpi-server"].map(str::to_owned);
        let typed = program.iter().chain(options);
        let parsed = Self::try_parse_from(typed).map_err(|error| {
            // Its first paragraph; what follows is how the command line is used.
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            anyhow::anyhow!("{}", first.split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        match parsed.command {
            Command::DevpiServer(options) => options.check(),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the doors until a signal ends it.
    Serve(ServeOptions),
    /// Read the policies and print every fault: exit 0 without, 1 with.
    Check(CheckOptions),
    /// Say for one file or requirement what each layer and rule makes of it.
    Explain(ExplainOptions),
    /// Take in everything that an export holds, also one of devpi-server: all of it, or nothing.
    Import(ImportOptions),
    /// Write everything into a directory that import and devpi-import read.
    Export(ExportOptions),
    /// Back up records and private files, beside the running server or without one: exit 1 when a file
    /// could not be had.
    Backup(BackupOptions),
    /// Bring a backup back into a data directory that has no records: exit 1 when a file is damaged.
    Restore(RestoreOptions),
    /// Make, list and withdraw tokens for pipelines, which stand in for a password.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Have the running server fetch what lock files pin: exit 1 when something cannot be had.
    Warm(WarmOptions),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Make a data directory, as devpi-init does.
    #[command(hide = true, version = DEVPI_VERSION, args_override_self = true)]
    DevpiInit(Box<InitOptions>),
    /// Serve everything through one door, as devpi-server does.
    #[command(hide = true, version = DEVPI_VERSION, args_override_self = true)]
    DevpiServer(Box<ServerOptions>),
    /// Take in an export, as devpi-import does.
    #[command(hide = true, version = DEVPI_VERSION, args_override_self = true)]
    DevpiImport(Box<DevpiImport>),
    /// Write an export, as devpi-export does.
    #[command(hide = true, version = DEVPI_VERSION, args_override_self = true)]
    DevpiExport(Box<DevpiExport>),
}

/// Where the configuration is; shared by every command that reads it.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// A YAML file or a folder of them (default: cheesecloth.yaml, where there is one).
    #[arg(long, value_name = "PATH")]
    pub(super) policies: Option<PathBuf>,
    /// Where everything that must survive a restart is kept.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The public door: HOST:PORT, unix:/path, or off.
    #[arg(long, value_name = "ADDR")]
    pub(super) public: Option<String>,
    /// The management door.
    #[arg(long, value_name = "ADDR")]
    pub(super) manage: Option<String>,
    /// The metrics door.
    #[arg(long, value_name = "ADDR")]
    pub(super) metrics: Option<String>,
    /// The public door's host, as devpi-server spells it.
    #[arg(long, value_name = "HOST", conflicts_with = "public")]
    pub(super) host: Option<String>,
    /// The public door's port, as devpi-server spells it.
    #[arg(long, value_name = "PORT", conflicts_with = "public")]
    pub(super) port: Option<u16>,
    /// Serve only what is here; never ask an upstream.
    #[arg(long)]
    pub(super) offline: bool,
    /// Take the listening sockets over from the running process (docs: deploy/).
    #[arg(long)]
    pub(super) upgrade: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// A YAML file or a folder of them.
    #[arg(value_name = "POLICIES")]
    pub(super) policies: Option<PathBuf>,
    /// Warnings count as faults.
    #[arg(long)]
    pub(super) strict: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The asked index, as user/index.
    pub(super) index: String,
    /// A requirement (`six==1.16.0`), a file name, or the URL of a file.
    pub(super) subject: String,
    /// Explain what a server does that was started with --offline.
    #[arg(long)]
    pub(super) offline: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The directory that devpi-export or export wrote.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Read and compare everything, and change nothing.
    #[arg(long)]
    pub(super) check: bool,
    /// Leave out indexes of this type, as devpi-import does.
    #[arg(long, value_name = "TYPE")]
    pub(super) skip_import_type: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// A directory that is new or empty.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BackupOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// A directory that is new, empty, or holds an earlier backup: only what is new is copied.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Read all that is in the directory already, and copy again what is damaged.
    #[arg(long)]
    pub(super) verify: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreOptions {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The directory that backup wrote.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}
