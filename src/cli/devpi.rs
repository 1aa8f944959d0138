//! `devpi-init` and `devpi-server`: the spellings of the programs this one replaces
//! (docs/protocol/devpi.md §20), for people's scripts and for the test suites of others.
//!
//! One door offers everything, as there. `--serverdir` is the data directory; indexes live in the
//! records, and policies are read only if a file is named.

use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command, FromArgMatches as _};
use url::Url;

use crate::account::{Cost, HouseRules};
use crate::app;
use crate::app::{AccountOptions, Setup};
use crate::cli::devpi_unused::{INIT, SERVER, Unused};
use crate::cli::output::say;
use crate::cli::serve;
use crate::cli::sources::environment;
use crate::config::{Overrides, PoliciesPath};

/// The devpi-server version whose behaviour this is; scripts and test suites ask for it.
pub(super) const DEVPI_VERSION: &str = "6.20.3";

/// Where devpi keeps its data by default, below the home directory.
const SERVERDIR: &str = ".devpi/server";

/// A closed door.
const OFF: &str = "off";

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
    #[command(flatten)]
    unused: Unused<INIT>,
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
    /// HOST:PORT to listen on, instead of --host and --port.
    #[arg(long, value_name = "HOST:PORT", env = "DEVPISERVER_LISTEN")]
    listen: Vec<String>,
    /// A Unix socket to listen on, instead of an address.
    #[arg(long, value_name = "PATH", env = "DEVPISERVER_UNIX_SOCKET")]
    unix_socket: Option<PathBuf>,
    /// The URL under which clients see this server, where no proxy says it with X-outside-url.
    #[arg(long, value_name = "URL", env = "DEVPISERVER_OUTSIDE_URL", value_parser = outside_url)]
    outside_url: Option<Url>,
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
    unused: Unused<SERVER>,
}

/// What all of them take.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Where everything that must survive a restart is kept (default: ~/.devpi/server).
    #[arg(long, value_name = "DIR", env = "DEVPISERVER_SERVERDIR")]
    serverdir: Option<PathBuf>,
    /// A YAML file with options under the key devpi-server.
    #[arg(long, short = 'c', value_name = "FILE")]
    configfile: Option<String>,
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

impl Place {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.serverdir {
            return Ok(folder.clone());
        }
        let home = environment("HOME").context("name a --serverdir: there is no home directory")?;
        Ok(PathBuf::from(home).join(SERVERDIR))
    }

    /// Where the configuration is, and what it cannot say; `manage` is the one door that there is.
    pub(super) fn setup(&self, policies: Option<PathBuf>, manage: String) -> anyhow::Result<Setup> {
        let data = self.folder()?;
        let policies = match policies {
            Some(path) => PoliciesPath::Named(path),
            // Only this program writes there, so no policy file is found there by accident.
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
        Ok(Setup {
            policies,
            overrides,
            env: environment,
        })
    }

    pub(super) fn cost(&self) -> Cost {
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
    options.unused.check()?;
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
pub(super) fn server(options: ServerOptions) -> anyhow::Result<ExitCode> {
    options.unused.check()?;
    let listen = options.address()?;
    let names = options.restrict_modify.as_deref();
    let accounts = AccountOptions {
        restrict_modify: names.map(HouseRules::parse_restrict_modify),
        cost: options.place.cost(),
    };
    let mut setup = options.place.setup(options.policies, listen)?;
    setup.overrides.offline = options.offline_mode;
    setup.overrides.outside_url = options.outside_url;
    setup.overrides.devpi_file = options.place.configfile.map(PathBuf::from);
    serve::serve(setup, accounts, false)
}

impl ServerOptions {
    /// The program with its options.
    pub(super) fn program() -> Command {
        Self::augment_args(Command::new("devpi-server").args_override_self(true))
    }

    /// Checks that the program takes these options; the error is what it says against them.
    pub(super) fn check_said(program: Command, options: &[String]) -> anyhow::Result<()> {
        let name = program.get_name().to_owned();
        let matches = program.try_get_matches_from([&name].into_iter().chain(options));
        let parsed = matches.and_then(|matches| Self::from_arg_matches(&matches));
        let parsed = parsed.map_err(|error| {
            // Its first paragraph; what follows is how the command line is used.
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            anyhow::anyhow!("{}", first.split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        parsed.unused.check()
    }

    /// Where to listen, as a door's address.
    fn address(&self) -> anyhow::Result<String> {
        if let Some(path) = &self.unix_socket {
            return Ok(format!("unix:{}", path.display()));
        }
        match self.listen.as_slice() {
            [] => address(&self.host, self.port),
            [one] => {
                let parts = one.rsplit_once(':').and_then(|(host, port)| {
                    Some((host.trim_matches(['[', ']']), port.parse().ok()?))
                });
                let (host, port) =
                    parts.with_context(|| format!("--listen {one} is not HOST:PORT"))?;
                address(if host == "*" { "0.0.0.0" } else { host }, port)
            }
            _ => anyhow::bail!("--listen is given more than once; one door listens on one address"),
        }
    }
}

/// A URL that paths can be appended to.
fn outside_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain {
        Ok(url)
    } else {
        Err("say http:// or https://, the host, and perhaps a path; nothing else".to_owned())
    }
}

/// The host's address and port; of several addresses an IPv4 one, which every client tries.
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
