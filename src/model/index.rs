//! The name of an index: `user/index`, as devpi spells it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest part of an index name, in bytes: a path segment that every file system accepts.
const PART_MAX: usize = 200;

/// `user/index`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexName(Arc<str>);

/// The text is not `user/index`, or a part holds a character that devpi blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an index name such as \"root/pypi\"")]
pub struct InvalidIndexName(pub String);

impl IndexName {
    /// Parses `user/index`; a leading or trailing slash is accepted, as devpi does for `bases`.
    ///
    /// # Errors
    /// When there are not exactly two parts or one is not allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidIndexName> {
        let trimmed = text.strip_prefix('/').unwrap_or(text);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        match trimmed.split_once('/') {
            Some((user, index)) if Self::is_part(user) && Self::is_part(index) => {
                Ok(Self(trimmed.into()))
            }
            _ => Err(InvalidIndexName(text.chars().take(2 * PART_MAX).collect())),
        }
    }

    /// Whether `text` may be a user's or an index's own name: no control character, no space, and of
    /// ASCII's symbols only `-`, `.`, `@` and `_` (devpi's rule). `.` and `..` are refused as well.
    #[must_use]
    pub fn is_part(text: &str) -> bool {
        let allowed = |character: char| {
            if character.is_ascii() {
                character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '@' | '_')
            } else {
                !character.is_control() && !character.is_whitespace()
            }
        };
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !text.is_empty()
            && text.len() <= PART_MAX
            && text != "."
            && text != ".."
            && (text.bytes().all(is_usual) || text.chars().all(allowed))
    }

    /// The part before the slash.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.split_once('/').map_or("", |(user, _)| user)
    }

    /// The part after the slash.
    #[must_use]
    pub fn index(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, index)| index)
    }

    /// `user/index`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IndexName {
    type Err = InvalidIndexName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Borrow<str> for IndexName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for IndexName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IndexName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_around_are_accepted_and_dropped() {
        for text in ["root/pypi", "/root/pypi", "root/pypi/", "/root/pypi/"] {
            assert_eq!(IndexName::parse(text).unwrap().as_str(), "root/pypi");
        }
        let name = IndexName::parse("me@x.org/ünï").unwrap();
        assert_eq!((name.user(), name.index()), ("me@x.org", "ünï"));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in [
            "", "root", "a/b/c", "a//b", "../x", "a/..", "a b/c", "a+/c", "a/b\n", "//",
        ] {
            assert!(IndexName::parse(text).is_err(), "{text:?}");
        }
    }
}
