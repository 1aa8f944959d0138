//! Settings that are lists.

use std::marker::PhantomData;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::language::document::{NamePattern, Placed, TextFile, WhitelistName};
use crate::language::mirror_whitelist::MirrorWhitelist;
use crate::language::read::{
    AbsentStatus, Grantee, NamedKind, Shape, Word, commas, many, open_all,
};
use crate::language::setting::kind::{ApiValue, Reading, SettingKind, SpokenKind};
use crate::model::{IndexName, Location};

/// What an index inherits from.
pub struct Bases;

impl SettingKind for Bases {
    type Written = Vec<Placed<IndexName>>;
    type Value = Vec<IndexName>;
    type Given<'a> = &'a [IndexName];
    const SHAPE: Shape = commas::<IndexName>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Self::Written> {
        from.many(name)
    }

    fn settle(written: Option<&Self::Written>, _: &str) -> Vec<IndexName> {
        let bases = written.into_iter().flatten();
        bases.map(|base| base.value.clone()).collect()
    }

    fn give(value: &Vec<IndexName>) -> &[IndexName] {
        value
    }

    fn words(value: &Vec<IndexName>) -> Option<String> {
        Some(listed(value))
    }
}

impl SpokenKind for Bases {
    const SPOKEN: ApiValue = ApiValue::Bases;

    fn to_api(value: &Vec<IndexName>) -> Option<Json> {
        Some(value.iter().map(IndexName::as_str).collect())
    }

    fn from_api(json: &Json, place: &Location) -> Option<Self::Written> {
        let names = strings(json).filter_map(|base| IndexName::parse(&base).ok());
        Some(names.map(|name| Placed::at(place, name)).collect())
    }
}

/// Who may do something.
pub struct Users;

impl SettingKind for Users {
    type Written = Vec<Placed<String>>;
    type Value = Vec<String>;
    type Given<'a> = &'a [String];
    const SHAPE: Shape = commas::<Grantee>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Self::Written> {
        let users = from.many::<Grantee>(name)?.into_iter();
        let names = users.map(|user| Placed::at(&user.location, user.value.0));
        Some(names.collect())
    }

    fn settle(written: Option<&Self::Written>, default: &str) -> Vec<String> {
        let names = |written: &Self::Written| {
            let names = written.iter().map(|user| user.value.clone());
            names.collect()
        };
        written.map_or_else(|| vec![default.to_owned()], names)
    }

    fn give(value: &Vec<String>) -> &[String] {
        value
    }

    fn words(value: &Vec<String>) -> Option<String> {
        Some(listed(value))
    }
}

impl SpokenKind for Users {
    const SPOKEN: ApiValue = ApiValue::Users;

    fn to_api(value: &Vec<String>) -> Option<Json> {
        Some(json!(value))
    }

    fn from_api(json: &Json, place: &Location) -> Option<Self::Written> {
        Some(strings(json).map(|user| Placed::at(place, user)).collect())
    }
}

/// Projects that may come from mirrors too.
pub struct Projects;

impl SettingKind for Projects {
    type Written = Vec<WhitelistName>;
    type Value = MirrorWhitelist;
    type Given<'a> = &'a MirrorWhitelist;
    const SHAPE: Shape = commas::<WhitelistName>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Vec<WhitelistName>> {
        from.bare(name, |project| project)
    }

    fn settle(written: Option<&Vec<WhitelistName>>, _: &str) -> MirrorWhitelist {
        MirrorWhitelist::new(written.map(Vec::as_slice).unwrap_or_default())
    }

    fn give(value: &MirrorWhitelist) -> &MirrorWhitelist {
        value
    }

    fn words(value: &MirrorWhitelist) -> Option<String> {
        Some(listed(&value.entries))
    }
}

impl SpokenKind for Projects {
    const SPOKEN: ApiValue = ApiValue::Projects;

    fn to_api(value: &MirrorWhitelist) -> Option<Json> {
        Some(value.entries.iter().map(ToString::to_string).collect())
    }

    fn from_api(json: &Json, _: &Location) -> Option<Vec<WhitelistName>> {
        let names = strings(json).filter_map(|name| WhitelistName::read(&name).ok());
        Some(names.collect())
    }
}

/// Refusals that mean absence.
pub struct Statuses;

impl SettingKind for Statuses {
    type Written = Vec<u16>;
    type Value = Vec<u16>;
    type Given<'a> = &'a [u16];
    const SHAPE: Shape = many::<AbsentStatus>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Vec<u16>> {
        from.bare(name, |status: AbsentStatus| status.0)
    }

    fn settle(written: Option<&Vec<u16>>, _: &str) -> Vec<u16> {
        written.cloned().unwrap_or_default()
    }

    fn give(value: &Vec<u16>) -> &[u16] {
        value
    }

    fn words(value: &Vec<u16>) -> Option<String> {
        Some(listed(value))
    }
}

/// Patterns of names that are compiled.
pub struct Patterns;

impl SettingKind for Patterns {
    type Written = Vec<Placed<NamePattern>>;
    type Value = Vec<String>;
    type Given<'a> = ();
    const SHAPE: Shape = many::<NamePattern>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Self::Written> {
        from.many(name)
    }

    fn settle(written: Option<&Self::Written>, _: &str) -> Vec<String> {
        let patterns = written.into_iter().flatten();
        patterns.map(|one| one.value.to_string()).collect()
    }

    fn give(_: &Vec<String>) {}

    fn words(value: &Vec<String>) -> Option<String> {
        Some(listed(value))
    }
}

/// A part of the one compiled list of an index, whose changes are described as a whole.
pub struct Joined<K>(PhantomData<K>);

impl<K: SettingKind> SettingKind for Joined<K> {
    type Written = K::Written;
    type Value = ();
    type Given<'a> = ();
    const SHAPE: Shape = K::SHAPE;

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<K::Written> {
        K::read(name, from)
    }

    fn settle(_: Option<&K::Written>, _: &str) {}

    fn give((): &()) {}
}

/// Files that `config` opens.
pub struct LockFiles;

impl SettingKind for LockFiles {
    type Written = Vec<TextFile>;
    type Value = ();
    type Given<'a> = ();
    const SHAPE: Shape = many::<PathBuf>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Vec<TextFile>> {
        let (kind, paths) = (NamedKind::Whitelist, from.many(name)?);
        Some(open_all(&paths, kind, from.files, from.notes))
    }

    fn settle(_: Option<&Vec<TextFile>>, _: &str) {}

    fn give((): &()) {}
}

fn listed<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", words.join(", "))
}

fn strings(json: &Json) -> impl Iterator<Item = String> {
    let items = json.as_array().into_iter().flatten();
    items.filter_map(Json::as_str).map(str::to_owned)
}
