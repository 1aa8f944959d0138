//! A release's version: PEP 440 where it is one, otherwise the text as uploaded.
//!
//! Old files carry versions such as `2004d`; they are listed and served, sort below every real
//! version, and match no specifier.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A version as written, with its PEP 440 meaning where it has one.
#[derive(Clone)]
pub struct Version {
    text: Arc<str>,
    parsed: Option<pep440_rs::Version>,
}

impl Version {
    /// Reads a version; every text is one, see [`Version::as_pep440`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.into(),
            parsed: text.parse().ok(),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The PEP 440 version, or nothing for a legacy one.
    #[must_use]
    pub fn as_pep440(&self) -> Option<&pep440_rs::Version> {
        self.parsed.as_ref()
    }

    /// The spelling that simple pages list: PEP 440 normalised, or the text of a legacy version.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.parsed
            .as_ref()
            .map_or_else(|| self.text.to_string(), ToString::to_string)
    }

    /// Whether the specifiers (PEP 440) contain this version, pre-releases included.
    #[must_use]
    pub fn is_in(&self, specifiers: &pep440_rs::VersionSpecifiers) -> bool {
        self.parsed
            .as_ref()
            .is_some_and(|version| specifiers.contains(version))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.parsed, &other.parsed) {
            (None, None) => self.text.cmp(&other.text),
            (mine, theirs) => mine.cmp(theirs),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Version({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_versions_sort_below_real_ones_and_match_nothing() {
        let legacy = Version::parse("2004d");
        assert!(legacy < Version::parse("0.0.dev0"));
        assert!(!legacy.is_in(&">=0".parse().unwrap()));
        assert_eq!(legacy.normalised(), "2004d");
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        assert_eq!(Version::parse("1.0"), Version::parse("1.0.0"));
        assert_eq!(Version::parse("1.0-ALPHA.1").normalised(), "1.0a1");
        assert!(Version::parse("2.31rc1").is_in(&"<2.32".parse().unwrap()));
    }
}
