//! What every kind of setting defines: how it is read, its value when absent, how a change is described,
//! and how devpi's clients write it.

use std::fmt::Debug;

use serde_json::Value as Json;

use crate::language::document::Placed;
use crate::language::read::{Fields, Files, Notes, Shape, Word};
use crate::model::{IndexName, Location};

/// The mirror that `devpi-init` creates; the only index that is not volatile by default.
const BUILT_IN_MIRROR: &str = "root/pypi";

/// The value of an absent setting.
pub struct Unset {
    /// As it would be written; empty if that is impossible, or if there is no value.
    pub text: &'static str,
    of: for<'a> fn(&'static str, &About<'a>) -> &'a str,
}

/// This, for every index.
pub(super) const fn is(text: &'static str) -> Unset {
    Unset {
        text,
        of: |text, _| text,
    }
}

/// The index's user.
pub(super) const OWNER: Unset = Unset {
    text: "",
    of: |_, index| index.name.user(),
};

/// True, except for the mirror that `devpi-init` creates.
pub(super) const UNLESS_BUILT_IN: Unset = Unset {
    text: "true",
    of: |text, index| {
        if index.is_mirror && index.name.as_str() == BUILT_IN_MIRROR {
            "false"
        } else {
            text
        }
    },
};

impl Unset {
    pub(super) fn of<'a>(&self, index: &About<'a>) -> &'a str {
        (self.of)(self.text, index)
    }
}

/// The index that the settings belong to.
pub struct About<'a> {
    /// Its name.
    pub name: &'a IndexName,
    /// Whether it has an upstream.
    pub is_mirror: bool,
}

/// A mapping being read, and which keys it may have.
pub struct Reading<'a, 'node> {
    pub fields: &'a Fields<'node>,
    pub files: &'a mut dyn Files,
    pub notes: &'a mut Notes,
}

impl Reading<'_, '_> {
    /// Whether the mapping may have the key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.knows(name)
    }

    pub(super) fn one<T: Word>(&mut self, name: &str) -> Option<T> {
        self.fields.one(name, self.notes)
    }

    pub(super) fn placed<T: Word>(&mut self, name: &str) -> Option<Placed<T>> {
        self.fields.placed(name, self.notes)
    }

    pub(super) fn many<T: Word>(&mut self, name: &str) -> Option<Vec<Placed<T>>> {
        self.fields.many(name, self.notes)
    }

    pub(super) fn bare<T: Word, U>(&mut self, name: &str, inner: fn(T) -> U) -> Option<Vec<U>> {
        let words = self.many::<T>(name)?.into_iter();
        Some(words.map(|word| inner(word.value)).collect())
    }
}

/// How a setting is read, resolved and described.
pub trait SettingKind {
    /// What a document holds.
    type Written: Clone + Debug;
    /// What is in force.
    type Value: PartialEq + Debug;
    /// The form in which code receives it.
    type Given<'a>;
    /// What its key holds in YAML.
    const SHAPE: Shape;

    /// Reads it.
    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Self::Written>;
    /// The written value, or the default, which is given as text in YAML's form.
    fn settle(written: Option<&Self::Written>, default: &str) -> Self::Value;
    /// Lends it.
    fn give(value: &Self::Value) -> Self::Given<'_>;
    /// For the log of a reload; `None` if people need not, or must not, see the value.
    fn words(_: &Self::Value) -> Option<String> {
        None
    }
}

/// How devpi's API writes it.
pub trait SpokenKind: SettingKind {
    /// What clients may send.
    const SPOKEN: ApiValue;

    /// As the API shows it.
    fn to_api(value: &Self::Value) -> Option<Json>;
    /// What was sent, in canonical form.
    fn from_api(json: &Json, place: &Location) -> Option<Self::Written>;
}

/// A key of devpi's API.
#[derive(Debug)]
pub struct ApiKey {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub value: ApiValue,
    /// Its value when not set, for a key that is always shown.
    pub preset: Option<fn(&IndexName) -> Json>,
}

/// What a value of devpi's API may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiValue {
    Bool,
    Text,
    /// Any JSON.
    Free,
    /// Users, groups, `:ANONYMOUS:`, `:AUTHENTICATED:`.
    Users,
    /// Indexes.
    Bases,
    /// Project names and `*`.
    Projects,
    /// `intersection` or `union`.
    Inheritance,
    Url,
    Seconds,
}

impl ApiKey {
    /// A key that is shown only when set.
    #[must_use]
    pub const fn optional(name: &'static str, value: ApiValue) -> Self {
        Self {
            name,
            value,
            preset: None,
        }
    }
}

/// A default, as the API shows it.
pub(super) fn preset<K: SpokenKind>(unset: &Unset, name: &IndexName) -> Json {
    // No index created through the API counts as devpi's own.
    let of = About {
        name,
        is_mirror: false,
    };
    K::to_api(&K::settle(None, unset.of(&of))).unwrap_or_default()
}

/// Describes a change.
pub(super) fn changed(name: &str, old: Option<String>, new: Option<String>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!("{name} {old} -> {new}"),
        (_, _) => name.to_owned(),
    }
}
