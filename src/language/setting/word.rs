//! Settings of one word, or two.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::language::document::{KeepLastGood, KeepLastGoodDocument, Placed, WhitelistInheritance};
use crate::language::read::{Choice, HttpUrl, Shape, Value, Word, YamlKey, key, kind, one};
use crate::language::setting::kind::{ApiValue, Reading, SettingKind, SpokenKind};
use crate::model::{Location, format_duration};

/// How long a project that vanished upstream keeps its files.
pub(super) const KEPT_FOR: &str = "7d";

/// Least age of the files it keeps. Malware is mostly found and taken down within days, so a file that
/// vanishes sooner after its upload is not worth the risk.
const KEPT_OLDER_THAN: &str = "14d";

/// What a mapping of `keep_last_good` says.
#[rustfmt::skip] // a table reads by rows
pub(in crate::language) const KEEP_LAST_GOOD: &[YamlKey] = &[
    key("for", one::<Duration>(), KEPT_FOR, "how long after upstream last listed them; 0 is off"),
    key("older_than", one::<Duration>(), KEPT_OLDER_THAN,
        "files younger than this when they vanish are not kept, whatever the policies say"),
];

/// One word, absent or not: the default is a word as well.
pub struct One<T>(PhantomData<T>);

/// How a value is written in a log.
pub trait Told {
    fn told(&self) -> String;
}

impl<T: Choice> Told for T {
    fn told(&self) -> String {
        self.word().to_owned()
    }
}

impl Told for bool {
    fn told(&self) -> String {
        self.to_string()
    }
}

impl Told for Duration {
    fn told(&self) -> String {
        format_duration(*self)
    }
}

impl<T: Word + Told + Copy + PartialEq + Debug> SettingKind for One<T> {
    type Written = T;
    type Value = T;
    type Given<'a> = T;
    const SHAPE: Shape = one::<T>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<T> {
        from.one(name)
    }

    fn settle(written: Option<&T>, default: &str) -> T {
        written.copied().unwrap_or_else(|| literal(default))
    }

    fn give(value: &T) -> T {
        *value
    }

    fn words(value: &T) -> Option<String> {
        Some(value.told())
    }
}

impl SpokenKind for One<bool> {
    const SPOKEN: ApiValue = ApiValue::Bool;

    fn to_api(value: &bool) -> Option<Json> {
        Some(json!(value))
    }

    fn from_api(json: &Json, _: &Location) -> Option<bool> {
        json.as_bool()
    }
}

impl SpokenKind for One<Duration> {
    const SPOKEN: ApiValue = ApiValue::Seconds;

    fn to_api(value: &Duration) -> Option<Json> {
        Some(json!(value.as_secs()))
    }

    fn from_api(json: &Json, _: &Location) -> Option<Duration> {
        json.as_u64().map(Duration::from_secs)
    }
}

impl SpokenKind for One<WhitelistInheritance> {
    const SPOKEN: ApiValue = ApiValue::Inheritance;

    fn to_api(value: &WhitelistInheritance) -> Option<Json> {
        Some(json!(value.told()))
    }

    fn from_api(json: &Json, _: &Location) -> Option<WhitelistInheritance> {
        WhitelistInheritance::read(json.as_str()?).ok()
    }
}

/// A text, where there is one.
pub struct Text;

impl SettingKind for Text {
    type Written = Placed<String>;
    type Value = Option<String>;
    type Given<'a> = Option<&'a str>;
    const SHAPE: Shape = one::<String>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Placed<String>> {
        from.placed(name)
    }

    fn settle(written: Option<&Placed<String>>, _: &str) -> Option<String> {
        written.map(|text| text.value.clone())
    }

    fn give(value: &Option<String>) -> Option<&str> {
        value.as_deref()
    }

    fn words(value: &Option<String>) -> Option<String> {
        let text = value.as_ref().map(|text| text.escape_debug().to_string());
        Some(text.unwrap_or_else(|| "none".to_owned()))
    }
}

impl SpokenKind for Text {
    const SPOKEN: ApiValue = ApiValue::Text;

    fn to_api(value: &Option<String>) -> Option<Json> {
        value.clone().map(Json::from)
    }

    fn from_api(json: &Json, place: &Location) -> Option<Placed<String>> {
        Some(Placed::at(place, json.as_str()?.to_owned()))
    }
}

/// The address of an upstream, never shown: it may hold a password.
pub struct Url;

impl SettingKind for Url {
    type Written = Placed<String>;
    type Value = Option<String>;
    type Given<'a> = Option<&'a str>;
    const SHAPE: Shape = one::<HttpUrl>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Placed<String>> {
        let url: Placed<HttpUrl> = from.placed(name)?;
        Some(url.map(|HttpUrl(url)| url.into()))
    }

    fn settle(written: Option<&Placed<String>>, default: &str) -> Option<String> {
        Text::settle(written, default)
    }

    fn give(value: &Option<String>) -> Option<&str> {
        value.as_deref()
    }
}

impl SpokenKind for Url {
    const SPOKEN: ApiValue = ApiValue::Url;

    fn to_api(value: &Option<String>) -> Option<Json> {
        Text::to_api(value)
    }

    fn from_api(json: &Json, place: &Location) -> Option<Placed<String>> {
        Text::from_api(json, place)
    }
}

/// For values that only the configuration acts on and nobody has to see.
pub struct Hushed<T>(PhantomData<T>);

impl<T: Word + Clone + Debug + PartialEq> SettingKind for Hushed<T> {
    type Written = Placed<T>;
    type Value = Option<T>;
    type Given<'a> = ();
    const SHAPE: Shape = one::<T>();

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<Placed<T>> {
        from.placed(name)
    }

    fn settle(written: Option<&Placed<T>>, _: &str) -> Option<T> {
        written.map(|word| word.value.clone())
    }

    fn give(_: &Option<T>) {}
}

/// `keep_last_good`: how long, or a mapping that says more.
pub struct LastGood;

impl SettingKind for LastGood {
    type Written = KeepLastGoodDocument;
    type Value = KeepLastGood;
    type Given<'a> = KeepLastGood;
    const SHAPE: Shape = Shape::Either(kind::<Duration>(), &[KEEP_LAST_GOOD]);

    fn read(name: &str, from: &mut Reading<'_, '_>) -> Option<KeepLastGoodDocument> {
        let node = from.fields.node(name)?;
        let Value::Mapping(_) = node.value else {
            return Some(KeepLastGoodDocument {
                period: from.one(name),
                older_than: None,
            });
        };
        let fields = from.notes.fields(node, &[KEEP_LAST_GOOD]);
        Some(KeepLastGoodDocument {
            period: fields.one("for", from.notes),
            older_than: fields.one("older_than", from.notes),
        })
    }

    fn settle(written: Option<&KeepLastGoodDocument>, default: &str) -> KeepLastGood {
        let written = written.copied().unwrap_or_default();
        KeepLastGood {
            period: written.period.unwrap_or_else(|| literal(default)),
            older_than: written
                .older_than
                .unwrap_or_else(|| literal(KEPT_OLDER_THAN)),
        }
    }

    fn give(value: &KeepLastGood) -> KeepLastGood {
        *value
    }

    fn words(value: &KeepLastGood) -> Option<String> {
        let (period, least) = (
            format_duration(value.period),
            format_duration(value.older_than),
        );
        Some(format!("{period} (older than {least})"))
    }
}

fn literal<T: Word>(text: &str) -> T {
    T::read(text).expect("the table's own values read, as every index that is compiled shows")
}
