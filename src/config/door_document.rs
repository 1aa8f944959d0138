//! What a file says about each door, under `listen:`.

use std::path::PathBuf;

use url::Url;

use crate::config::address::Address;
use crate::config::doors::TlsFiles;
use crate::config::files::beside;
use crate::language::{
    Fields, HttpUrl, Node, Notes, Placed, Shape, Table, Value, YamlKey, key, kind, many, one,
};
use crate::model::{DoorName, Fault, OperationClass};

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

#[rustfmt::skip] // a table reads by rows
const DOOR: Table = &[&[
    key("address", one::<Address>(), "", "where it is; absent: the door's default"),
    key("tls", Shape::Table(&[TLS]), "", "certificate and key; read again when they change"),
    key("proxy_protocol", one::<bool>(), "false",
        "every connection begins with a header of the PROXY protocol (1 or 2), from trusted_proxies only"),
    key("allow", many::<OperationClass>(), "",
        "classes of operations: read, upload, manage; absent: read on the public door, all on the management door"),
    key("outside_url", one::<HttpUrl>(), "",
        "the URL under which clients see the door, where no proxy says it (X-outside-url); a path in it may stay in requests"),
]];

#[rustfmt::skip] // a table reads by rows
const TLS: &[YamlKey] = &[
    key("cert", one::<PathBuf>(), "", "the certificate chain, PEM, relative to this file"),
    key("key", one::<PathBuf>(), "", "the private key, PEM, relative to this file"),
];

/// What a file says about one door.
#[derive(Debug, Clone, Default)]
pub(super) struct DoorDocument {
    pub(super) address: Option<Address>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) proxy_protocol: bool,
    pub(super) allow: Option<Vec<Placed<OperationClass>>>,
    pub(super) outside_url: Option<Url>,
}

/// Reads one key of `listen:`.
pub(super) fn read(
    fields: &Fields<'_>,
    door: DoorName,
    notes: &mut Notes,
) -> Option<Placed<DoorDocument>> {
    let node = fields.node(door.as_str())?;
    let value = match &node.value {
        Value::Mapping(_) => {
            let fields = notes.fields(node, DOOR);
            DoorDocument {
                address: fields.one("address", notes),
                tls: fields.node("tls").and_then(|node| read_tls(node, notes)),
                proxy_protocol: fields.one("proxy_protocol", notes).unwrap_or(false),
                allow: read_classes(door, &fields, notes),
                outside_url: read_outside_url(door, &fields, notes),
            }
        }
        Value::Nothing | Value::Scalar(_) | Value::Sequence(_) => DoorDocument {
            address: fields.one(door.as_str(), notes),
            ..DoorDocument::default()
        },
    };
    Some(Placed {
        value,
        location: node.location.clone(),
    })
}

fn read_classes(
    door: DoorName,
    fields: &Fields<'_>,
    notes: &mut Notes,
) -> Option<Vec<Placed<OperationClass>>> {
    let node = fields.node("allow")?;
    let classes = fields.many("allow", notes)?;
    let allows = |class| {
        let mut classes = classes.iter();
        classes.any(|placed: &Placed<OperationClass>| placed.value == class)
    };
    let fault = match door {
        DoorName::Metrics => Some("the metrics door allows nothing but its own three pages"),
        _ if matches!(&node.value, Value::Sequence(words) if words.is_empty()) => {
            Some("a door that allows nothing")
        }
        DoorName::Public if !classes.is_empty() && !allows(OperationClass::Read) => {
            Some("the public door without read would be no public door")
        }
        DoorName::Public | DoorName::Manage => None,
    };
    if let Some(what) = fault {
        let fault = Fault::at(&node.location, what);
        notes.note(fault.hint("leave allow out, or the door: off"));
    }
    Some(classes)
}

fn read_outside_url(door: DoorName, fields: &Fields<'_>, notes: &mut Notes) -> Option<Url> {
    let Placed { value, location } = fields.placed::<HttpUrl>("outside_url", notes)?;
    let has_login = !value.0.username().is_empty() || value.0.password().is_some();
    if has_login {
        let fault = Fault::at(&location, "outside_url with a user or a password");
        notes.note(fault.hint("leave both out: clients are told this URL"));
    }
    if door == DoorName::Metrics {
        let fault = Fault::at(&location, "the metrics door tells nobody a URL");
        notes.note(fault.hint("leave outside_url out"));
    }
    Some(value.0)
}

fn read_tls(node: &Node, notes: &mut Notes) -> Option<TlsFiles> {
    let fields = notes.fields(node, &[TLS]);
    let cert: Option<Placed<PathBuf>> = fields.placed("cert", notes);
    let key: Option<Placed<PathBuf>> = fields.placed("key", notes);
    for name in ["cert", "key"] {
        if fields.node(name).is_none() {
            notes.note(Fault::at(&node.location, format!("tls without {name}")));
        }
    }
    Some(TlsFiles {
        cert: beside(&node.location, &cert?.value),
        key: beside(&node.location, &key?.value),
    })
}
