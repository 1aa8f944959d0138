//! The server's own keys, gathered from all files, each with the place where it was written.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::depot::{DEPOT, DepotSources};
use crate::config::door_document::LISTEN;
use crate::config::door_sources::DoorSources;
use crate::config::groups::{GROUPS, GroupSources};
use crate::config::journal::{JOURNAL, JournalSources};
use crate::config::limits::LIMIT_KEYS;
use crate::config::manage::{MANAGE, ManageSources};
use crate::config::network::Network;
use crate::config::notify::{WEBHOOKS, WebhookSource};
use crate::config::records::{RECORDS, RecordsSources};
use crate::config::slots::{Section, put, twice};
use crate::config::{door_document, ldap, limits, notify};
use crate::language::{
    Bytes, Choice, Fields, HttpUrl, Node, Notes, Placed, Shape, YamlKey, key, many, one,
};
use crate::model::{DoorName, Fault, Limits, Location};

/// The top-level keys that this room reads.
#[rustfmt::skip] // a table reads by rows
pub(super) const SERVER: &[YamlKey] = &[
    key("listen", Shape::Table(&[LISTEN]), "",
        "the three doors: each an address, unix:/path, off, or {address, tls, proxy_protocol, allow, outside_url}"),
    key("data", one::<PathBuf>(), "data",
        "the folder for all that must survive a restart, relative to the working directory"),
    key("cache", Shape::Table(&[CACHE]), "", "what is kept of mirrors, and for how long"),
    key("journal", Shape::Table(&[JOURNAL]), "",
        "what was delivered and refused, to whom: kept in a file of its own in the data folder"),
    key("records", Shape::Table(&[RECORDS]), "",
        "where records are kept, if not in the data folder"),
    key("depot", Shape::Table(&[DEPOT]), "",
        "where uploaded files are kept, if not on this machine's disk alone"),
    key("limits", Shape::Table(&[LIMIT_KEYS]), "", "what clients and upstreams may ask of the server"),
    key("log", Shape::Table(&[LOG]), "", "the log on stderr"),
    key("trusted_proxies", many::<Network>(), "",
        "addresses and networks of the proxies before the doors, which are believed for whom they speak"),
    key("offline", one::<bool>(), "false", "serve only what is here, and ask no upstream"),
    key("manage", Shape::Table(&[MANAGE]), "", "who may manage what, read at the start"),
    key("groups", GROUPS, "",
        "groups of users, which lists of who may do something name as :group; a reload exchanges them"),
    key("devpi", Shape::Table(&[DEVPI]), "", "existing devpi-servers to stand in front of"),
    key("notify", WEBHOOKS, "", "webhooks that are told of refusals, recalls and feeds of advisories in trouble"),
];

#[rustfmt::skip] // a table reads by rows
const CACHE: &[YamlKey] = &[
    key("memory", one::<Bytes>(), "256MiB", "pages and small files in memory"),
    key("disk", one::<Bytes>(), "50GiB",
        "mirror files and their sidecars on disk; private files never count"),
    key("stale_if_error", one::<Duration>(), "7d",
        "how long a page may still be served when its upstream cannot be asked"),
    key("stale_while_revalidate", one::<Duration>(), "1m",
        "how long a page that has expired is answered while it is refreshed behind the answer: as long as asking an upstream may take; 0s: never"),
    key("patience", one::<Duration>(), "250ms",
        "how long a client waits for a page to be refreshed where the old one may be answered: longer than a healthy upstream takes, shorter than people notice; the refresh goes on behind the answer; 0s: nobody waits"),
];

#[rustfmt::skip] // a table reads by rows
const LOG: &[YamlKey] = &[
    key("format", one::<LogStyle>(), "auto", "auto: text on a terminal, json otherwise"),
];

#[rustfmt::skip] // a table reads by rows
const DEVPI: &[YamlKey] = &[
    key("servers", many::<HttpUrl>(), "", "their URLs, the primary and its replicas"),
    key("undeclared", one::<Undeclared>(), "pass",
        "whether indexes that no file declares are passed through or hidden"),
];

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogStyle {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Choice for LogStyle {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("json", Self::Json),
    ];
}

/// What happens to a devpi-server's indexes that no file declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Undeclared {
    /// They pass through.
    #[default]
    Pass,
    /// They are hidden.
    Hide,
}

impl Choice for Undeclared {
    const WORDS: &'static [(&'static str, Self)] = &[("pass", Self::Pass), ("hide", Self::Hide)];
}

/// The keys of all files, each with its place; `None` for what no file says.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) doors: HashMap<DoorName, DoorSources>,
    pub(super) data: Option<Placed<PathBuf>>,
    pub(super) memory: Option<Placed<Bytes>>,
    pub(super) disk: Option<Placed<Bytes>>,
    pub(super) stale_if_error: Option<Placed<Duration>>,
    pub(super) stale_while_revalidate: Option<Placed<Duration>>,
    pub(super) patience: Option<Placed<Duration>>,
    pub(super) journal: JournalSources,
    pub(super) records: RecordsSources,
    pub(super) depot: DepotSources,
    pub(super) limits: Limits,
    pub(super) log_format: Option<Placed<LogStyle>>,
    pub(super) trusted_proxies: Option<Placed<Vec<Network>>>,
    pub(super) offline: Option<Placed<bool>>,
    pub(super) manage: ManageSources,
    pub(super) groups: GroupSources,
    pub(super) devpi: Option<Location>,
    pub(super) devpi_servers: Option<Placed<Vec<HttpUrl>>>,
    pub(super) undeclared: Option<Placed<Undeclared>>,
    pub(super) notify: Vec<WebhookSource>,
    limits_named: HashMap<&'static str, Location>,
}

impl Server {
    fn add_limits(&mut self, node: &Node, notes: &mut Notes) {
        let fields = notes.fields(node, &[LIMIT_KEYS]);
        for Placed {
            value: name,
            location,
        } in limits::read(&mut self.limits, &fields, notes)
        {
            if let Some(first) = self.limits_named.insert(name, location.clone()) {
                notes.note(twice(&format!("limits.{name}"), &location, &first));
            }
        }
    }

    /// Adds the keys of one more file. The same key in two files is a fault, since neither takes precedence
    /// over the other.
    pub(super) fn add(&mut self, fields: &Fields<'_>, notes: &mut Notes) {
        if let Some(node) = fields.node("listen") {
            let fields = notes.fields(node, &[LISTEN]);
            for door in DoorName::ALL {
                let name = format!("listen.{}", door.as_str());
                let said = door_document::read(&fields, door, notes);
                put(
                    &mut self.doors.entry(door).or_default().file,
                    &name,
                    said,
                    notes,
                );
            }
        }
        let mut top = Section::new("", fields, notes);
        top.one(&mut self.data, "data");
        top.one(&mut self.offline, "offline");
        top.many(&mut self.trusted_proxies, "trusted_proxies");
        if let Some(node) = fields.node("cache") {
            let fields = notes.fields(node, &[CACHE]);
            let mut cache = Section::new("cache.", &fields, notes);
            cache.one(&mut self.memory, "memory");
            cache.one(&mut self.disk, "disk");
            cache.one(&mut self.stale_if_error, "stale_if_error");
            cache.one(&mut self.stale_while_revalidate, "stale_while_revalidate");
            cache.one(&mut self.patience, "patience");
        }
        if let Some(node) = fields.node("journal") {
            let fields = notes.fields(node, &[JOURNAL]);
            self.journal.add(Section::new("journal.", &fields, notes));
        }
        if let Some(node) = fields.node("records") {
            self.records.add(node, notes);
        }
        if let Some(node) = fields.node("depot") {
            self.depot.add(node, notes);
        }
        if let Some(node) = fields.node("limits") {
            self.add_limits(node, notes);
        }
        if let Some(node) = fields.node("log") {
            let fields = notes.fields(node, &[LOG]);
            Section::new("log.", &fields, notes).one(&mut self.log_format, "format");
        }
        if let Some(node) = fields.node("manage") {
            let fields = notes.fields(node, &[MANAGE]);
            self.manage.add(Section::new("manage.", &fields, notes));
            if let Some(node) = fields.node("ldap") {
                self.add_ldap(node, "manage.ldap", notes);
            }
        }
        if let Some(node) = fields.node("groups") {
            self.groups.add(node, notes);
        }
        if let Some(node) = fields.node("notify") {
            self.notify.extend(notify::read(node, notes));
        }
        if let Some(node) = fields.node("devpi") {
            let fields = notes.fields(node, &[DEVPI]);
            self.devpi.get_or_insert(node.location.clone());
            let servers = read_servers(&fields, notes);
            put(&mut self.devpi_servers, "devpi.servers", servers, notes);
            Section::new("devpi.", &fields, notes).one(&mut self.undeclared, "undeclared");
        }
    }

    /// Adds a directory, whatever the block is called.
    pub(super) fn add_ldap(&mut self, node: &Node, name: &str, notes: &mut Notes) {
        let said = ldap::read(node, name, notes);
        put(&mut self.manage.ldap, name, Some(said), notes);
    }
}

fn read_servers(fields: &Fields<'_>, notes: &mut Notes) -> Option<Placed<Vec<HttpUrl>>> {
    let servers: Vec<Placed<HttpUrl>> = fields.many("servers", notes)?;
    for server in &servers {
        if !server.value.0.username().is_empty() || server.value.0.password().is_some() {
            let what = "devpi.servers: a URL with a user in it";
            let fault = Fault::at(&server.location, what);
            notes.note(fault.hint("leave it out: clients send their own login"));
        }
    }
    let location = fields.node("servers")?.location.clone();
    let value = servers.into_iter().map(|server| server.value).collect();
    Some(Placed { value, location })
}
