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
        let mut name = String::with_capacity(text.len());
        if Self::normalise_into(text, &mut name) {
            return Ok(Self(name.into()));
        }
        Err(InvalidProjectName(text.chars().take(LENGTH_MAX).collect()))
    }

    /// Appends the normalised form of `text` and returns true; appends nothing and returns false where
    /// it is no project name. For lists, which have a million names and need no value for each.
    pub fn normalise_into(text: &str, names: &mut String) -> bool {
        let bytes = text.as_bytes();
        let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        if bytes.len() > LENGTH_MAX || !ends_well(bytes.first()) || !ends_well(bytes.last()) {
            return false;
        }
        let (mut is_normal, mut before) = (true, 0);
        for byte in bytes {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' => {}
                b'-' => is_normal &= before != b'-',
                b'A'..=b'Z' | b'_' | b'.' => is_normal = false,
                _ => return false,
            }
            before = *byte;
        }
        if is_normal {
            names.push_str(text);
        } else {
            normalise(text, names);
        }
        true
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

fn normalise(text: &str, name: &mut String) {
    let mut is_after_dash = false;
    for character in text.chars() {
        let is_dash = matches!(character, '-' | '_' | '.');
        match is_dash {
            true if is_after_dash => {}
            true => name.push('-'),
            false => name.push(character.to_ascii_lowercase()),
        }
        is_after_dash = is_dash;
    }
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
        fn a_name_is_appended_as_it_is_parsed_or_not_at_all(text in "[A-Ca-c0.ü_-]{0,6}") {
            let mut names = "before-".to_owned();
            let is_name = ProjectName::normalise_into(&text, &mut names);
            let parsed = ProjectName::parse(&text);
            prop_assert_eq!(is_name, parsed.is_ok());
            let appended = parsed.map_or_else(|_| String::new(), |name| name.to_string());
            prop_assert_eq!(names, format!("before-{appended}"));
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?") {
            let once = ProjectName::parse(&text).unwrap();
            prop_assert_eq!(ProjectName::parse(once.as_str()).unwrap(), once);
        }
    }
}
