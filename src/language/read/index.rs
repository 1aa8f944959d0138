//! `indexes:`, stages and mirrors; their keys are the settings' table.

use crate::language::document::{
    Placed, Quarantined, Undated, Verify, WhitelistInheritance, WhitelistName,
};
use crate::language::documents::{IndexDocument, IndexKindDocument};
use crate::language::read::fields::{Fields, Notes, quoted};
use crate::language::read::files::Files;
use crate::language::read::keys::{Choice, Shape, Variants, YamlKey, commas, key, one};
use crate::language::read::tree::Entry;
use crate::language::setting::{
    COMMON, CommonDocument, DEVPI, MIRROR, MirrorDocument, Reading, STAGE, StageDocument,
};
use crate::model::{Fault, IndexName};

/// An index, by its `type`.
pub(super) const INDEX: Shape = Shape::Variants(&VARIANTS);

pub(super) static VARIANTS: Variants = Variants {
    key: "type",
    tables: &[
        ("stage", &[TYPE, COMMON, STAGE, OLD]),
        ("mirror", &[TYPE, COMMON, DEVPI, MIRROR]),
        ("devpi", &[TYPE, COMMON, DEVPI]),
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
    const WORDS: &'static [(&'static str, Self)] = &[
        ("stage", Self::Stage),
        ("mirror", Self::Mirror),
        ("devpi", Self::Devpi),
    ];
}

#[rustfmt::skip] // a table reads by rows
const TYPE: &[YamlKey] = &[
    key("type", one::<IndexType>(), "stage",
        "whether it takes uploads (stage), has an upstream (mirror) or is one of the devpi servers'"),
];

#[rustfmt::skip] // a table reads by rows
const OLD: &[YamlKey] = &[
    key("pypi_whitelist", commas::<WhitelistName>(), "", "the old spelling of mirror_whitelist"),
];

/// Reads one entry of `indexes:`.
pub fn read(entry: &Entry, files: &mut dyn Files, notes: &mut Notes) -> Option<IndexDocument> {
    let name = match IndexName::parse(&entry.key) {
        Ok(name) => Some(Placed::at(&entry.location, name)),
        Err(_) => {
            let what = format!("{} is not an index name", quoted(&entry.key));
            notes.note(Fault::at(&entry.location, what).hint("write it as \"user/index\""));
            None
        }
    };
    let (variant, fields) = notes.variant(&entry.value, &VARIANTS);
    // Read for its faults; the variant is already known.
    let _: Option<IndexType> = fields.one("type", notes);
    let mut types = IndexType::WORDS.iter();
    let kind = types.find(|(word, _)| *word == variant);
    let mut from = Reading {
        fields: &fields,
        files,
        notes,
    };
    let kind = match kind.map_or(IndexType::Stage, |(_, kind)| *kind) {
        IndexType::Stage => {
            let mut stage = StageDocument::read(&mut from);
            read_old_spelling(&mut stage, &fields, from.notes);
            IndexKindDocument::Stage(stage)
        }
        IndexType::Mirror => {
            let mirror = MirrorDocument::read(&mut from);
            check_password(&mirror, from.notes);
            IndexKindDocument::Mirror(mirror)
        }
        IndexType::Devpi => {
            let mirror = MirrorDocument::read(&mut from);
            IndexKindDocument::Mirror(mirror.of_devpi(entry.location.clone()))
        }
    };
    let settings = CommonDocument::read(&mut from);
    Some(IndexDocument {
        name: name?,
        kind,
        settings,
    })
}

/// `mirror_whitelist` in its spelling before devpi 3, which is noted.
fn read_old_spelling(stage: &mut StageDocument, fields: &Fields<'_>, notes: &mut Notes) {
    let Some(entry) = fields.entry("pypi_whitelist") else {
        return;
    };
    let what = "pypi_whitelist is the old spelling of mirror_whitelist";
    let old: Option<Vec<Placed<WhitelistName>>> = fields.many("pypi_whitelist", notes);
    if fields.entry("mirror_whitelist").is_some() {
        let what = format!("{what}, and both are here");
        return notes.note(Fault::at(&entry.location, what).hint("keep mirror_whitelist"));
    }
    let warning = Fault::at(&entry.location, what).hint("rename it");
    notes.warnings.push(warning);
    stage.mirror_whitelist = old.map(|names| names.into_iter().map(|name| name.value).collect());
}

fn check_password(mirror: &MirrorDocument, notes: &mut Notes) {
    if let (Some(_), Some(file)) = (mirror.password_env(), mirror.password_file()) {
        let what = "password_env and password_file are both given";
        notes.note(Fault::at(&file.location, what).hint("keep one"));
    }
    if let (None, Some(source)) = (mirror.username(), mirror.password()) {
        let fault = Fault::at(&source.location, "a password without a username");
        notes.note(fault.hint("add username"));
    }
}

impl Choice for Verify {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("while-serving", Self::WhileServing),
        ("before-serving", Self::BeforeServing),
    ];
}

impl Choice for Undated {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("deny", Self::Deny),
        ("first_seen", Self::FirstSeen),
        ("old", Self::Old),
    ];
}

impl Choice for Quarantined {
    const WORDS: &'static [(&'static str, Self)] = &[("empty", Self::Empty), ("keep", Self::Keep)];
}

impl Choice for WhitelistInheritance {
    const WORDS: &'static [(&'static str, Self)] =
        &[("intersection", Self::Intersection), ("union", Self::Union)];
}
