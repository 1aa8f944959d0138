//! The doors, as the configuration wants them, over the flows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, DoorConfig, Listen};
use crate::db::Db;
use crate::exchange::Answers;
use crate::feed::Keeper;
use crate::front::Front;
use crate::gateway::Flows;
use crate::journal::Journal;
use crate::listen::{
    Certificates, DoorOptions, DoorServer, Hosts, HttpService, ListenAddress, ManageDoor,
    ManageOptions, MetricsDoor, OsvDoor, Questions, Ready, Recorder, SearchDoor, ServerOptions,
    TrustedProxies,
};
use crate::model::{DoorName, IndexName, OperationClass};
use crate::policy::Policies;
use crate::reader::Reader;
use crate::telemetry::{AccessLog, AuditLog, Metrics};
use crate::upstream::{Fleet, OwnDoors};
use crate::writer::Writer;

/// Permission bits of a door on a Unix socket: its user and group, nobody else.
const SOCKET_MODE: u32 = 0o660;

/// What every door logs, and where.
pub(super) struct Doorway {
    pub(super) access: Arc<AccessLog>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) journal: Arc<Journal>,
    pub(super) feeds: Arc<Keeper>,
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
    /// Read again when their files change.
    pub(super) certificates: Vec<(DoorName, Arc<Certificates>)>,
    /// One line for each door, and how to use the public one.
    pub(super) lines: Vec<String>,
    /// The TCP addresses that were bound.
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
        let mut opened = Opened {
            server,
            ready: Ready::default(),
            certificates: Vec::new(),
            lines: Vec::new(),
            bound: Vec::new(),
        };
        let front = self.front(config, flows);
        self.open_public(config, flows, &writer, front.clone(), &mut opened)?;
        if let Some(door) = opened.options_of(DoorName::Manage, config)? {
            let options = manage_options(&config.listen.manage, &door, config, front);
            let recorder = self.recorder(DoorName::Manage);
            let handler = Arc::new(ManageDoor::new(writer, recorder.clone(), options));
            let service = HttpService::handled_by(handler, recorder, door.limits.clone())
                .answering(questions(config, flows, false))
                .behind(door.proxies.clone())
                .seen_at(config.listen.manage.outside_url.as_ref());
            opened.add("management", door, service)?;
        }
        self.open_metrics(config, flows, &mut opened)?;
        self.doors.opened(opened.bound.clone());
        Ok(opened)
    }

    fn open_public(
        &self,
        config: &Config,
        flows: &Arc<Flows>,
        writer: &Writer,
        front: Option<Arc<Front>>,
        opened: &mut Opened,
    ) -> anyhow::Result<()> {
        let Some(door) = opened.options_of(DoorName::Public, config)? else {
            return Ok(());
        };
        let answer: Arc<dyn Answers> = match &front {
            Some(front) => Arc::clone(front) as _,
            None => Arc::new(Reader::new(Arc::clone(flows))),
        };
        let (recorder, public) = (self.recorder(DoorName::Public), &config.listen.public);
        let mut allowed = public.allows.iter();
        let is_reading = allowed.all(|class| *class == OperationClass::Read);
        let mut service = HttpService::new(answer, recorder.clone(), door.limits.clone())
            .answering(questions(config, flows, is_reading))
            .behind(door.proxies.clone())
            .seen_at(public.outside_url.as_ref());
        if !is_reading {
            // A door opened to everyone is reached under names that are not known here.
            let options = ManageOptions {
                is_public: true,
                hosts: Hosts::Any,
                ..manage_options(public, &door, config, front)
            };
            let writes = ManageDoor::new(writer.clone(), recorder, options);
            service = service.opened_for(Arc::new(writes));
        }
        let scheme = scheme(&door);
        let bound = opened.add("public", door, service)?;
        opened.advise(scheme, &bound, flows);
        Ok(())
    }

    fn open_metrics(
        &self,
        config: &Config,
        flows: &Arc<Flows>,
        opened: &mut Opened,
    ) -> anyhow::Result<()> {
        let Some(door) = opened.options_of(DoorName::Metrics, config)? else {
            return Ok(());
        };
        let (caches, records) = (Arc::clone(flows), Arc::clone(&self.records));
        let (journal, clock) = (Arc::clone(&self.journal), self.clock.clone());
        let (feeds, depot) = (Arc::clone(&self.feeds), flows.core.depot.clone());
        let handler = MetricsDoor {
            metrics: self.metrics.clone(),
            ready: opened.ready.clone(),
            lacking: move || match (records.is_writable(), &depot) {
                (false, _) => Some("the records cannot be written"),
                (true, Some(depot)) if depot.trouble().is_some() => {
                    Some("the depot is not available")
                }
                (true, _) => None,
            },
            measure: move || {
                caches.report_state();
                feeds.report();
                journal.report(clock.now());
            },
        };
        let recorder = self.recorder(DoorName::Metrics);
        let limits = door.limits.clone();
        let service = HttpService::handled_by(Arc::new(handler), recorder, limits);
        opened.add("metrics", door, service)?;
        Ok(())
    }

    /// The front that stands between the doors and the devpi-servers, if there are any.
    fn front(&self, config: &Config, flows: &Arc<Flows>) -> Option<Arc<Front>> {
        let (fleet, devpi) = (self.fleet.as_ref()?, config.devpi.as_ref()?);
        let reader = Arc::new(Reader::new(Arc::clone(flows)));
        let (flows, fleet) = (Arc::clone(flows), Arc::clone(fleet));
        Some(Arc::new(Front::new(reader, flows, fleet, devpi.undeclared)))
    }

    fn recorder(&self, door: DoorName) -> Recorder {
        let clock = self.clock.clone();
        Recorder {
            door,
            metrics: self.metrics.clone(),
            access: Arc::clone(&self.access),
            audit: Arc::clone(&self.audit),
            journal: Some(Arc::clone(&self.journal)),
            now: Arc::new(move || clock.now()),
        }
    }
}

impl Opened {
    /// How a door is opened, if it is; notes its certificate.
    fn options_of(
        &mut self,
        name: DoorName,
        config: &Config,
    ) -> anyhow::Result<Option<DoorOptions>> {
        let door = config.listen.at(name);
        let (address, tls) = match &door.place {
            Listen::Off => return Ok(None),
            Listen::Tcp { address, tls } => (ListenAddress::Tcp(*address), tls.as_ref()),
            Listen::Unix { path } => (socket(path.clone()), None),
        };
        let tls = tls
            .map(|files| Certificates::load(&files.cert, &files.key))
            .transpose()?;
        self.certificates.extend(tls.clone().map(|tls| (name, tls)));
        Ok(Some(DoorOptions {
            name,
            addresses: vec![address],
            tls,
            is_behind_proxies: door.is_behind_proxies,
            limits: config.limits.door.clone(),
            proxies: TrustedProxies::new(&config.trusted_proxies),
            threads: threads(name),
        }))
    }

    /// Opens a door and says where it is.
    fn add(
        &mut self,
        name: &str,
        door: DoorOptions,
        service: HttpService,
    ) -> anyhow::Result<Vec<ListenAddress>> {
        let scheme = scheme(&door);
        let bound = self.server.add(door, service)?;
        self.announce(name, scheme, &bound);
        Ok(bound)
    }

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

/// Who answers questions; `pip search` only where nobody else takes bodies.
fn questions(config: &Config, flows: &Arc<Flows>, is_reading: bool) -> Questions {
    let (reader, limits) = (Reader::new(Arc::clone(flows)), &config.limits);
    let search = SearchDoor::new(reader.clone(), limits.search.search_body);
    Questions {
        osv: Arc::new(OsvDoor::new(reader, limits.feed.osv_body)),
        search: is_reading.then(|| Arc::new(search) as _),
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
    of: &DoorConfig,
    door: &DoorOptions,
    config: &Config,
    front: Option<Arc<Front>>,
) -> ManageOptions {
    let is_tcp_on_loopback = of.place.is_local() && matches!(of.place, Listen::Tcp { .. });
    ManageOptions {
        is_public: false,
        allows: of.allows.clone(),
        hosts: if is_tcp_on_loopback {
            Hosts::Loopback
        } else {
            Hosts::Any
        },
        outside_url: of.outside_url.clone(),
        limits: door.limits.clone(),
        writes: config.limits.writes.clone(),
        front,
    }
}

fn scheme(door: &DoorOptions) -> &'static str {
    if door.tls.is_some() { "https" } else { "http" }
}

fn socket(path: PathBuf) -> ListenAddress {
    ListenAddress::Unix {
        path,
        mode: SOCKET_MODE,
    }
}

/// The public door gets every core; one thread is enough for metrics and management.
fn threads(name: DoorName) -> usize {
    match name {
        DoorName::Public => std::thread::available_parallelism().map_or(1, usize::from),
        DoorName::Manage | DoorName::Metrics => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};

    #[test]
    fn people_are_told_to_try_an_index_that_is_there() {
        let tried = |yaml: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c.yaml");
            std::fs::write(&path, yaml).unwrap();
            let source = PoliciesPath::Named(path);
            let loaded = load(&source, &Overrides::default(), &|_| None).unwrap();
            let policies = Policies::compile(&loaded.documents, &[]).unwrap();
            index_to_try(&policies).map(|index| index.to_string())
        };
        let two = "indexes: { a/a: { public: false }, b/b: {}, c/c: {} }\ndefault_index: ";
        assert_eq!(tried(&format!("{two}c/c")).as_deref(), Some("c/c"));
        assert_eq!(tried(&format!("{two}a/a")).as_deref(), Some("b/b"));
        assert_eq!(tried("indexes: { a/a: { public: false } }"), None);
    }
}
