//! The commands.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::approve::ApproveOptions;
use crate::cli::backup::{BackupOptions, RestoreOptions};
use crate::cli::cache::CacheCommand;
use crate::cli::check::CheckOptions;
use crate::cli::devpi::{DEVPI_VERSION, InitOptions, ServerOptions};
use crate::cli::devpi_moving::{DevpiExport, DevpiImport};
use crate::cli::diff::DiffOptions;
use crate::cli::doctor::DoctorOptions;
use crate::cli::explain::ExplainOptions;
use crate::cli::generated::{CompletionsOptions, ManOptions};
use crate::cli::journal::JournalOptions;
use crate::cli::move_records::MoveRecordsOptions;
use crate::cli::moving::{ExportOptions, ImportOptions};
use crate::cli::output::{say, say_error};
use crate::cli::policy_test::TestOptions;
use crate::cli::recall::RecallOptions;
use crate::cli::reload::ReloadOptions;
use crate::cli::schema::SchemaOptions;
use crate::cli::serve::ServeOptions;
use crate::cli::token::TokenCommand;
use crate::cli::warm::WarmOptions;
use crate::cli::{devpi_configfile, devpi_programs};
use crate::telemetry::BUILD;

/// A caching policy gateway between Python installers and PyPI.
#[derive(Debug, Parser)]
#[command(name = "cheesecloth", version = version(), propagate_version = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Leaked, a few dozen bytes once or twice a run, since clap keeps no text of its own.
fn version() -> &'static str {
    BUILD.shown().leak()
}

impl Arguments {
    /// Parses what was typed. When there is nothing left to do, or it was wrong, that has been said and the
    /// exit code is returned.
    pub(super) fn read(typed: impl Iterator<Item = OsString>) -> Result<Self, ExitCode> {
        let typed = devpi_programs::spelled(typed);
        let typed = typed.and_then(|typed| devpi_configfile::put_in(typed, &Self::command()));
        let typed = typed.map_err(|error| {
            say_error(&format!("{error:#}"));
            ExitCode::from(2)
        })?;
        let is_devpi = typed
            .get(1)
            .is_some_and(|command| command.to_string_lossy().starts_with("devpi-"));
        Self::parsed(typed).map_err(|error| {
            // Scripts and devpi's own tests read this, and expect nothing but the number.
            if is_devpi && error.kind() == ErrorKind::DisplayVersion {
                let _ = say(DEVPI_VERSION);
                return ExitCode::SUCCESS;
            }
            error.exit()
        })
    }

    /// Parses it as the program under whose name it was started, so that help and errors name it once.
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
    /// Bring the records from the data directory to PostgreSQL, or back, while nobody serves from them.
    MoveRecords(MoveRecordsOptions),
    /// Make, list and withdraw tokens for pipelines, which stand in for a password.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Have the running server fetch what lock files pin: exit 1 when something cannot be had.
    Warm(WarmOptions),
    /// Say what is held, list it, make room, or read all of it again.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Call a release, a project or a file back: refused everywhere from now on; and say who got it.
    Recall(RecallOptions),
    /// Have the running server read its configuration again: exit 1 when there are faults, which it then
    /// does not put in force.
    Reload(ReloadOptions),
    /// Say whether this machine really uses the gateway, and what leads elsewhere: exit 1 when something does.
    Doctor(DoctorOptions),
    /// Tell what was delivered and refused, to whom.
    Journal(JournalOptions),
    /// Say what another configuration would refuse and allow, by what was asked for: exit 1 when something
    /// is newly refused.
    Diff(DiffOptions),
    /// Allow what an index refuses of lock files: these releases by their digests, until a day: exit 1 when
    /// something would be refused all the same.
    Approve(ApproveOptions),
    /// Run tests of policies: exit 1 when something is decided otherwise than expected, 2 when a file of
    /// tests or the configuration is at fault.
    Test(TestOptions),
    /// Print the JSON Schema of the configuration, for editors.
    Schema(SchemaOptions),
    /// Print what a shell needs to complete commands and options.
    Completions(CompletionsOptions),
    /// Print the manual page of the program or of one command, or write all of them.
    Man(ManOptions),
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
