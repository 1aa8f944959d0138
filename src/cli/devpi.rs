//! `devpi-init`, `devpi-server`, `devpi-import` and `devpi-export`: the spellings of the programs this one replaces
//! (devpi-protocol.md §20), for people's scripts and for the test suites of others.
//!
//! One door speaks everything, as there. `--serverdir` is the data directory; indexes live in the
//! records, and no file of policies is looked for unless one is named.

use std::io::IsTerminal as _;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::moving::run_export;
use super::moving::run_import;
use super::say;
use super::say_error;
use super::serve::environment;
use crate::app;
use crate::app::AccountOptions;
use crate::app::ImportStart;
use crate::app::Start;
use crate::config::Overrides;
use crate::config::PoliciesPath;
use crate::gateway::account::Cost;
use crate::gateway::account::HouseRules;
use crate::gateway::moving;
use crate::model::IndexName;

/// The devpi-server whose behaviour this is; scripts and test suites ask for it.
pub(super) const DEVPI_VERSION: &str = "6.20.3";

/// Where devpi keeps its data when nothing is said, below the home directory.
const SERVERDIR: &str = ".devpi/server";

/// No door.
const OFF: &str = "off";

/// The door of a program that opens none: one has to be named.
const UNOPENED: &str = "127.0.0.1:0";

#[derive(Debug, Args)]
pub(super) struct InitOptions {
    #[command(flatten)]
    place: Place,
    /// Make no mirror root/pypi.
    #[arg(long)]
    no_root_pypi: bool,
    /// The password of the user root (default: empty).
    #[arg(long, value_name = "PASSWORD")]
    root_passwd: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ServerOptions {
    #[command(flatten)]
    place: Place,
    /// The host to listen on.
    #[arg(long, default_value = "localhost", env = "DEVPISERVER_HOST")]
    host: String,
    /// The port to listen on.
    #[arg(long, default_value_t = 3141, env = "DEVPISERVER_PORT")]
    port: u16,
    /// The only ones who may make and change users and indexes: names with commas between them.
    #[arg(long, value_name = "NAMES", env = "DEVPISERVER_RESTRICT_MODIFY")]
    restrict_modify: Option<String>,
    /// Serve only what is here; never ask an upstream.
    #[arg(long)]
    offline_mode: bool,
    /// A file or folder of policies, as `serve` takes it.
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    unneeded: Unneeded,
}

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
}

/// What all of them take.
#[derive(Debug, Args)]
struct Place {
    /// Where everything that must survive a restart is kept (default: ~/.devpi/server).
    #[arg(long, value_name = "DIR", env = "DEVPISERVER_SERVERDIR")]
    serverdir: Option<PathBuf>,
    /// Memory of a password hash, in KiB.
    #[arg(long, value_name = "KIB", hide = true)]
    argon2_memory_cost: Option<u32>,
    /// Lanes of a password hash.
    #[arg(long, value_name = "N", hide = true)]
    argon2_parallelism: Option<u32>,
    /// Passes of a password hash.
    #[arg(long, value_name = "N", hide = true)]
    argon2_time_cost: Option<u32>,
}

/// Options that people pass and that decide nothing here: taken, and said so.
#[derive(Debug, Args)]
struct Unneeded {
    /// Taken, and not needed: there are as many threads as processors.
    #[arg(long, hide = true)]
    threads: Option<u32>,
    /// Taken, and not needed: the log is always written.
    #[arg(long, hide = true)]
    debug: bool,
    /// Taken, and not needed: the secret is kept in the records.
    #[arg(long, hide = true)]
    secretfile: Option<PathBuf>,
    /// Taken, and not needed: limits.upstream_total_timeout says it in a file of policies.
    #[arg(long, hide = true)]
    request_timeout: Option<u32>,
    /// Taken, and not needed: every mirror has its own mirror_cache_expiry.
    #[arg(long, hide = true)]
    mirror_cache_expiry: Option<u32>,
    /// Taken, and not needed: sidecars are always served.
    #[arg(long, hide = true)]
    enable_core_metadata: bool,
}

impl Place {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.serverdir {
            return Ok(folder.clone());
        }
        let home = environment("HOME").context("name a --serverdir: there is no home directory")?;
        Ok(PathBuf::from(home).join(SERVERDIR))
    }

    /// Where the configuration is, and what it cannot say; `manage` is the one door that there is.
    fn sources(
        &self,
        policies: Option<PathBuf>,
        manage: String,
    ) -> anyhow::Result<(PoliciesPath, Overrides)> {
        let data = self.folder()?;
        let policies = match policies {
            Some(path) => PoliciesPath::Named(path),
            // Nothing is written there but by this program: no file of policies is met by accident.
            None => PoliciesPath::Default {
                folder: data.clone(),
            },
        };
        let overrides = Overrides {
            data: Some(data),
            public: Some(OFF.to_owned()),
            manage: Some(manage),
            metrics: Some(OFF.to_owned()),
            manage_plain: true,
            bare: true,
            ..Overrides::default()
        };
        Ok((policies, overrides))
    }

    fn cost(&self) -> Cost {
        let usual = Cost::default();
        Cost {
            memory_kib: self.argon2_memory_cost.unwrap_or(usual.memory_kib),
            iterations: self.argon2_time_cost.unwrap_or(usual.iterations),
            lanes: self.argon2_parallelism.unwrap_or(usual.lanes),
        }
    }
}

/// `devpi-init`
pub(super) fn init(options: &InitOptions) -> anyhow::Result<ExitCode> {
    let folder = options.place.folder()?;
    let accounts = AccountOptions {
        cost: options.place.cost(),
        ..AccountOptions::default()
    };
    let wants_mirror = !options.no_root_pypi;
    let password = options
        .root_passwd
        .clone()
        .or_else(|| environment("DEVPI_PASSWORD"));
    let password = password.unwrap_or_default();
    app::initialise(&folder, &accounts, &password, wants_mirror, environment)?;
    say(&format!("initialised {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// `devpi-server`
pub(super) fn serve(options: ServerOptions) -> anyhow::Result<ExitCode> {
    say_unneeded(&options.unneeded.given());
    let names = options.restrict_modify.as_deref();
    let accounts = AccountOptions {
        restrict_modify: names.map(HouseRules::parse_restrict_modify),
        cost: options.place.cost(),
    };
    let manage = address(&options.host, options.port)?;
    let (policies, overrides) = options.place.sources(options.policies, manage)?;
    let start = Start {
        policies,
        overrides: Overrides {
            offline: options.offline_mode,
            ..overrides
        },
        accounts,
        is_upgrade: false,
        is_terminal: std::io::stderr().is_terminal(),
    };
    app::serve(start, environment, &mut |line| drop(say(line)))?;
    Ok(ExitCode::SUCCESS)
}

/// `devpi-import`
pub(super) fn import(options: DevpiImport) -> anyhow::Result<ExitCode> {
    let mut given = options.unneeded.given();
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
    say_unneeded(&options.unneeded.given());
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
    fn given(&self) -> Vec<&'static str> {
        let pairs = [
            ("--hard-links", self.hard_links),
            ("--include-mirrored-files", self.include_mirrored_files),
            ("--debug", self.debug),
        ];
        let given = pairs.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }
}

impl Unneeded {
    fn given(&self) -> Vec<&'static str> {
        let pairs = [
            ("--threads", self.threads.is_some()),
            ("--debug", self.debug),
            ("--secretfile", self.secretfile.is_some()),
            ("--request-timeout", self.request_timeout.is_some()),
            ("--mirror-cache-expiry", self.mirror_cache_expiry.is_some()),
            ("--enable-core-metadata", self.enable_core_metadata),
        ];
        pairs
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
            .collect()
    }
}

/// An address of the host; of several that of the older family, which every client tries.
fn address(host: &str, port: u16) -> anyhow::Result<String> {
    let found = (host, port).to_socket_addrs();
    let found = found.with_context(|| format!("find the address of --host {host}"))?;
    let first = found.min_by_key(std::net::SocketAddr::is_ipv6);
    let first = first.with_context(|| format!("--host {host} has no address"))?;
    Ok(first.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_becomes_an_address() {
        for (host, expected) in [
            ("localhost", "127.0.0.1:3141"),
            ("0.0.0.0", "0.0.0.0:3141"),
            ("::1", "[::1]:3141"),
        ] {
            assert_eq!(address(host, 3141).unwrap(), expected);
        }
    }
}
