//! Every setting of an index: one table.
//!
//! A row makes the field of the document, the value in force with its default, the key that YAML and
//! its schema have, the words of a change, and, where devpi has the setting, the key of its API in both
//! directions. Nothing else names a setting, except the code that acts on it: values are reached through
//! functions, and the compiler reports those that nobody calls.
//!
//! One word of a row says what acts on the setting and whether devpi's API has it: `ours` and `written`
//! exist only in YAML, the former acted on as a value in force, the latter as written; devpi shows `always`
//! with its default, and `set` only if it is set.

mod kind;
mod list;
mod word;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::language::document::{
    KeepLastGoodDocument, Placed, Quarantined, Undated, Verify, WhitelistInheritance,
};
use crate::language::read::{YamlKey, key};
use crate::language::setting::kind::{
    OWNER, SettingKind, SpokenKind, UNLESS_BUILT_IN, changed, is, preset,
};
use crate::language::setting::list::{
    Bases, Joined, LockFiles, Patterns, Projects, Statuses, Users,
};
use crate::language::setting::word::{Hushed, KEPT_FOR, LastGood, One, Text, Url};
use crate::model::Location;

pub use kind::{About, ApiKey, ApiValue, Reading};
#[cfg(test)]
pub(super) use word::KEEP_LAST_GOOD;

/// `mirror_url` of `type: devpi`: the index of that name on the servers that `devpi:` names. Not a URL that
/// can be written in a file.
const DEVPI_URL: &str = "devpi:";

/// How long a page of a devpi-server is fresh. After that devpi's serial decides, which costs no page, so
/// that an upload is listed at once.
const DEVPI_CACHE_EXPIRY: Duration = Duration::from_millis(500);

macro_rules! acted_on {
    (written, $document:ident, $values:ident, $name:ident, $kind:ty, $doc:literal) => {
        impl $document {
            #[doc = $doc]
            #[must_use]
            pub(crate) fn $name(&self) -> Option<&<$kind as SettingKind>::Written> {
                self.$name.as_ref()
            }
        }
    };
    ($how:ident, $document:ident, $values:ident, $name:ident, $kind:ty, $doc:literal) => {
        impl $values {
            #[doc = $doc]
            #[must_use]
            pub(crate) fn $name(&self) -> <$kind as SettingKind>::Given<'_> {
                <$kind as SettingKind>::give(&self.$name)
            }
        }
    };
}

macro_rules! api_key {
    (always, $name:ident, $kind:ty, $default:expr) => {
        Some(ApiKey {
            name: stringify!($name),
            value: <$kind as SpokenKind>::SPOKEN,
            preset: Some(|index| preset::<$kind>(&$default, index)),
        })
    };
    (set, $name:ident, $kind:ty, $default:expr) => {
        Some(ApiKey::optional(
            stringify!($name),
            <$kind as SpokenKind>::SPOKEN,
        ))
    };
    ($how:ident, $name:ident, $kind:ty, $default:expr) => {
        None
    };
}

macro_rules! to_api {
    (always, $kind:ty, $value:expr) => {
        <$kind as SpokenKind>::to_api($value)
    };
    (set, $kind:ty, $value:expr) => {
        <$kind as SpokenKind>::to_api($value).filter(|value| *value != Json::Bool(false))
    };
    ($how:ident, $kind:ty, $value:expr) => {
        None
    };
}

macro_rules! from_api {
    (always, $kind:ty, $json:expr, $place:expr) => {
        $json.and_then(|json| <$kind as SpokenKind>::from_api(json, $place))
    };
    (set, $kind:ty, $json:expr, $place:expr) => {
        from_api!(always, $kind, $json, $place)
    };
    ($how:ident, $kind:ty, $json:expr, $place:expr) => {
        None
    };
}

macro_rules! settings {
    ($(
        $(#[$about:meta])*
        $document:ident => $values:ident, $api:ident {
            $($table:ident { $($name:ident: $kind:ty, $default:expr, $how:ident, $doc:literal;)* })*
        }
    )*) => { $(
        $(#[$about])*
        #[doc = ""]
        #[doc = "As written; what is absent has its default."]
        #[derive(Debug, Clone, Default)]
        pub struct $document {
            $($(
                #[doc = $doc]
                pub $name: Option<<$kind as SettingKind>::Written>,
            )*)*
        }

        $(#[$about])*
        #[derive(Debug)]
        pub struct $values {
            $($($name: <$kind as SettingKind>::Value,)*)*
        }

        $(#[rustfmt::skip] pub(super) const $table: &[YamlKey] = &[
            $(key(stringify!($name), <$kind as SettingKind>::SHAPE, $default.text, $doc),)*
        ];)*

        /// Those of them that devpi's API has.
        pub const $api: &[Option<ApiKey>] = &[$($(api_key!($how, $name, $kind, $default),)*)*];

        impl $document {
            /// Reads those that the mapping may have.
            pub(super) fn read(from: &mut Reading<'_, '_>) -> Self {
                Self {
                    $($($name: from.has(stringify!($name))
                        .then(|| <$kind as SettingKind>::read(stringify!($name), from))
                        .flatten(),)*)*
                }
            }

            /// What the API was told.
            #[must_use]
            pub fn from_api(told: &Map<String, Json>, place: &Location) -> Self {
                Self {
                    $($($name: from_api!($how, $kind, told.get(stringify!($name)), place),)*)*
                }
            }
        }

        impl $values {
            /// The values of an index.
            #[must_use]
            pub fn new(document: &$document, about: &About<'_>) -> Self {
                Self {
                    $($($name: <$kind as SettingKind>::settle(
                        document.$name.as_ref(), $default.of(about),
                    ),)*)*
                }
            }

            /// Tells which of them differ.
            pub fn differ(&self, new: &Self, parts: &mut Vec<String>) {
                $($(if self.$name != new.$name {
                    let words = <$kind as SettingKind>::words;
                    parts.push(changed(stringify!($name), words(&self.$name), words(&new.$name)));
                })*)*
            }

            /// As the API shows them, the password of an upstream included.
            #[must_use]
            pub fn to_api(&self) -> Map<String, Json> {
                let shown: Vec<(&str, Option<Json>)> = vec![
                    $($((stringify!($name), to_api!($how, $kind, &self.$name)),)*)*
                ];
                let shown = shown.into_iter();
                shown.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
            }
        }

        $($(acted_on!($how, $document, $values, $name, $kind, $doc);)*)*
    )* };
}

settings! {
    /// What stages and mirrors alike may set.
    CommonDocument => Common, COMMON_API {
        COMMON {
            volatile: One<bool>, UNLESS_BUILT_IN, always,
                "whether files may be overwritten and removed; false for a mirror named root/pypi";
            title: Text, is(""), set,
                "a line about it, for people";
            public: One<bool>, is("true"), ours,
                "false: public doors answer as if there were no such index; a base like any other all the same";
            policy: Text, is(""), written,
                "the policy for everything seen through this index, inherited content included";
            owns: Patterns, is(""), written,
                "names of this index and those below it: never asked upstream nor served from a mirror";
            whitelist: Joined<Patterns>, is(""), written,
                "only these projects pass from mirrors";
            whitelist_files: LockFiles, is(""), written,
                "lock files and requirements whose projects, or pinned files, pass from mirrors";
        }
    }

    /// What a stage may set (docs/protocol/devpi.md §7.1).
    StageDocument => Stage, STAGE_API {
        STAGE {
            bases: Bases, is(""), always,
                "the indexes it inherits from, in order";
            acl_upload: Users, OWNER, always,
                "who may upload; absent: the index's user";
            acl_toxresult_upload: Users, is(":ANONYMOUS:"), always,
                "who may upload tox results";
            mirror_whitelist: Projects, is(""), always,
                "projects that may come from a mirror although a stage holds them, or \"*\"";
            mirror_whitelist_inheritance: One<WhitelistInheritance>, is("intersection"), always,
                "how the whitelists of a stack combine";
        }
    }

    /// What a mirror may set (docs/protocol/devpi.md §7.2).
    MirrorDocument => Mirror, MIRROR_API {
        MIRROR {
            mirror_url: Url, is(""), set,
                "the simple page of the index to mirror; absent: the index that pip on this machine uses";
            mirror_cache_expiry: One<Duration>, is("30m"), set,
                "how long a page counts as fresh; a plain number is seconds, as devpi has it";
            mirror_no_project_list: One<bool>, is("false"), set,
                "the upstream has no usable project list: ask for each project";
            mirror_use_external_urls: One<bool>, is("false"), set,
                "send clients to the upstream's files instead of caching them";
            mirror_web_url_fmt: Text, is(""), set,
                "where people read about a project, with {name}";
            absent_statuses: Statuses, is(""), ours,
                "refusals by which this upstream means that it has no such project, such as 403";
            keep_last_good: LastGood, is(KEPT_FOR), ours,
                "how long a project that vanishes or empties keeps those of its last files that every policy over the mirror let pass; 0 is off";
            quarantined: One<Quarantined>, is("empty"), ours,
                "what to list of a project that upstream has quarantined (PEP 792)";
            username: Hushed<String>, is(""), written,
                "the user to log in to the upstream as";
            password_env: Hushed<String>, is(""), written,
                "the environment variable that holds the password";
            password_file: Hushed<PathBuf>, is(""), written,
                "the file that holds the password";
        }
        // Settings that make sense when the upstream is given, too.
        DEVPI {
            undated: One<Undated>, is("deny"), ours,
                "what a rule about age makes of a file without an upload-time; devpi tells none";
            optional: One<bool>, is("false"), ours,
                "left out of a stack when it cannot be asked, instead of answering 503";
            verify: One<Verify>, is("while-serving"), ours,
                "whether the first client waits until a file's digest holds";
        }
    }
}

impl MirrorDocument {
    /// An index on the servers that `devpi:` names. What was deleted there is gone here as well.
    #[must_use]
    pub fn of_devpi(self, location: Location) -> Self {
        Self {
            mirror_url: Some(Placed {
                value: DEVPI_URL.to_owned(),
                location,
            }),
            mirror_cache_expiry: Some(DEVPI_CACHE_EXPIRY),
            keep_last_good: Some(KeepLastGoodDocument {
                period: Some(Duration::ZERO),
                older_than: None,
            }),
            ..self
        }
    }

    /// Whether it is such an index.
    #[must_use]
    pub fn is_devpi(&self) -> bool {
        let url = self.mirror_url.as_ref();
        url.is_some_and(|url| url.value == DEVPI_URL)
    }
}

impl Mirror {
    /// Whether its upstream is the index of the same name on the servers that `devpi:` names.
    #[must_use]
    pub fn is_devpi(&self) -> bool {
        self.mirror_url() == Some(DEVPI_URL)
    }
}
