//! Names that are one slip of a finger away from others.
//!
//! Two names are alike if one insertion, deletion, exchange or transposition makes one of the other. Both
//! then have a spelling in common among themselves and what is left of them without one character; so such
//! spellings are kept, sorted by a hash, and of a million names each is compared with the few that share one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::model::project::ProjectName;

/// Shorter names have too many neighbours that mean something else.
const LENGTH_MIN: usize = 4;

/// Names, prepared to be compared with others.
#[derive(Debug, Clone, Default)]
pub struct Likenesses {
    names: Vec<ProjectName>,
    /// The hash of a spelling, and the position of the name that it is of; ascending.
    spellings: Vec<(u64, u32)>,
}

impl Likenesses {
    /// Prepares names.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = ProjectName>) -> Self {
        let mut names: Vec<ProjectName> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let long = (0_u32..).zip(&names);
        let long = long.filter(|(_, name)| name.as_str().len() >= LENGTH_MIN);
        let spellings = long.flat_map(|(at, name)| spellings(name).map(move |hash| (hash, at)));
        let mut spellings: Vec<(u64, u32)> = spellings.collect();
        spellings.sort_unstable();
        spellings.dedup();
        Self { names, spellings }
    }

    /// The first of the names that this one is like; none if it is one of them.
    #[must_use]
    pub fn like(&self, name: &ProjectName) -> Option<&ProjectName> {
        if self.names.binary_search(name).is_ok() {
            return None;
        }
        let sharing = spellings(name).flat_map(|hash| {
            let begin = self.spellings.partition_point(|(known, _)| *known < hash);
            let rest = self.spellings[begin..].iter();
            rest.take_while(move |(known, _)| *known == hash)
        });
        let alike = sharing.map(|(_, at)| &self.names[*at as usize]);
        alike
            .filter(|known| is_one_edit(known.as_str(), name.as_str()))
            .min()
    }

    /// Whether one text is a slip away from another.
    #[must_use]
    pub fn is_slip(one: &str, other: &str) -> bool {
        is_one_edit(one, other)
    }
}

/// The hashes of a name and of what is left of it without one character. They have fixed keys and no meaning:
/// names that share one are compared.
fn spellings(name: &ProjectName) -> impl Iterator<Item = u64> {
    let text = name.as_str().as_bytes();
    let without = (0..text.len()).map(move |at| hash(&text[..at], &text[at + 1..]));
    std::iter::once(hash(text, &[])).chain(without)
}

fn hash(first: &[u8], second: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for byte in first.iter().chain(second) {
        byte.hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether one insertion, deletion, exchange or transposition of neighbours makes one text of the other.
fn is_one_edit(one: &str, other: &str) -> bool {
    let (long, short) = match one.len() >= other.len() {
        true => (one.as_bytes(), other.as_bytes()),
        false => (other.as_bytes(), one.as_bytes()),
    };
    let same = long
        .iter()
        .zip(short)
        .take_while(|(left, right)| left == right);
    let at = same.count();
    let (long, short) = (&long[at..], &short[at..]);
    match (long, short) {
        ([], _) => false,
        ([_, rest @ ..], short) if long.len() == short.len() + 1 => rest == short,
        ([first, second, rest @ ..], [other, another, end @ ..])
            if (first, second) == (another, other) && rest == end =>
        {
            true
        }
        ([_, rest @ ..], [_, end @ ..]) => rest == end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ProjectName {
        ProjectName::parse(text).unwrap()
    }

    #[test]
    fn one_slip_makes_a_name_alike() {
        let known = Likenesses::of(["requests", "acme-core", "numpy", "six"].map(name));
        let table = [
            ("request", Some("requests")),
            ("requestss", Some("requests")),
            ("reqeusts", Some("requests")),
            ("requezts", Some("requests")),
            ("Acme_Coer", Some("acme-core")),
            ("acmecore", Some("acme-core")),
            ("nunpy", Some("numpy")),
            ("requests", None),
            ("reqests2", None),
            ("nmupi", None),
            // Too short to tell.
            ("sixx", None),
            ("sax", None),
        ];
        for (text, expected) in table {
            let found = known.like(&name(text)).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(Likenesses::default().like(&name("numpy")), None);
    }

    /// By the definition: every text that one edit makes.
    fn edits(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        for at in 0..=text.len() {
            let (head, tail) = text.split_at(at);
            for letter in ["a", "b", "c"] {
                all.push(format!("{head}{letter}{tail}"));
                if !tail.is_empty() {
                    all.push(format!("{head}{letter}{}", &tail[1..]));
                }
            }
            if !tail.is_empty() {
                all.push(format!("{head}{}", &tail[1..]));
            }
            if tail.len() > 1 {
                all.push(format!("{head}{}{}{}", &tail[1..2], &tail[..1], &tail[2..]));
            }
        }
        all.retain(|edit| edit != text);
        all
    }

    proptest! {
        #[test]
        fn what_is_alike_is_one_edit_away(one in "[abc]{4,7}", other in "[abc]{3,8}") {
            let known = Likenesses::of([name(&one)]);
            let expected = edits(&one).contains(&other);
            prop_assert_eq!(known.like(&name(&other)).is_some(), expected);
        }
    }
}
