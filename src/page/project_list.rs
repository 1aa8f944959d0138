//! The names of an index's projects, held as one text.
//!
//! An upstream has most of a million of them. As values of their own they would take a hundred
//! megabytes and a million allocations; as one sorted text with offsets they take fifteen, a name is
//! found by halving, and the text is also the stored form.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::model::ProjectName;

/// Most bytes of names: what 32-bit offsets reach, some forty times the largest index.
const TEXT_BYTES_MAX: usize = 512 << 20;

/// Sorted, normalised, unique project names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProjectNames {
    /// Every name followed by a line feed.
    text: String,
    /// Where each name starts.
    starts: Vec<u32>,
}

/// Why a text is not a stored list of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProjectList {
    /// A line is no normalised name, stands before its predecessor, or does not end.
    #[error("line {0} of the project list is damaged")]
    Damaged(usize),
    /// The text is beyond 512 MiB.
    #[error("project list is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
}

impl ProjectNames {
    /// Reads the stored form: one name a line, sorted.
    ///
    /// # Errors
    /// When the text is not what [`ProjectNames::as_text`] gave.
    pub fn from_text(text: String) -> Result<Self, InvalidProjectList> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidProjectList::TooLong);
        }
        let mut starts = Vec::new();
        let mut before = "";
        for line in text.split_inclusive('\n') {
            let name = line
                .strip_suffix('\n')
                .filter(|name| *name > before && is_normalised(name));
            before = name.ok_or(InvalidProjectList::Damaged(starts.len() + 1))?;
            starts.push(offset(before.as_ptr() as usize - text.as_ptr() as usize));
        }
        Ok(Self { text, starts })
    }

    /// The stored form.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// How many names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.starts.len()).map(|at| self.name(at))
    }

    /// Whether the list has a project of this normalised name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let found = self
            .starts
            .binary_search_by(|&start| name_at(&self.text, start).cmp(name));
        found.is_ok()
    }

    /// The lists of a stack as one. A name is taken when `keep` says so of one of the lists that have
    /// it, asked with the position of the list, in order, until the first yes.
    #[must_use]
    pub fn merge(lists: &[&Self], keep: &mut dyn FnMut(usize, &str) -> bool) -> Self {
        let mut merged = Self::default();
        let mut at = vec![0; lists.len()];
        let next = |list: usize, at: &[usize]| {
            (at[list] < lists[list].len()).then(|| lists[list].name(at[list]))
        };
        // Stacks have a handful of members: comparing their heads beats a heap.
        while let Some(name) = (0..lists.len()).filter_map(|list| next(list, &at)).min() {
            let mut is_kept = false;
            for list in 0..lists.len() {
                if next(list, &at) == Some(name) {
                    is_kept = is_kept || keep(list, name);
                    at[list] += 1;
                }
            }
            if is_kept && merged.text.len() < TEXT_BYTES_MAX {
                merged.push(name);
            }
        }
        merged
    }

    fn name(&self, at: usize) -> &str {
        name_at(&self.text, self.starts[at])
    }

    /// Adds a name that comes after all others.
    fn push(&mut self, name: &str) {
        self.starts.push(offset(self.text.len()));
        self.text.push_str(name);
        self.text.push('\n');
    }
}

impl std::fmt::Debug for ProjectNames {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(self.iter().take(20))
            .finish_non_exhaustive()
    }
}

impl<'a> FromIterator<&'a ProjectName> for ProjectNames {
    fn from_iter<I: IntoIterator<Item = &'a ProjectName>>(names: I) -> Self {
        let mut builder = ProjectNamesBuilder::default();
        for name in names {
            builder.push(name);
        }
        builder.finish()
    }
}

/// Takes names in any order, and each once, however often it comes.
#[derive(Debug, Default)]
pub struct ProjectNamesBuilder {
    names: ProjectNames,
    /// `None` as long as the names come sorted, so that none can have come before.
    seen: Option<NamesSeen>,
}

impl ProjectNamesBuilder {
    /// Adds a name; beyond 512 MiB of names nothing is added any more.
    pub fn push(&mut self, project: &ProjectName) {
        let start = self.names.text.len();
        if start < TEXT_BYTES_MAX {
            self.names.text.push_str(project.as_str());
            self.end_name(start);
        }
    }

    /// Adds a name in any spelling; what is no project name is left out.
    pub(super) fn push_spelled(&mut self, name: &str) {
        let text = &mut self.names.text;
        let start = text.len();
        if start < TEXT_BYTES_MAX && ProjectName::normalise_into(name, text) {
            self.end_name(start);
        }
    }

    /// The names that were added behind so many bytes, as they came: each followed by a line feed.
    #[must_use]
    pub(super) fn text_from(&self, at: usize) -> &str {
        &self.names.text[at..]
    }

    /// How many names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The list.
    #[must_use]
    pub fn finish(self) -> ProjectNames {
        let Self { mut names, seen } = self;
        if seen.is_none() {
            return names;
        }
        // The line feed behind a name is less than anything within one, and no two are the same, so their
        // ends need not be looked for.
        let text = names.text.as_bytes();
        names
            .starts
            .sort_unstable_by(|&left, &right| text[left as usize..].cmp(&text[right as usize..]));
        let mut sorted = ProjectNames {
            text: String::with_capacity(names.text.len()),
            starts: Vec::with_capacity(names.starts.len()),
        };
        for &start in &names.starts {
            sorted.push(name_at(&names.text, start));
        }
        sorted
    }

    /// Ends the name that stands last in the text, and takes it away if it came before.
    fn end_name(&mut self, start: usize) {
        let names = &mut self.names;
        let before = names.starts.last();
        let is_sorted =
            before.is_none_or(|&before| name_at(&names.text, before) < &names.text[start..]);
        names.text.push('\n');
        let at = offset(start);
        let is_new = match &mut self.seen {
            None if is_sorted => true,
            seen => seen
                .get_or_insert_with(|| NamesSeen::of(names))
                .note(&names.text, at),
        };
        if is_new {
            names.starts.push(at);
        } else {
            names.text.truncate(start);
        }
    }
}

/// The names of a text, to be found by what they are.
#[derive(Debug, Default)]
struct NamesSeen {
    places: HashTable<NamePlace>,
    hasher: RandomState,
}

/// Where a name starts, with enough of its hash that a larger table can be made without the text.
#[derive(Debug)]
struct NamePlace {
    hash: u32,
    start: u32,
}

impl NamePlace {
    /// Spread over the bits by which a table finds it.
    fn spread(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl NamesSeen {
    fn of(names: &ProjectNames) -> Self {
        let mut seen = Self::default();
        for &start in &names.starts {
            seen.note(&names.text, start);
        }
        seen
    }

    /// Notes the name that starts there, and tells whether it is new.
    fn note(&mut self, text: &str, start: u32) -> bool {
        let name = name_at(text, start);
        let hash = self.hasher.hash_one(name);
        let place = NamePlace {
            hash: u32::try_from(hash >> 32).unwrap_or_default(),
            start,
        };
        let is_same =
            |other: &NamePlace| other.hash == place.hash && name_at(text, other.start) == name;
        match self
            .places
            .entry(place.spread(), is_same, NamePlace::spread)
        {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(place);
                true
            }
        }
    }
}

fn name_at(text: &str, start: u32) -> &str {
    let rest = &text[start as usize..];
    rest.split_once('\n').map_or(rest, |(name, _)| name)
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("texts are kept far below four gigabytes")
}

/// Whether [`ProjectName`] would spell it so; asked of a million names, so without making one.
fn is_normalised(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    bytes.len() <= 255
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(inside)
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ProjectName {
        ProjectName::parse(text).unwrap()
    }

    fn names(texts: &[&str]) -> ProjectNames {
        let parsed: Vec<_> = texts.iter().map(|text| name(text)).collect();
        parsed.iter().collect()
    }

    #[test]
    fn names_are_sorted_unique_and_found() {
        let list = names(&["six", "Flask", "a-b", "a", "six", "a_b"]);
        assert_eq!(list.as_text(), "a\na-b\nflask\nsix\n");
        assert_eq!(
            list.iter().collect::<Vec<_>>(),
            ["a", "a-b", "flask", "six"]
        );
        for (text, has) in [
            ("a", true),
            ("six", true),
            ("b", false),
            ("a-", false),
            ("zzz", false),
        ] {
            let found =
                ProjectName::parse(text).is_ok_and(|project| list.contains(project.as_str()));
            assert_eq!(found, has, "{text}");
        }
        assert!(!ProjectNames::default().contains("a"));
    }

    #[test]
    fn a_damaged_text_is_refused_with_its_line() {
        for (text, line) in [
            ("a\nb", 2),
            ("b\na\n", 2),
            ("a\na\n", 2),
            ("\n", 1),
            ("A\n", 1),
            ("a\nb--c\n", 2),
            ("a-\n", 1),
        ] {
            let read = ProjectNames::from_text(text.to_owned());
            assert_eq!(read, Err(InvalidProjectList::Damaged(line)), "{text:?}");
        }
        assert_eq!(ProjectNames::from_text(String::new()).unwrap().len(), 0);
    }

    #[test]
    fn lists_are_merged_and_each_list_answers_for_its_own_names() {
        let stage = names(&["acme", "six"]);
        let mirror = names(&["acme", "acme-evil", "flask", "six"]);
        let mut asked = Vec::new();
        let merged = ProjectNames::merge(&[&stage, &mirror], &mut |list, name| {
            asked.push((list, name.to_owned()));
            list == 0 || !name.starts_with("acme")
        });
        assert_eq!(merged.as_text(), "acme\nflask\nsix\n");
        let expected = [(0, "acme"), (1, "acme-evil"), (1, "flask"), (0, "six")];
        assert_eq!(asked, expected.map(|(list, name)| (list, name.to_owned())));
    }

    proptest! {
        #[test]
        fn a_list_is_a_set_that_survives_its_text(
            lists in prop::collection::vec(prop::collection::vec("[a-c]{1,2}(-[a-c])?", 0..12), 0..4),
        ) {
            let sets: Vec<ProjectNames> = lists
                .iter()
                .map(|list| list.iter().map(|text| name(text)).collect::<Vec<_>>())
                .map(|list| list.iter().collect())
                .collect();
            for set in &sets {
                prop_assert_eq!(&ProjectNames::from_text(set.as_text().to_owned()).unwrap(), set);
            }
            let union: BTreeSet<&str> = lists.iter().flatten().map(String::as_str).collect();
            let merged = ProjectNames::merge(&sets.iter().collect::<Vec<_>>(), &mut |_, _| true);
            prop_assert!(merged.iter().eq(union.iter().copied()));
            prop_assert!(union.iter().all(|text| merged.contains(text)));
        }

        #[test]
        fn each_name_stands_where_it_first_came(
            list in prop::collection::vec("[a-cA-C]{1,2}([._-]{1,2}[a-cA-C])?", 0..30),
        ) {
            let mut builder = ProjectNamesBuilder::default();
            let mut first: Vec<ProjectName> = Vec::new();
            for text in &list {
                builder.push_spelled(text);
                if !first.contains(&name(text)) {
                    first.push(name(text));
                }
            }
            prop_assert_eq!(builder.len(), first.len());
            prop_assert!(builder.text_from(0).lines().eq(first.iter().map(ProjectName::as_str)));
            let sorted: BTreeSet<&str> = first.iter().map(ProjectName::as_str).collect();
            prop_assert!(builder.finish().iter().eq(sorted));
        }

        #[test]
        fn normalised_means_what_project_name_means(text in "[a-cA-C._-]{0,5}") {
            let spelled = ProjectName::parse(&text).is_ok_and(|project| project.is_spelled(&text));
            prop_assert_eq!(is_normalised(&text), spelled);
        }
    }
}
