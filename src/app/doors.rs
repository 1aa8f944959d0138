//! The doors, as the configuration wants them, over the flows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::app::generation::upstream_limits;
use crate::clock::Clock;
use crate::config;
use crate::config::{Config, Listen};
use crate::db::Db;
use crate::front::{Front, FrontOptions};
use crate::gateway::{Answers, Flows};
use crate::listen::{
    Certificates, DoorLimits, DoorOptions, DoorServer, FormLimits, Hosts, HttpService,
    ListenAddress, ManageDoor, ManageOptions, MetricsDoor, Ready, Recorder, ServerOptions,
    TrustedProxies,
};
use crate::model::{IndexName, OperationClass};
use crate::policy::Policies;
use crate::reader::Reader;
use crate::telemetry::{AccessLog, AuditLog, DoorName, Metrics};
use crate::upstream::{Fleet, OwnDoors};
use crate::writer::Writer;

/// Permission bits of a door on a Unix socket: its user and group, nobody else.
const SOCKET_MODE: u32 = 0o660;

/// What every door writes down, and with what.
pub(super) struct Doorway {
    pub(super) access: Arc<AccessLog>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// Asked whether they can be written.
    pub(super) records: Arc<dyn Db>,
    /// The devpi-servers to stand in front of.
    pub(super) fleet: Option<Arc<Fleet>>,
    /// Told where the doors are.
    pub(super) doors: OwnDoors,
}

/// A server with its doors open.
pub(super) struct Opened {
    pub(super) server: DoorServer,
    pub(super) ready: Ready,
    /// To be read again when their files change.
    pub(super) certificates: Vec<(config::Door, Arc<Certificates>)>,
    /// One line for each door, and how to use the public one.
    pub(super) lines: Vec<String>,
    /// Where they are, of those on TCP.
    bound: Vec<SocketAddr>,
}

impl Doorway {
    /// Opens the doors.
    pub(super) fn open(
        &self,
        options: ServerOptions,
        config: &Config,
        flows: &Arc<Flows>,
        writer: Writer,
    ) -> anyhow::Result<Opened> {
        let server = DoorServer::new(options, self.metrics.clone())?;
        let ready = Ready::default();
        let front = self.front(config, flows);
        let mut opened = Opened {
            server,
            ready,
            certificates: Vec::new(),
            lines: Vec::new(),
            bound: Vec::new(),
        };
        if let Some(door) =
            options_of(DoorName::Public, &config.listen.public, config, &mut opened)?
        {
            let scheme = scheme(&door);
            let answer: Arc<dyn Answers> = match &front {
                Some(front) => Arc::clone(front) as _,
                None => Arc::new(Reader::new(Arc::clone(flows))),
            };
            let recorder = self.recorder(DoorName::Public);
            let mut service = HttpService::new(answer, recorder.clone(), door.limits.clone())
                .behind(door.proxies.clone())
                .seen_at(config.listen.public_outside_url.as_ref());
            let (listen, allows) = (&config.listen.public, &config.listen.public_allows);
            if allows.iter().any(|class| *class != OperationClass::Read) {
                // Whoever opens it for everyone gives it names that nobody here knows.
                let options = ManageOptions {
                    is_public: true,
                    hosts: Hosts::Any,
                    outside_url: config.listen.public_outside_url.clone(),
                    ..manage_options(listen, allows, &door, config, front.clone())
                };
                let writes = ManageDoor::new(writer.clone(), recorder, options);
                service = service.opened_for(Arc::new(writes));
            }
            let bound = opened.server.add(door, service)?;
            opened.announce("public", scheme, &bound);
            opened.advise(scheme, &bound, flows);
        }
        if let Some(door) =
            options_of(DoorName::Manage, &config.listen.manage, config, &mut opened)?
        {
            let (listen, allows) = (&config.listen.manage, &config.listen.manage_allows);
            let options = manage_options(listen, allows, &door, config, front);
            let recorder = self.recorder(DoorName::Manage);
            let handler = ManageDoor::new(writer, recorder.clone(), options);
            let service = HttpService::handled_by(Arc::new(handler), recorder, door.limits.clone())
                .behind(door.proxies.clone())
                .seen_at(config.listen.manage_outside_url.as_ref());
            let scheme = scheme(&door);
            let bound = opened.server.add(door, service)?;
            opened.announce("management", scheme, &bound);
        }
        self.open_metrics(config, flows, &mut opened)?;
        self.doors.opened(opened.bound.clone());
        Ok(opened)
    }

    fn open_metrics(
        &self,
        config: &Config,
        flows: &Arc<Flows>,
        opened: &mut Opened,
    ) -> anyhow::Result<()> {
        if let Some(door) = options_of(DoorName::Metrics, &config.listen.metrics, config, opened)? {
            let caches = Arc::clone(flows);
            let measure = move || caches.report_state();
            let records = Arc::clone(&self.records);
            let lacking =
                move || (!records.is_writable()).then_some("the records cannot be written");
            let handler = MetricsDoor {
                metrics: self.metrics.clone(),
                ready: opened.ready.clone(),
                lacking,
                measure,
            };
            let recorder = self.recorder(DoorName::Metrics);
            let service = HttpService::handled_by(Arc::new(handler), recorder, door.limits.clone());
            let scheme = scheme(&door);
            let bound = opened.server.add(door, service)?;
            opened.announce("metrics", scheme, &bound);
        }
        Ok(())
    }

    /// What stands between the doors and the devpi-servers, where there are any.
    fn front(&self, config: &Config, flows: &Arc<Flows>) -> Option<Arc<Front>> {
        let (fleet, devpi) = (self.fleet.as_ref()?, config.devpi.as_ref()?);
        let options = FrontOptions {
            undeclared: devpi.undeclared,
            limits: upstream_limits(&config.limits, &flows.core.settings.decoding),
            object_bytes_max: config.limits.api_body(),
        };
        let reader = Arc::new(Reader::new(Arc::clone(flows)));
        let (flows, fleet) = (Arc::clone(flows), Arc::clone(fleet));
        Some(Arc::new(Front::new(reader, flows, fleet, options)))
    }

    fn recorder(&self, door: DoorName) -> Recorder {
        let clock = self.clock.clone();
        Recorder {
            door,
            metrics: self.metrics.clone(),
            access: Arc::clone(&self.access),
            audit: Arc::clone(&self.audit),
            now: Arc::new(move || clock.now()),
        }
    }
}

impl Opened {
    fn announce(&mut self, door: &str, scheme: &str, bound: &[ListenAddress]) {
        for address in bound {
            self.lines.push(match address {
                ListenAddress::Tcp(address) => {
                    self.bound.push(*address);
                    format!("{door} {scheme}://{address}/")
                }
                ListenAddress::Unix { .. } => format!("{door} {address}"),
            });
        }
    }

    /// How to use the public door, as a line to copy.
    fn advise(&mut self, scheme: &str, bound: &[ListenAddress], flows: &Flows) {
        let generation = flows.core.generation();
        let index = index_to_try(&generation.policies);
        let Some(ListenAddress::Tcp(address)) = bound.first() else {
            return;
        };
        let Some(index) = index else { return };
        let host = if address.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else {
            address.ip().to_string()
        };
        let port = address.port();
        self.lines.push(format!(
            "try pip install --index-url {scheme}://{host}:{port}/{index}/+simple/ six"
        ));
    }
}

/// The index that people are told to try: the one with the short address, else the first, of those
/// that the public door shows.
fn index_to_try(policies: &Policies) -> Option<IndexName> {
    let default = policies.default_index();
    let first = || policies.indexes().find(|index| index.settings.public());
    default
        .filter(|index| !policies.is_hidden(index))
        .or_else(|| Some(&first()?.name))
        .cloned()
}

/// What a door that allows more than reading allows, and within which limits.
fn manage_options(
    listen: &Listen,
    allows: &[OperationClass],
    door: &DoorOptions,
    config: &Config,
    front: Option<Arc<Front>>,
) -> ManageOptions {
    let is_tcp_on_loopback = listen.is_local() && matches!(listen, Listen::Tcp { .. });
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ManageOptions {
        is_public: false,
        allows: allows.to_vec(),
        hosts: if is_tcp_on_loopback {
            Hosts::Loopback
        } else {
            Hosts::Any
        },
        outside_url: config.listen.manage_outside_url.clone(),
        limits: door.limits.clone(),
        upload_bytes_max: config.limits.upload(),
        object_bytes_max: size(config.limits.api_body()),
        form: FormLimits::holding(size(config.limits.upload_fields())),
        front,
    }
}

fn scheme(door: &DoorOptions) -> &'static str {
    if door.tls.is_some() { "https" } else { "http" }
}

fn options_of(
    name: DoorName,
    listen: &Listen,
    config: &Config,
    opened: &mut Opened,
) -> anyhow::Result<Option<DoorOptions>> {
    let (address, tls) = match listen {
        Listen::Off => return Ok(None),
        Listen::Tcp { address, tls } => (ListenAddress::Tcp(*address), tls.as_ref()),
        Listen::Unix { path } => (socket(path.clone()), None),
    };
    let tls = tls
        .map(|files| Certificates::load(&files.cert, &files.key))
        .transpose()?;
    opened
        .certificates
        .extend(tls.clone().map(|tls| (door_of(name), tls)));
    Ok(Some(DoorOptions {
        name,
        addresses: vec![address],
        tls,
        is_behind_proxies: is_behind_proxies(name, config),
        limits: door_limits(&config.limits),
        proxies: TrustedProxies::new(&config.trusted_proxies),
        threads: threads(name),
    }))
}

/// Whether a door expects the PROXY protocol.
fn is_behind_proxies(name: DoorName, config: &Config) -> bool {
    config.listen.behind_proxies.contains(&door_of(name))
}

fn door_of(name: DoorName) -> config::Door {
    match name {
        DoorName::Public => config::Door::Public,
        DoorName::Manage => config::Door::Manage,
        DoorName::Metrics => config::Door::Metrics,
    }
}

fn socket(path: PathBuf) -> ListenAddress {
    ListenAddress::Unix {
        path,
        mode: SOCKET_MODE,
    }
}

/// The public door gets every core; numbers and management do with one thread.
fn threads(name: DoorName) -> usize {
    match name {
        DoorName::Public => std::thread::available_parallelism().map_or(1, usize::from),
        DoorName::Manage | DoorName::Metrics => 1,
    }
}

/// What the operator's limits mean for a door.
#[must_use]
pub fn door_limits(limits: &config::Limits) -> DoorLimits {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    DoorLimits {
        head: size(limits.head()),
        uri: size(limits.uri()),
        proxy_header: size(limits.proxy_header()),
        head_timeout: limits.head_timeout(),
        idle_timeout: limits.idle_timeout(),
        request_timeout: limits.request_timeout(),
        send_timeout: limits.send_timeout(),
        min_send_rate: limits.min_send_rate(),
        min_receive_rate: limits.min_receive_rate(),
        connections: limits.connections(),
        connections_per_address: limits.connections_per_address(),
        requests_per_connection: u32::try_from(limits.requests_per_connection())
            .unwrap_or(u32::MAX),
        send_grace: DoorLimits::GRACE,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn people_are_told_to_try_an_index_that_is_there() {
        let tried = |yaml: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c.yaml");
            std::fs::write(&path, yaml).unwrap();
            let source = config::PoliciesPath::Named(path);
            let loaded = config::load(&source, &config::Overrides::default(), &|_| None).unwrap();
            let policies = Policies::compile(&loaded.documents, &[]).unwrap();
            index_to_try(&policies).map(|index| index.to_string())
        };
        let two = "indexes: { a/a: { public: false }, b/b: {}, c/c: {} }\ndefault_index: ";
        assert_eq!(tried(&format!("{two}c/c")).as_deref(), Some("c/c"));
        assert_eq!(tried(&format!("{two}a/a")).as_deref(), Some("b/b"));
        assert_eq!(tried("indexes: { a/a: { public: false } }"), None);
    }

    /// What is promised of a door that nobody configured.
    #[test]
    fn a_door_has_the_limits_of_the_configuration() {
        let limits = door_limits(&config::Limits::default());
        assert_eq!((limits.head, limits.uri), (64 << 10, 8 << 10));
        assert_eq!(limits.head_timeout, Duration::from_secs(10));
        assert_eq!(limits.idle_timeout, Duration::from_mins(1));
        assert_eq!(limits.request_timeout, Duration::from_hours(1));
        assert_eq!(limits.send_timeout, Duration::from_mins(1));
        assert_eq!(limits.min_send_rate, 1 << 10);
        assert_eq!(limits.connections, 10_000);
        assert_eq!(limits.connections_per_address, 1_000);
        assert_eq!(limits.requests_per_connection, 10_000);
    }
}
