//! What files, flags and variables say about the doors, combined.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::address::Address;
use crate::config::door_document::DoorDocument;
use crate::config::doors::{DoorConfig, Doors, Listen};
use crate::language::{Notes, Placed};
use crate::model::{DoorName, Fault, OperationClass};

/// What is known about one door: from a file, and from a flag or variable, which wins.
#[derive(Debug, Clone, Default)]
pub(super) struct DoorSources {
    pub(super) file: Option<Placed<DoorDocument>>,
    pub(super) outside: Option<Address>,
}

/// What a door allows when nothing says otherwise.
fn default_classes(door: DoorName) -> Vec<OperationClass> {
    match door {
        DoorName::Public | DoorName::Metrics => vec![OperationClass::Read],
        DoorName::Manage => OperationClass::ALL.to_vec(),
    }
}

/// Where a door is when nothing says otherwise. The public door is open to everyone as soon as there is
/// a file, and to this machine alone while the program is only being tried out.
fn default_address(door: DoorName, is_configured: bool) -> SocketAddr {
    let (host, port) = match door {
        DoorName::Public if is_configured => (Ipv4Addr::UNSPECIFIED, 4040),
        DoorName::Public => (Ipv4Addr::LOCALHOST, 4040),
        DoorName::Manage => (Ipv4Addr::LOCALHOST, 3141),
        DoorName::Metrics => (Ipv4Addr::LOCALHOST, 9464),
    };
    SocketAddr::new(IpAddr::V4(host), port)
}

/// Combines the sources of each door, or notes why it cannot be opened.
pub(super) fn resolve(
    sources: &HashMap<DoorName, DoorSources>,
    is_configured: bool,
    is_manage_plain: bool,
    notes: &mut Notes,
) -> Doors {
    let is_said = sources.get(&DoorName::Public).is_some_and(|source| {
        let written = source.file.as_ref().map(|file| &file.value);
        source.outside.is_some() || written.is_some_and(|written| written.address.is_some())
    });
    let mut open = |door: DoorName| {
        let source = sources.get(&door).cloned().unwrap_or_default();
        let open = resolve_one(door, source, is_configured, notes);
        if !is_manage_plain {
            note_passwords_in_the_clear(door, &open, notes);
        }
        open
    };
    let doors = Doors {
        public: open(DoorName::Public),
        manage: open(DoorName::Manage),
        metrics: open(DoorName::Metrics),
        is_opened_by_a_file: is_configured && !is_said,
    };
    note_clashes(&doors, notes);
    if doors.public.place == Listen::Off && doors.manage.place == Listen::Off {
        let what = "the public and the management door are both off, so nothing would be served";
        notes.note(Fault::nowhere(what));
    }
    doors
}

fn resolve_one(
    door: DoorName,
    source: DoorSources,
    is_configured: bool,
    notes: &mut Notes,
) -> DoorConfig {
    let (written, location) = match source.file {
        Some(file) => (file.value, Some(file.location)),
        None => (DoorDocument::default(), None),
    };
    let (default, tls) = (default_address(door, is_configured), written.tls);
    let address = source.outside.or(written.address);
    let place = match address.unwrap_or(Address::Socket(default)) {
        Address::Off => Listen::Off,
        Address::Port(port) => Listen::Tcp {
            address: SocketAddr::new(default.ip(), port),
            tls,
        },
        Address::Socket(address) => Listen::Tcp { address, tls },
        Address::Unix(path) => {
            if tls.is_some() {
                let what = format!("listen.{}: a Unix socket needs no tls", door.as_str());
                notes.note(Fault::perhaps_at(location.as_ref(), what).hint("leave tls out"));
            }
            Listen::Unix { path }
        }
    };
    let said = written
        .allow
        .map(|classes| classes.iter().map(|placed| placed.value).collect());
    DoorConfig {
        place,
        allows: said.unwrap_or_else(|| default_classes(door)),
        outside_url: written.outside_url,
        is_behind_proxies: written.proxy_protocol,
        location,
    }
}

fn note_passwords_in_the_clear(door: DoorName, open: &DoorConfig, notes: &mut Notes) {
    let mut classes = open.allows.iter();
    let name = match door {
        DoorName::Manage => "the management door",
        DoorName::Public if classes.any(|class| *class != OperationClass::Read) => {
            "the public door that allows more than read"
        }
        DoorName::Public | DoorName::Metrics => return,
    };
    if !open.place.is_private() {
        let what = format!("{name} beyond loopback without TLS would carry passwords in the clear");
        let fault = Fault::perhaps_at(open.location.as_ref(), what);
        notes.note(fault.hint("give it tls, a loopback address or a Unix socket"));
    }
}

/// Notes every door for proxies that no proxy could reach.
pub(super) fn note_missing_proxies(doors: &Doors, notes: &mut Notes) {
    for name in DoorName::ALL {
        let door = doors.at(name);
        if !door.is_behind_proxies || !matches!(door.place, Listen::Tcp { .. }) {
            continue;
        }
        let name = name.as_str();
        let what = format!("listen.{name}: proxy_protocol without trusted_proxies lets nobody in");
        let fault = Fault::perhaps_at(door.location.as_ref(), what);
        notes.note(fault.hint("name them: trusted_proxies: [10.0.0.0/8]"));
    }
}

/// Notes every pair of doors that could not both be opened.
fn note_clashes(doors: &Doors, notes: &mut Notes) {
    for (position, name) in DoorName::ALL.iter().enumerate() {
        let door = doors.at(*name);
        let mut others = DoorName::ALL[..position].iter();
        let clashes = |other: &&DoorName| is_same_place(&door.place, &doors.at(**other).place);
        let Some(other) = others.find(clashes) else {
            continue;
        };
        let (name, other) = (name.as_str(), other.as_str());
        let what = format!("the {other} and the {name} door would be at the same place");
        let fault = Fault::perhaps_at(door.location.as_ref(), what);
        notes.note(fault.hint("give each its own address"));
    }
}

/// Whether the second could not be opened next to the first. Port 0 is never the same place twice.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::door_document::{LISTEN, read};
    use crate::language::{Node, Word};

    fn doors(text: &str, flags: &[(DoorName, &str)], is_configured: bool) -> Result<Doors, String> {
        let mut notes = Notes::default();
        let node = Node::parse(&"c.yaml".into(), text).unwrap();
        let fields = notes.fields(&node, &[LISTEN]);
        let mut sources: HashMap<DoorName, DoorSources> = HashMap::new();
        for door in DoorName::ALL {
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
        assert_eq!(alone.public.place, at("127.0.0.1:4040"));
        assert_eq!(alone.manage.place, at("127.0.0.1:3141"));
        assert_eq!(alone.metrics.place, at("127.0.0.1:9464"));
        assert_eq!(
            doors("", &[], true).unwrap().public.place,
            at("0.0.0.0:4040")
        );
    }

    #[test]
    fn a_flag_wins_over_a_file_and_a_port_keeps_the_doors_host() {
        let text = "{public: 8080, manage: unix:/run/manage, metrics: off}";
        let doors = doors(text, &[(DoorName::Public, ":0")], true).unwrap();
        assert_eq!(doors.public.place, at("0.0.0.0:0"));
        assert_eq!(
            doors.manage.place,
            Listen::Unix {
                path: "/run/manage".into()
            }
        );
        assert_eq!(doors.metrics.place, Listen::Off);
    }

    #[test]
    fn tls_files_are_found_beside_the_file_that_names_them() {
        let text = "manage: {address: '0.0.0.0:3141', tls: {cert: c.pem, key: /etc/k.pem}}";
        let Listen::Tcp { tls: Some(tls), .. } = doors(text, &[], true).unwrap().manage.place
        else {
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
        assert!(doors("", &[(DoorName::Manage, "0.0.0.0:3141")], true).is_err());
        assert!(doors("", &[(DoorName::Manage, "[::ffff:127.0.0.1]:1")], true).is_ok());
    }

    #[test]
    fn a_door_may_say_under_which_url_clients_see_it() {
        let text = "{public: {outside_url: 'https://h.example/devpi/'}, manage: ':1'}";
        let doors = doors(text, &[], true).unwrap();
        let public = doors.public.outside_url.map(String::from);
        assert_eq!(public.as_deref(), Some("https://h.example/devpi/"));
        assert_eq!(doors.manage.outside_url, None);
    }

    #[test]
    fn doors_say_which_classes_they_allow() {
        use OperationClass::{Manage, Read, Upload};
        let plain = doors("", &[], true).unwrap();
        assert_eq!(plain.public.allows, [Read]);
        assert_eq!(plain.manage.allows, [Read, Upload, Manage]);
        assert_eq!(plain.allowing(Upload).count(), 1);
        let text =
            "{public: {address: '127.0.0.1:1', allow: [read, upload]}, manage: {allow: manage}}";
        let opened = doors(text, &[], true).unwrap();
        assert_eq!(opened.public.allows, [Read, Upload]);
        assert_eq!(opened.manage.allows, [Manage]);
        // A flag moves a door and does not change what it allows.
        let moved = doors(text, &[(DoorName::Public, "0.0.0.0:4040")], true);
        assert!(moved.unwrap_err().contains("more than read"));
        let closed = doors("{manage: off}", &[], true).unwrap();
        assert_eq!(closed.allowing(Manage).count(), 0);
    }
}
