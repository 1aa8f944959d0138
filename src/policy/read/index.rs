//! `indexes:`, stages and mirrors with devpi's keys and ours (docs/protocol/devpi.md §7).

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Fault, IndexName, Location};
use crate::policy::document::{
    IndexDocument, IndexKindDocument, KeepLastGoodDocument, MirrorDocument, NamePattern, Placed,
    Quarantined, SecretSource, StageDocument, TextFile, Undated, WhitelistInheritance,
    WhitelistName,
};
use crate::policy::read::document::{Files, NamedKind, open_all};
use crate::policy::read::fields::{Fields, Notes, quoted};
use crate::policy::read::keys::{Choice, Shape, Variants, YamlKey, commas, key, kind, many, one};
use crate::policy::read::tree::{Entry, Value};
use crate::policy::read::words::{AbsentStatus, HttpUrl, Principal};

/// An index, by its `type`.
pub(super) const INDEX: Shape = Shape::Variants(&VARIANTS);

pub(super) static VARIANTS: Variants = Variants {
    key: "type",
    tables: &[
        ("stage", &[COMMON, STAGE]),
        ("mirror", &[COMMON, MIRROR]),
        ("devpi", &[COMMON, DEVPI]),
    ],
};

/// The words of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexType {
    Stage,
    Mirror,
    Devpi,
}

impl Choice for IndexType {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("stage", Self::Stage),
            ("mirror", Self::Mirror),
            ("devpi", Self::Devpi),
        ]
    }
}

#[rustfmt::skip] // a table reads by rows
const COMMON: &[YamlKey] = &[
    key("type", one::<IndexType>(), "stage",
        "whether it takes uploads (stage), has an upstream (mirror) or is one of the devpi servers'"),
    key("title", one::<String>(), "", "a line about it, for people"),
    key("volatile", one::<bool>(), "true",
        "whether files may be overwritten and removed; a mirror's default is false"),
    key("public", one::<bool>(), "true",
        "false: public doors answer as if there were no such index; a base like any other all the same"),
    key("policy", one::<String>(), "",
        "the policy for everything seen through this index, inherited content included"),
    key("owns", many::<NamePattern>(), "",
        "names of this index and those below it: never asked upstream nor served from a mirror"),
    key("whitelist", many::<NamePattern>(), "", "only these projects pass from mirrors"),
    key("whitelist_files", many::<PathBuf>(), "",
        "lock files and requirements whose projects, or pinned files, pass from mirrors"),
];

#[rustfmt::skip] // a table reads by rows
const STAGE: &[YamlKey] = &[
    key("bases", commas::<IndexName>(), "", "the indexes it inherits from, in order"),
    key("acl_upload", commas::<Principal>(), "", "who may upload; absent: the index's user"),
    key("acl_toxresult_upload", commas::<Principal>(), ":ANONYMOUS:", "who may upload tox results"),
    key("mirror_whitelist", commas::<WhitelistName>(), "",
        "projects that may come from a mirror although a stage holds them, or \"*\""),
    key("pypi_whitelist", commas::<WhitelistName>(), "", "the old spelling of mirror_whitelist"),
    key("mirror_whitelist_inheritance", one::<WhitelistInheritance>(), "intersection",
        "how the whitelists of a stack combine"),
];

#[rustfmt::skip] // a table reads by rows
const MIRROR: &[YamlKey] = &[
    key("mirror_url", one::<HttpUrl>(), "",
        "the simple page of the index to mirror; absent: the index that pip on this machine uses"),
    key("mirror_cache_expiry", one::<Duration>(), "30m",
        "how long a page counts as fresh; a plain number is seconds, as devpi has it"),
    key("mirror_no_project_list", one::<bool>(), "false",
        "the upstream has no usable project list: ask for each project"),
    key("mirror_use_external_urls", one::<bool>(), "false",
        "send clients to the upstream's files instead of caching them"),
    key("mirror_web_url_fmt", one::<String>(), "",
        "where people read about a project, with {name}"),
    key("undated", one::<Undated>(), "deny",
        "what a rule about age makes of a file without an upload-time"),
    key("optional", one::<bool>(), "false",
        "left out of a stack when it cannot be asked, instead of answering 503"),
    key("absent_statuses", many::<AbsentStatus>(), "",
        "refusals by which this upstream means that it has no such project, such as 403"),
    key("keep_last_good", Shape::Either(kind::<Duration>(), &[KEEP_LAST_GOOD]), "7d",
        "how long a project that vanishes or empties keeps those of its last files that every policy over the mirror let pass; 0 is off"),
    key("quarantined", one::<Quarantined>(), "empty",
        "what to list of a project that upstream has quarantined (PEP 792)"),
    key("verify", one::<Verify>(), "while-serving",
        "whether the first client waits until a file's digest holds"),
    key("username", one::<String>(), "", "the user to log in to the upstream as"),
    key("password_env", one::<String>(), "", "the environment variable that holds the password"),
    key("password_file", one::<PathBuf>(), "", "the file that holds the password"),
];

#[rustfmt::skip] // a table reads by rows
pub(super) const KEEP_LAST_GOOD: &[YamlKey] = &[
    key("for", one::<Duration>(), "7d", "how long after upstream last listed them; 0 is off"),
    key("older_than", one::<Duration>(), "14d",
        "files younger than this when they vanish are not kept, whatever the policies say"),
];

/// What of a mirror's keys makes sense where the upstream is given.
#[rustfmt::skip] // a table reads by rows
const DEVPI: &[YamlKey] = &[
    key("undated", one::<Undated>(), "deny",
        "what a rule about age makes of a file without an upload-time; devpi tells none"),
    key("optional", one::<bool>(), "false",
        "left out of a stack when it cannot be asked, instead of answering 503"),
    key("verify", one::<Verify>(), "while-serving",
        "whether the first client waits until a file's digest holds"),
];

/// Reads one entry of `indexes:`.
pub fn read(entry: &Entry, files: &mut dyn Files, notes: &mut Notes) -> Option<IndexDocument> {
    let name = match IndexName::parse(&entry.key) {
        Ok(value) => Some(Placed {
            value,
            location: entry.location.clone(),
        }),
        Err(_) => {
            let what = format!("{} is not an index name", quoted(&entry.key));
            notes.note(Fault::at(&entry.location, what).hint("write it as \"user/index\""));
            None
        }
    };
    let (variant, fields) = notes.variant(&entry.value, &VARIANTS);
    // Read for its faults; which variant it is, is known.
    let _: Option<IndexType> = fields.one("type", notes);
    let mut types = IndexType::all().into_iter();
    let kind = types.find(|(word, _)| *word == variant);
    let kind = match kind.map_or(IndexType::Stage, |(_, kind)| kind) {
        IndexType::Stage => IndexKindDocument::Stage(read_stage(&fields, notes)),
        IndexType::Mirror => IndexKindDocument::Mirror(read_mirror(&fields, notes)),
        IndexType::Devpi => {
            let place = entry.location.clone();
            IndexKindDocument::Mirror(read_devpi(&fields, place, notes))
        }
    };
    let owns = fields.many("owns", notes).unwrap_or_default();
    let whitelist = fields.many("whitelist", notes);
    let document = IndexDocument {
        kind,
        title: fields.one("title", notes),
        volatile: fields.one("volatile", notes),
        is_public: fields.one("public", notes).unwrap_or(true),
        policy: fields.placed("policy", notes),
        owns,
        whitelist,
        whitelist_files: read_whitelist_files(&fields, files, notes),
        name: name?,
    };
    Some(document)
}

fn read_whitelist_files(
    fields: &Fields<'_>,
    files: &mut dyn Files,
    notes: &mut Notes,
) -> Vec<TextFile> {
    let paths = fields
        .many::<PathBuf>("whitelist_files", notes)
        .unwrap_or_default();
    open_all(&paths, NamedKind::Whitelist, files, notes)
}

fn read_stage(fields: &Fields<'_>, notes: &mut Notes) -> StageDocument {
    let bare = |all: Vec<Placed<Principal>>| all.into_iter().map(|one| one.value.0).collect();
    StageDocument {
        bases: fields.many("bases", notes).unwrap_or_default(),
        acl_upload: fields.many("acl_upload", notes).map(bare),
        acl_toxresult_upload: fields.many("acl_toxresult_upload", notes).map(bare),
        mirror_whitelist: read_mirror_whitelist(fields, notes),
        mirror_whitelist_inheritance: fields
            .one("mirror_whitelist_inheritance", notes)
            .unwrap_or_default(),
    }
}

/// `mirror_whitelist`, or its spelling before devpi 3, which is noted.
fn read_mirror_whitelist(fields: &Fields<'_>, notes: &mut Notes) -> Vec<WhitelistName> {
    let new: Option<Vec<Placed<WhitelistName>>> = fields.many("mirror_whitelist", notes);
    let old = fields.many("pypi_whitelist", notes);
    if let Some(entry) = fields.entry("pypi_whitelist") {
        if new.is_some() {
            let what = "pypi_whitelist is the old spelling of mirror_whitelist, and both are here";
            notes.note(Fault::at(&entry.location, what).hint("keep mirror_whitelist"));
        } else {
            let what = "pypi_whitelist is the old spelling of mirror_whitelist";
            notes
                .warnings
                .push(Fault::at(&entry.location, what).hint("rename it"));
        }
    }
    let names = new.or(old).unwrap_or_default();
    names.into_iter().map(|placed| placed.value).collect()
}

fn read_mirror(fields: &Fields<'_>, notes: &mut Notes) -> MirrorDocument {
    let url: Option<Placed<HttpUrl>> = fields.placed("mirror_url", notes);
    let verify = fields.one("verify", notes).unwrap_or(Verify::WhileServing);
    MirrorDocument {
        mirror_url: url.map(|url| Placed {
            value: url.value.0.into(),
            location: url.location,
        }),
        mirror_cache_expiry: fields.one("mirror_cache_expiry", notes),
        mirror_no_project_list: fields.one("mirror_no_project_list", notes).unwrap_or(false),
        mirror_use_external_urls: fields
            .one("mirror_use_external_urls", notes)
            .unwrap_or(false),
        mirror_web_url_fmt: fields.one("mirror_web_url_fmt", notes),
        undated: fields.one("undated", notes).unwrap_or_default(),
        optional: fields.one("optional", notes).unwrap_or(false),
        absent_statuses: read_absent_statuses(fields, notes),
        keep_last_good: read_keep_last_good(fields, notes),
        is_made_by_api: false,
        quarantined: fields.one("quarantined", notes).unwrap_or_default(),
        verify_before_serving: verify == Verify::BeforeServing,
        username: fields.one("username", notes),
        password: read_password(fields, notes),
    }
}

fn read_absent_statuses(fields: &Fields<'_>, notes: &mut Notes) -> Vec<u16> {
    let statuses = fields.many::<AbsentStatus>("absent_statuses", notes);
    let statuses = statuses.unwrap_or_default().into_iter();
    statuses.map(|status| status.value.0).collect()
}

fn read_keep_last_good(fields: &Fields<'_>, notes: &mut Notes) -> KeepLastGoodDocument {
    match fields.node("keep_last_good") {
        Some(node) if matches!(node.value, Value::Mapping(_)) => {
            let fields = notes.fields(node, &[KEEP_LAST_GOOD]);
            KeepLastGoodDocument {
                period: fields.one("for", notes),
                older_than: fields.one("older_than", notes),
            }
        }
        Some(_) | None => KeepLastGoodDocument {
            period: fields.one("keep_last_good", notes),
            older_than: None,
        },
    }
}

fn read_devpi(fields: &Fields<'_>, place: Location, notes: &mut Notes) -> MirrorDocument {
    let verify = fields.one("verify", notes).unwrap_or(Verify::WhileServing);
    MirrorDocument {
        undated: fields.one("undated", notes).unwrap_or_default(),
        optional: fields.one("optional", notes).unwrap_or(false),
        verify_before_serving: verify == Verify::BeforeServing,
        ..MirrorDocument::of_devpi(place)
    }
}

fn read_password(fields: &Fields<'_>, notes: &mut Notes) -> Option<Placed<SecretSource>> {
    let environment: Option<Placed<String>> = fields.placed("password_env", notes);
    let file: Option<Placed<PathBuf>> = fields.placed("password_file", notes);
    if let (Some(_), Some(file)) = (&environment, &file) {
        let what = "password_env and password_file are both given";
        notes.note(Fault::at(&file.location, what).hint("keep one"));
    }
    let source = match (environment, file) {
        (Some(variable), _) => Placed {
            value: SecretSource::Environment(variable.value),
            location: variable.location,
        },
        (None, Some(path)) => Placed {
            value: SecretSource::File(path.value),
            location: path.location,
        },
        (None, None) => return None,
    };
    if fields.node("username").is_none() {
        let fault = Fault::at(&source.location, "a password without a username");
        notes.note(fault.hint("add username"));
    }
    Some(source)
}

/// The words of `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verify {
    WhileServing,
    BeforeServing,
}

impl Choice for Verify {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("while-serving", Self::WhileServing),
            ("before-serving", Self::BeforeServing),
        ]
    }
}

impl Choice for Undated {
    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("deny", Self::Deny),
            ("first_seen", Self::FirstSeen),
            ("old", Self::Old),
        ]
    }
}

impl Choice for Quarantined {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("empty", Self::Empty), ("keep", Self::Keep)]
    }
}

impl Choice for WhitelistInheritance {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("intersection", Self::Intersection), ("union", Self::Union)]
    }
}
