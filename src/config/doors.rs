//! `listen:`, the three doors and where each one is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use url::Url;

use crate::config::address::Address;
use crate::config::door_document::{DOOR, DoorDocument};
use crate::model::{Fault, Location, OperationClass};
use crate::policy::{Choice, Notes, Placed, Shape, YamlKey, key, kind};

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On TCP.
    Tcp {
        /// Port 0 lets the system pick one.
        address: SocketAddr,
        /// With TLS when given.
        tls: Option<TlsFiles>,
    },
    /// On a Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
    },
}

/// A certificate chain and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The three doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// For everyone; reads only, unless it is opened further.
    pub public: Listen,
    /// The devpi API and uploads.
    pub manage: Listen,
    /// Metrics and health.
    pub metrics: Listen,
    /// Those on which a proxy says first for whom it speaks (the PROXY protocol).
    pub behind_proxies: Vec<Door>,
    /// Which classes of operations the public door allows.
    pub public_allows: Vec<OperationClass>,
    /// Which classes of operations the management door allows.
    pub manage_allows: Vec<OperationClass>,
    /// Under which URL clients see the public door, where no proxy says it.
    pub public_outside_url: Option<Url>,
    /// The same of the management door.
    pub manage_outside_url: Option<Url>,
    /// Whether the public door is open to other machines because there is a file, which does not say so.
    pub is_opened_by_a_file: bool,
}

impl Doors {
    /// Where a door is.
    #[must_use]
    pub fn at(&self, door: Door) -> &Listen {
        match door {
            Door::Public => &self.public,
            Door::Manage => &self.manage,
            Door::Metrics => &self.metrics,
        }
    }

    /// Whether both are open in the same way. Certificates may differ: they are exchanged while a door
    /// is open.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |doors: &Self| {
            let mut doors = doors.clone();
            doors.is_opened_by_a_file = false;
            for listen in [&mut doors.public, &mut doors.manage, &mut doors.metrics] {
                if let Listen::Tcp { tls: Some(tls), .. } = listen {
                    (tls.cert, tls.key) = Default::default();
                }
            }
            doors
        };
        bare(self) == bare(other)
    }

    /// The open doors that allow a class of operations.
    pub fn allowing(&self, class: OperationClass) -> impl Iterator<Item = &Listen> {
        let doors = [
            (&self.public, &self.public_allows),
            (&self.manage, &self.manage_allows),
        ];
        let allowing = move |(listen, allows): &(&Listen, &Vec<OperationClass>)| {
            **listen != Listen::Off && allows.contains(&class)
        };
        doors.into_iter().filter(allowing).map(|(listen, _)| listen)
    }
}

impl Listen {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Off | Self::Unix { .. } => true,
            Self::Tcp { address, .. } => address.ip().to_canonical().is_loopback(),
        }
    }

    /// Certificate and key, with TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFiles> {
        match self {
            Self::Tcp { tls, .. } => tls.as_ref(),
            Self::Off | Self::Unix { .. } => None,
        }
    }

    /// Whether nobody on the way can read the passwords that are sent to it.
    fn is_private(&self) -> bool {
        self.is_local() || matches!(self, Self::Tcp { tls: Some(_), .. })
    }
}

impl Choice for OperationClass {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Read.as_str(), Self::Read),
        (Self::Upload.as_str(), Self::Upload),
        (Self::Manage.as_str(), Self::Manage),
    ];
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Reads only.
    Public,
    /// Everything.
    Manage,
    /// Metrics and health.
    Metrics,
}

impl Door {
    /// All doors.
    pub const ALL: [Self; 3] = [Self::Public, Self::Manage, Self::Metrics];

    /// Its name in files, flags (`--public`) and variables (`CHEESECLOTH_PUBLIC`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Manage => "manage",
            Self::Metrics => "metrics",
        }
    }

    /// What it allows when nothing says otherwise.
    fn default_classes(self) -> Vec<OperationClass> {
        match self {
            Self::Public | Self::Metrics => vec![OperationClass::Read],
            Self::Manage => OperationClass::ALL.to_vec(),
        }
    }

    /// Where it is when nothing says otherwise. The public door is for everyone as soon as somebody
    /// wrote a file, and for this machine alone when the program is only tried out.
    fn default_address(self, is_configured: bool) -> SocketAddr {
        let (host, port) = match self {
            Self::Public if is_configured => (Ipv4Addr::UNSPECIFIED, 4040),
            Self::Public => (Ipv4Addr::LOCALHOST, 4040),
            Self::Manage => (Ipv4Addr::LOCALHOST, 3141),
            Self::Metrics => (Ipv4Addr::LOCALHOST, 9464),
        };
        SocketAddr::new(IpAddr::V4(host), port)
    }
}

/// The keys of `listen:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const LISTEN: &[YamlKey] = &[
    key("public", Shape::Either(kind::<Address>(), DOOR), "0.0.0.0:4040",
        "for everyone, reads only unless allow says more; without any file the default is 127.0.0.1:4040"),
    key("manage", Shape::Either(kind::<Address>(), DOOR), "127.0.0.1:3141",
        "the devpi API and uploads; beyond loopback only with TLS"),
    key("metrics", Shape::Either(kind::<Address>(), DOOR), "127.0.0.1:9464",
        "/metrics, /healthz and /readyz"),
];

/// What is known about one door: from a file, and from a flag or variable, which wins.
#[derive(Debug, Clone, Default)]
pub(super) struct DoorSources {
    pub(super) file: Option<Placed<DoorDocument>>,
    pub(super) outside: Option<Address>,
}

impl DoorSources {
    fn classes(&self, door: Door) -> Vec<OperationClass> {
        let said = self
            .file
            .as_ref()
            .and_then(|file| file.value.allow.as_ref());
        said.map_or_else(
            || door.default_classes(),
            |classes| classes.iter().map(|placed| placed.value).collect(),
        )
    }
}

/// Puts the doors together, or notes why they cannot be opened.
pub(super) fn resolve(
    sources: &HashMap<Door, DoorSources>,
    is_configured: bool,
    is_manage_plain: bool,
    notes: &mut Notes,
) -> Doors {
    let open = |door: Door, notes: &mut Notes| {
        let source = sources.get(&door).cloned().unwrap_or_default();
        let location = source.file.as_ref().map(|file| file.location.clone());
        let classes = source.classes(door);
        let listen = resolve_one(door, source, is_configured, notes);
        let takes_passwords =
            door == Door::Manage || classes.iter().any(|class| *class != OperationClass::Read);
        if takes_passwords && !listen.is_private() && !is_manage_plain {
            let name = match door {
                Door::Public => "the public door that allows more than read",
                Door::Manage | Door::Metrics => "the management door",
            };
            let what =
                format!("{name} beyond loopback without TLS would carry passwords in the clear");
            let fault = fault(location.as_ref(), what);
            notes.note(fault.hint("give it tls, a loopback address or a Unix socket"));
        }
        (listen, classes)
    };
    let (public, public_allows) = open(Door::Public, notes);
    let (manage, manage_allows) = open(Door::Manage, notes);
    let (metrics, _) = open(Door::Metrics, notes);
    let doors = Doors {
        public,
        manage,
        metrics,
        public_allows,
        manage_allows,
        public_outside_url: outside_url(Door::Public, sources),
        manage_outside_url: outside_url(Door::Manage, sources),
        behind_proxies: behind_proxies(sources),
        is_opened_by_a_file: is_configured && !is_said(Door::Public, sources),
    };
    let listens = [
        (Door::Public, &doors.public),
        (Door::Manage, &doors.manage),
        (Door::Metrics, &doors.metrics),
    ];
    note_clashes(&listens, sources, notes);
    if doors.public == Listen::Off && doors.manage == Listen::Off {
        let what = "the public and the management door are both off, so nothing would be served";
        notes.note(Fault::nowhere(what));
    }
    doors
}

/// Whether anybody says where a door is.
fn is_said(door: Door, sources: &HashMap<Door, DoorSources>) -> bool {
    let source = sources.get(&door);
    let file = source.and_then(|source| source.file.as_ref());
    let is_written = file.is_some_and(|file| file.value.address.is_some());
    is_written || source.is_some_and(|source| source.outside.is_some())
}

fn outside_url(door: Door, sources: &HashMap<Door, DoorSources>) -> Option<Url> {
    let file = sources.get(&door)?.file.as_ref()?;
    file.value.outside_url.clone()
}

fn behind_proxies(sources: &HashMap<Door, DoorSources>) -> Vec<Door> {
    let expects = |door: &Door| {
        let file = sources.get(door).and_then(|source| source.file.as_ref());
        file.is_some_and(|file| file.value.proxy_protocol)
    };
    Door::ALL.into_iter().filter(expects).collect()
}

/// Notes every door for proxies that no proxy could ever open.
pub(super) fn note_missing_proxies(
    doors: &Doors,
    sources: &HashMap<Door, DoorSources>,
    notes: &mut Notes,
) {
    for door in &doors.behind_proxies {
        let listen = doors.at(*door);
        if !matches!(listen, Listen::Tcp { .. }) {
            continue;
        }
        let location = sources.get(door).and_then(|source| source.file.as_ref());
        let name = door.as_str();
        let what = format!("listen.{name}: proxy_protocol without trusted_proxies lets nobody in");
        let fault = fault(location.map(|file| &file.location), what);
        notes.note(fault.hint("name them: trusted_proxies: [10.0.0.0/8]"));
    }
}

fn resolve_one(door: Door, source: DoorSources, is_configured: bool, notes: &mut Notes) -> Listen {
    let default = door.default_address(is_configured);
    let (written, tls, location) = match source.file {
        Some(file) => (file.value.address, file.value.tls, Some(file.location)),
        None => (None, None, None),
    };
    match source
        .outside
        .or(written)
        .unwrap_or(Address::Socket(default))
    {
        Address::Off => Listen::Off,
        Address::Port(port) => Listen::Tcp {
            address: SocketAddr::new(default.ip(), port),
            tls,
        },
        Address::Socket(address) => Listen::Tcp { address, tls },
        Address::Unix(path) => {
            if tls.is_some() {
                let what = format!("listen.{}: a Unix socket needs no tls", door.as_str());
                notes.note(fault(location.as_ref(), what).hint("leave tls out"));
            }
            Listen::Unix { path }
        }
    }
}

/// Notes every pair of doors that could not both be opened.
fn note_clashes(
    listens: &[(Door, &Listen)],
    sources: &HashMap<Door, DoorSources>,
    notes: &mut Notes,
) {
    for (position, (door, listen)) in listens.iter().enumerate() {
        let clashes = |(_, other): &&(Door, &Listen)| is_same_place(listen, other);
        let Some((other, _)) = listens[..position].iter().find(clashes) else {
            continue;
        };
        let location = sources.get(door).and_then(|source| source.file.as_ref());
        let (door, other) = (door.as_str(), other.as_str());
        let what = format!("the {other} and the {door} door would be at the same place");
        let fault = fault(location.map(|file| &file.location), what);
        notes.note(fault.hint("give each its own address"));
    }
}

/// Whether the second could not be opened beside the first. Port 0 is never the same place twice.
fn is_same_place(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Tcp { address: one, .. }, Listen::Tcp { address: other, .. }) => {
            let is_everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0
                && one.port() == other.port()
                && (one.ip() == other.ip() || is_everywhere)
        }
        (Listen::Unix { path: one }, Listen::Unix { path: other }) => one == other,
        (Listen::Off | Listen::Tcp { .. } | Listen::Unix { .. }, _) => false,
    }
}

fn fault(location: Option<&Location>, what: impl Into<String>) -> Fault {
    match location {
        Some(location) => Fault::at(location, what),
        None => Fault::nowhere(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::door_document::read;
    use crate::policy::{Node, Word};

    fn doors(text: &str, flags: &[(Door, &str)], is_configured: bool) -> Result<Doors, String> {
        let mut notes = Notes::default();
        let node = Node::parse(&"c.yaml".into(), text).unwrap();
        let fields = notes.fields(&node, &[LISTEN]);
        let mut sources: HashMap<Door, DoorSources> = HashMap::new();
        for door in Door::ALL {
            sources.entry(door).or_default().file = read(&fields, door, &mut notes);
        }
        for (door, text) in flags {
            sources.entry(*door).or_default().outside = Some(Address::read(text).unwrap());
        }
        let doors = resolve(&sources, is_configured, false, &mut notes);
        notes.faults.or(doors).map_err(|faults| faults.to_string())
    }

    fn at(text: &str) -> Listen {
        Listen::Tcp {
            address: text.parse().unwrap(),
            tls: None,
        }
    }

    #[test]
    fn defaults_depend_on_whether_somebody_wrote_a_file() {
        let alone = doors("", &[], false).unwrap();
        assert_eq!(alone.public, at("127.0.0.1:4040"));
        assert_eq!(alone.manage, at("127.0.0.1:3141"));
        assert_eq!(alone.metrics, at("127.0.0.1:9464"));
        assert_eq!(doors("", &[], true).unwrap().public, at("0.0.0.0:4040"));
    }

    #[test]
    fn a_flag_wins_over_a_file_and_a_port_keeps_the_doors_host() {
        let text = "{public: 8080, manage: unix:/run/manage, metrics: off}";
        let doors = doors(text, &[(Door::Public, ":0")], true).unwrap();
        assert_eq!(doors.public, at("0.0.0.0:0"));
        assert_eq!(
            doors.manage,
            Listen::Unix {
                path: "/run/manage".into()
            }
        );
        assert_eq!(doors.metrics, Listen::Off);
    }

    #[test]
    fn tls_files_are_found_beside_the_file_that_names_them() {
        let text = "manage: {address: '0.0.0.0:3141', tls: {cert: c.pem, key: /etc/k.pem}}";
        let Listen::Tcp { tls: Some(tls), .. } = doors(text, &[], true).unwrap().manage else {
            panic!("with TLS");
        };
        assert_eq!((tls.cert, tls.key), ("c.pem".into(), "/etc/k.pem".into()));
    }

    #[test]
    fn doors_that_cannot_be_opened_safely_are_faults() {
        let table = [
            (
                "manage: '0.0.0.0:3141'",
                "c.yaml:1:9: the management door beyond loopback",
            ),
            (
                "{public: ':9464', metrics: '127.0.0.1:9464'}",
                "c.yaml:1:28: the public and the metrics door would be at the same place",
            ),
            (
                "{public: off, manage: off}",
                "the public and the management door are both off",
            ),
            (
                "public: {address: unix:/run/x, tls: {cert: c, key: k}}",
                "c.yaml:1:9: listen.public: a Unix socket needs no tls",
            ),
            ("public: {tls: {cert: c}}", "c.yaml:1:15: tls without key"),
            (
                "public: {address: '0.0.0.0:4040', allow: [read, upload]}",
                "c.yaml:1:9: the public door that allows more than read beyond loopback",
            ),
            (
                "manage: {address: '0.0.0.0:3141', allow: read}",
                "c.yaml:1:9: the management door beyond loopback",
            ),
            (
                "public: {allow: [upload], address: '127.0.0.1:1'}",
                "c.yaml:1:17: the public door without read",
            ),
            (
                "manage: {allow: []}",
                "c.yaml:1:17: a door that allows nothing",
            ),
            (
                "metrics: {allow: [manage]}",
                "c.yaml:1:18: the metrics door allows nothing but",
            ),
            (
                "metrics: {outside_url: 'https://h.example'}",
                "c.yaml:1:24: the metrics door tells nobody a URL",
            ),
            (
                "manage: {outside_url: 'https://me:x@h.example'}",
                "c.yaml:1:23: outside_url with a user or a password",
            ),
            (
                "manage: {allow: [uplaod]}",
                "c.yaml:1:18: allow: \"uplaod\" is not",
            ),
            (
                "public: devpi:4040",
                "c.yaml:1:9: public: \"devpi:4040\" is not an address",
            ),
        ];
        for (text, wanted) in table {
            let faults = doors(text, &[], true).unwrap_err();
            assert!(faults.starts_with(wanted), "{text}: {faults}");
        }
        assert!(doors("", &[(Door::Manage, "0.0.0.0:3141")], true).is_err());
        assert!(doors("", &[(Door::Manage, "[::ffff:127.0.0.1]:1")], true).is_ok());
    }

    #[test]
    fn a_door_may_say_under_which_url_clients_see_it() {
        let text = "{public: {outside_url: 'https://h.example/devpi/'}, manage: ':1'}";
        let doors = doors(text, &[], true).unwrap();
        let public = doors.public_outside_url.map(String::from);
        assert_eq!(public.as_deref(), Some("https://h.example/devpi/"));
        assert_eq!(doors.manage_outside_url, None);
    }

    #[test]
    fn doors_say_which_classes_they_allow() {
        use OperationClass::{Manage, Read, Upload};
        let plain = doors("", &[], true).unwrap();
        assert_eq!(plain.public_allows, [Read]);
        assert_eq!(plain.manage_allows, [Read, Upload, Manage]);
        assert_eq!(plain.allowing(Upload).count(), 1);
        let text =
            "{public: {address: '127.0.0.1:1', allow: [read, upload]}, manage: {allow: manage}}";
        let opened = doors(text, &[], true).unwrap();
        assert_eq!(opened.public_allows, [Read, Upload]);
        assert_eq!(opened.manage_allows, [Manage]);
        // A flag moves a door and leaves what it allows.
        let moved = doors(text, &[(Door::Public, "0.0.0.0:4040")], true);
        assert!(moved.unwrap_err().contains("more than read"));
        let closed = doors("{manage: off}", &[], true).unwrap();
        assert_eq!(closed.allowing(Manage).count(), 0);
    }
}
