//! `Config`: the server's settings, complete and free of states that cannot be served.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::config::depot::{DepotConfig, DepotSources};
use crate::config::doors::Doors;
use crate::config::environment::{Environment, variable};
use crate::config::groups::KnownGroups;
use crate::config::journal::{JournalConfig, JournalSources};
use crate::config::limits::are_like;
use crate::config::manage::ManageConfig;
use crate::config::server::{LogStyle, SERVER, Server, Undeclared};
use crate::config::{door_sources, notify};
use crate::language::{Bytes, Notes, Placed, Shape, Table, Word, keys};
use crate::model::{DoorName, Fault, IndexName, Limits, Login, Secret, Webhook};

/// Everything the server needs to know besides indexes and policies.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the doors are.
    pub listen: Doors,
    /// The folder for everything that must survive a restart.
    pub data: PathBuf,
    /// The caches of mirrors.
    pub cache: CacheConfig,
    /// The URL of the PostgreSQL database that holds the records; `None` for a file in the data folder.
    pub records: Option<Secret>,
    /// The bucket that holds uploaded files; `None` for the data folder alone.
    pub depot: Option<DepotConfig>,
    /// What is kept of deliveries and refusals.
    pub journal: JournalConfig,
    /// Limits on clients and upstreams.
    pub limits: Limits,
    /// How the log is written.
    pub log: LogStyle,
    /// Whether no upstream may be asked.
    pub offline: bool,
    /// The proxies that are believed about whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may manage what.
    pub manage: ManageConfig,
    /// Groups of users and their members.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The devpi-servers behind this gateway, if any.
    pub devpi: Option<DevpiConfig>,
    /// Whom to tell of what happens.
    pub notify: Vec<Webhook>,
    /// How to log in to a mirror's upstream, where that is needed.
    pub logins: BTreeMap<IndexName, Login>,
    /// Root's password at the first start, from the environment.
    pub root_password: Option<Secret>,
}

impl Config {
    /// The keys in which `after` differs from these settings and that only a restart puts in force.
    #[must_use]
    pub fn waiting_for_restart(&self, after: &Self) -> Vec<&'static str> {
        let table = [
            ("listen", self.listen.is_like(&after.listen)),
            ("data", self.data == after.data),
            ("cache", self.cache == after.cache),
            ("records", self.records == after.records),
            ("depot", self.depot == after.depot),
            ("journal", self.journal == after.journal),
            ("limits", are_like(&self.limits, &after.limits)),
            ("log", self.log == after.log),
            ("offline", self.offline == after.offline),
            (
                "trusted_proxies",
                self.trusted_proxies == after.trusted_proxies,
            ),
            ("manage", self.manage == after.manage),
            ("devpi", self.devpi == after.devpi),
        ];
        let waiting = table.into_iter().filter(|(_, is_same)| !is_same);
        waiting.map(|(key, _)| key).collect()
    }
}

/// The caches of mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Pages and small files in memory, in bytes.
    pub memory: u64,
    /// Mirror files and sidecars on disk, in bytes.
    pub disk: u64,
    /// How long a page may be served when its upstream cannot be asked.
    pub stale_if_error: Duration,
    /// How long an expired page may be served while it is refreshed.
    pub stale_while_revalidate: Duration,
    /// How long a client waits for the refresh of a page that may be answered as it is.
    pub patience: Duration,
}

/// The devpi-servers behind this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevpiConfig {
    /// The primary and its replicas; at least one.
    pub servers: Vec<Url>,
    /// What happens to indexes that no file declares.
    pub undeclared: Undeclared,
}

/// What the flags of `serve` say; they win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--public`
    pub public: Option<String>,
    /// `--manage`
    pub manage: Option<String>,
    /// `--metrics`
    pub metrics: Option<String>,
    /// `--offline`
    pub offline: bool,
    /// Allows plain HTTP at the management door beyond loopback. Only the `devpi-server` spelling of the
    /// program sets it: a user who writes `--host 0.0.0.0` there asks for exactly that.
    pub manage_plain: bool,
    /// `--outside-url` of the `devpi-server` spelling.
    pub outside_url: Option<Url>,
    /// Leaves out the built-in mirror, so that an index exists only if somebody created it: `devpi-init`
    /// creates that one.
    pub bare: bool,
    /// devpi's own configuration file, whose block `devpi-ldap` counts.
    pub devpi_file: Option<PathBuf>,
    /// What a file would say that is about to be written, in place of what it says.
    pub instead: Option<(PathBuf, Arc<str>)>,
}

/// Combines flags, environment, files and defaults, in this order of precedence.
pub(super) fn resolve(
    mut server: Server,
    overrides: &Overrides,
    env: Environment<'_>,
    is_configured: bool,
    notes: &mut Notes,
) -> Config {
    let flags = [&overrides.public, &overrides.manage, &overrides.metrics];
    for (door, flag) in DoorName::ALL.into_iter().zip(flags) {
        let name = door.as_str();
        let outside = outside(flag.clone(), name, env, notes);
        server.doors.entry(door).or_default().outside = outside;
    }
    let flag = overrides.offline.then(|| "true".to_owned());
    let offline = outside(flag, "offline", env, notes).or(server.offline.take().map(bare));
    let data = overrides
        .data
        .clone()
        .or_else(|| outside(None, "data", env, notes));
    let mut listen =
        door_sources::resolve(&server.doors, is_configured, overrides.manage_plain, notes);
    if let Some(outside_url) = &overrides.outside_url {
        listen.manage.outside_url = Some(outside_url.clone());
    }
    let trusted = server.trusted_proxies.iter().flat_map(|list| &list.value);
    let trusted_proxies: Vec<IpNet> = trusted.map(|network| network.0).collect();
    if trusted_proxies.is_empty() {
        door_sources::note_missing_proxies(&listen, notes);
        server.manage.note_missing_proxies(notes);
    }
    let devpi = resolve_devpi(&server, notes);
    let groups = server.groups.settle();
    let restricted = server.manage.restrict_modify.clone();
    let manage = server.manage.settle(env, notes);
    if let Some(names) = restricted {
        let known = KnownGroups {
            declared: &groups,
            has_directory: manage.ldap.is_some(),
        };
        for name in &names.value {
            known.note_if_unknown("restrict_modify", &name.0, &names.location, notes);
        }
    }
    Config {
        listen,
        trusted_proxies,
        data: data.unwrap_or_else(|| settled(server.data.take(), "data")),
        offline: offline.unwrap_or_else(|| default("offline")),
        devpi,
        groups,
        manage,
        cache: CacheConfig {
            memory: settled::<Bytes>(server.memory, "cache.memory").0,
            disk: settled::<Bytes>(server.disk, "cache.disk").0,
            stale_if_error: settled(server.stale_if_error, "cache.stale_if_error"),
            stale_while_revalidate: settled(
                server.stale_while_revalidate,
                "cache.stale_while_revalidate",
            ),
            patience: settled(server.patience, "cache.patience"),
        },
        records: server.records.settle(env, notes),
        depot: resolve_depot(server.depot, env, notes),
        journal: resolve_journal(server.journal),
        limits: server.limits,
        log: settled(server.log_format, "log.format"),
        notify: notify::resolve(server.notify, env, notes),
        logins: BTreeMap::new(),
        root_password: variable(env, "CHEESECLOTH_ROOT_PASSWORD")
            .or_else(|| variable(env, "DEVPI_PASSWORD"))
            .map(Secret::new),
    }
}

/// What a flag says, or else its variable: `--public` or `CHEESECLOTH_PUBLIC`.
fn outside<T: Word>(
    flag: Option<String>,
    name: &str,
    env: Environment<'_>,
    notes: &mut Notes,
) -> Option<T> {
    let variable_name = format!("CHEESECLOTH_{}", name.to_uppercase());
    let (said_by, text) = match flag {
        Some(text) => (format!("--{name}"), text),
        None => (variable_name.clone(), variable(env, &variable_name)?),
    };
    match T::read(&text) {
        Ok(value) => Some(value),
        Err(misread) => {
            let fault = Fault::nowhere(format!("{said_by}: {}", misread.what));
            notes.note(match misread.hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            });
            None
        }
    }
}

fn resolve_journal(said: JournalSources) -> JournalConfig {
    JournalConfig {
        keep: settled(said.keep, "journal.keep"),
        disk: settled::<Bytes>(said.disk, "journal.disk").0,
        clients: settled(said.clients, "journal.clients"),
        required: settled(said.required, "journal.required"),
    }
}

fn resolve_depot(
    said: DepotSources,
    env: Environment<'_>,
    notes: &mut Notes,
) -> Option<DepotConfig> {
    let (grace, collect_every) = (said.grace.clone(), said.collect_every.clone());
    let place = said.place(env, notes)?;
    Some(DepotConfig {
        place,
        grace: settled(grace, "depot.grace"),
        collect_every: settled(collect_every, "depot.collect_every"),
    })
}

fn resolve_devpi(server: &Server, notes: &mut Notes) -> Option<DevpiConfig> {
    let location = server.devpi.as_ref()?;
    let servers = server
        .devpi_servers
        .iter()
        .flat_map(|servers| &servers.value);
    let servers: Vec<Url> = servers.map(|server| server.0.clone()).collect();
    if servers.is_empty() {
        let fault = Fault::at(location, "devpi without servers");
        notes.note(fault.hint("name at least one, such as servers: [\"http://127.0.0.1:3142\"]"));
    }
    let undeclared = server.undeclared.as_ref().map(|placed| placed.value);
    Some(DevpiConfig {
        servers,
        undeclared: undeclared.unwrap_or_else(|| default("devpi.undeclared")),
    })
}

fn settled<T: Word>(said: Option<Placed<T>>, path: &str) -> T {
    said.map_or_else(|| default(path), bare)
}

fn bare<T>(placed: Placed<T>) -> T {
    placed.value
}

/// The default from the table of keys, at a path such as `cache.memory`.
fn default<T: Word>(path: &str) -> T {
    let mut table: Table = &[SERVER];
    let mut text = "";
    for name in path.split('.') {
        let found = keys(table).find(|key| key.name == name);
        text = found.map_or("", |key| key.default);
        if let Some(Shape::Table(inner)) = found.map(|key| key.shape) {
            table = inner;
        }
    }
    T::read(text).expect("the tables have a default that reads, as a test shows")
}

#[cfg(test)]
mod tests;
