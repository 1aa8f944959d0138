//! A release's version: PEP 440 if it is valid, otherwise the text as uploaded.
//!
//! Old files carry versions such as `2004d`. They are listed and served, sort below every real version,
//! and no specifier except `===` can tell whether it contains them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::model::pep440::{Parts, SortKey};

/// A version as written, with its PEP 440 meaning if it has one.
#[derive(Clone)]
pub struct Version {
    text: Arc<str>,
    key: Option<SortKey>,
}

impl Version {
    /// Reads a version; every text is one, see [`Version::is_legacy`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.into(),
            key: Parts::parse(trimmed(text)).map(|parts| parts.key()),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether PEP 440 cannot read it, so that it compares with nothing.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.key.is_none()
    }

    /// Whether it comes before a final release, as `1.0rc1` and `1.0.dev1` do.
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        Parts::parse(trimmed(&self.text)).is_some_and(|parts| parts.is_prerelease())
    }

    /// The spelling that simple pages list: PEP 440 normalised, or the text of a legacy version.
    #[must_use]
    pub fn normalised(&self) -> String {
        Parts::parse(trimmed(&self.text))
            .map_or_else(|| self.text.to_string(), |parts| parts.to_string())
    }

    /// Whether two texts are spellings of one release: `1.0.0-rc1` and `1.0.0rc1`. `1.0` and `1.0.0`
    /// are two releases, as they are for devpi.
    #[must_use]
    pub fn is_same_release(one: &str, other: &str) -> bool {
        one == other || Self::parse(one).normalised() == Self::parse(other).normalised()
    }

    /// Whether both are spelled alike, apart from what file names change: letter case, and `_` for `-`.
    #[must_use]
    pub fn is_spelled_like(&self, other: &str) -> bool {
        let folded = |text: &str| text.to_lowercase().replace('_', "-");
        folded(&self.text) == folded(other)
    }

    pub(super) fn key(&self) -> Option<&SortKey> {
        self.key.as_ref()
    }
}

/// A text without the surrounding blanks that `packaging` ignores, which are Python's.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_blank)
}

pub(super) fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.key, &other.key) {
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
    fn legacy_versions_sort_below_real_ones_and_by_their_text() {
        let legacy = Version::parse("2004d");
        assert!(legacy.is_legacy());
        assert!(legacy < Version::parse("0.0.dev0"));
        assert!(legacy < Version::parse("2004e"));
        assert_eq!(legacy.normalised(), "2004d");
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        assert_eq!(Version::parse("1.0"), Version::parse("1.0.0"));
        assert_eq!(Version::parse("1.0-ALPHA.1").normalised(), "1.0a1");
    }

    #[test]
    fn spellings_of_one_release_are_told_from_other_releases() {
        let table = [
            ("1.0.0-rc1", "1.0.0rc1", true),
            ("v1.0", "1.0", true),
            ("1.0", "1.0.0", false),
            ("2004d", "2004d", true),
            ("2004d", "2004D", false),
        ];
        for (one, other, expected) in table {
            assert_eq!(
                Version::is_same_release(one, other),
                expected,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn no_number_is_too_long() {
        let nines = "9".repeat(300);
        let (long, longer) = (format!("1.{nines}"), format!("1.1{nines}"));
        assert!(Version::parse(&long) < Version::parse(&longer));
        assert_eq!(Version::parse(&format!("1.000{nines}")).normalised(), long);
    }
}
