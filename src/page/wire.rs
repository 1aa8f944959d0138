//! JSON values of an upstream's page, whatever type they turn out to have.
//!
//! The standard says which type each key has; indexes in the field send `null`, numbers as text or
//! objects where a text belongs. [`Loose`] accepts any of them, so that an odd value costs one fact
//! and not the page, and borrows texts from the body where JSON allows it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::page::project_page::InvalidPage;

/// One JSON value, reduced to what a simple page can use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Loose<'a> {
    /// No such key, or `null`.
    #[default]
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A non-negative integer.
    Number(u64),
    /// A text.
    Text(Cow<'a, str>),
    /// An object.
    Table(Vec<(Cow<'a, str>, Loose<'a>)>),
    /// Anything else.
    Other,
}

impl Loose<'_> {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Bool(_) | Self::Number(_) | Self::Table(_) | Self::Other => None,
        }
    }

    /// The number, even if it is written as a string.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Absent | Self::Bool(_) | Self::Table(_) | Self::Other => None,
        }
    }

    /// The object's values by key; empty if it is not an object.
    pub(super) fn entries(&self) -> &[(Cow<'_, str>, Self)] {
        match self {
            Self::Table(entries) => entries,
            Self::Absent | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Other => &[],
        }
    }

    /// One value of the object.
    pub(super) fn entry(&self, key: &str) -> &Self {
        let mut entries = self.entries().iter();
        entries
            .find(|(known, _)| known == key)
            .map_or(&Self::Absent, |(_, value)| value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Loose::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Loose::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut table = Vec::new();
        // A key is always a text; read like a value, it is borrowed where JSON allows it.
        while let Some((key, value)) = entries.next_entry::<Loose<'de>, _>()? {
            if let Loose::Text(key) = key {
                table.push((key, value));
            }
        }
        Ok(Loose::Table(table))
    }
}

/// Passes on each item of an array as raw JSON, so that a bad one does not spoil the others; tells
/// whether there was an array (`null` is not one).
pub(super) struct Items<'r> {
    pub(super) each: &'r mut dyn FnMut(&str) -> Result<(), InvalidPage>,
    /// Where a refusal is stored, see [`refuse`].
    pub(super) refused: &'r mut Option<InvalidPage>,
}

/// Stops parsing a page that is refused for its content: serde's own error cannot carry the reason.
///
/// # Errors
/// When the outcome is a refusal.
pub(super) fn refuse<E: serde::de::Error>(
    outcome: Result<(), InvalidPage>,
    refused: &mut Option<InvalidPage>,
) -> Result<(), E> {
    outcome.map_err(|why| {
        *refused = Some(why);
        E::custom("refused")
    })
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while let Some(json) = items.next_element::<&'de RawValue>()? {
            refuse((self.each)(json.get()), self.refused)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_json_is_taken_as_it_comes() {
        let table = [
            ("null", Loose::Absent),
            ("true", Loose::Bool(true)),
            ("7", Loose::Number(7)),
            ("-7", Loose::Other),
            ("7.5", Loose::Other),
            ("[1, {\"a\": []}]", Loose::Other),
            (r#""a\n""#, Loose::Text("a\n".into())),
            (
                r#"{"md5": "ab", "x": null, "y": {"z": 1}}"#,
                Loose::Table(vec![
                    ("md5".into(), Loose::Text("ab".into())),
                    ("x".into(), Loose::Absent),
                    (
                        "y".into(),
                        Loose::Table(vec![("z".into(), Loose::Number(1))]),
                    ),
                ]),
            ),
        ];
        for (json, expected) in table {
            assert_eq!(
                serde_json::from_str::<Loose<'_>>(json).unwrap(),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn numbers_written_as_text_are_numbers() {
        assert_eq!(Loose::Text("12".into()).number(), Some(12));
        assert_eq!(Loose::Text("-12".into()).number(), None);
        assert_eq!(Loose::Bool(true).number(), None);
    }

    #[test]
    fn a_missing_entry_is_absent() {
        let table = Loose::Table(vec![("a".into(), Loose::Number(1))]);
        assert_eq!(table.entry("a").number(), Some(1));
        assert_eq!(table.entry("b"), &Loose::Absent);
        assert_eq!(Loose::Other.entry("a"), &Loose::Absent);
    }
}
