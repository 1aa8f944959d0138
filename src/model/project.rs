//! A project's name, which exists only in its normalised form (PEP 503).
//!
//! Comparing a raw name with a normalised list is the classic hole in an allow list; this type makes it
//! impossible to write.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name accepted, in bytes. PyPI's own limit is 214; the margin is for private indexes.
const LENGTH_MAX: usize = 255;

/// A normalised project name: lower-case ASCII letters, digits and single dashes between them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectName(Arc<str>);

/// The text is not a project name (PEP 508 names: letters, digits, `.`, `_`, `-`, alphanumeric at both
/// ends).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a project name")]
pub struct InvalidProjectName(pub String);

impl ProjectName {
    /// Parses any spelling and normalises it: lower case, each run of `-`, `_`, `.` becomes one `-`.
    ///
    /// # Errors
    /// When the text is empty, too long, or has a character or an end that PEP 508 does not allow.
    pub fn parse(text: &str) -> Result<Self, InvalidProjectName> {
        let bytes = text.as_bytes();
        let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if bytes.len() > LENGTH_MAX
            || !ends_well(bytes.first())
            || !ends_well(bytes.last())
            || !bytes.iter().all(allowed)
        {
            return Err(InvalidProjectName(text.chars().take(LENGTH_MAX).collect()));
        }
        Ok(Self(normalise(text).into()))
    }

    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` already is this name's normalised spelling.
    #[must_use]
    pub fn is_spelled(&self, text: &str) -> bool {
        &*self.0 == text
    }
}

fn normalise(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '-' | '_' | '.' if name.ends_with('-') => {}
            '-' | '_' | '.' => name.push('-'),
            other => name.push(other.to_ascii_lowercase()),
        }
    }
    name
}

impl FromStr for ProjectName {
    type Err = InvalidProjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Borrow<str> for ProjectName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProjectName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_is_one_name() {
        for spelling in ["Hello.Pkg", "hello_pkg", "HELLO--pkg", "hello-_.pkg"] {
            assert_eq!(ProjectName::parse(spelling).unwrap().as_str(), "hello-pkg");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "-a",
            "a-",
            "a b",
            "a/b",
            "ü",
            ".",
            "a\0",
            &"a".repeat(256),
        ] {
            assert!(ProjectName::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?") {
            let once = ProjectName::parse(&text).unwrap();
            prop_assert_eq!(ProjectName::parse(once.as_str()).unwrap(), once);
        }
    }
}
