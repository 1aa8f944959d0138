//! A page in stretches: some files in a row, decided on and written apart from the others.
//!
//! Where a stretch begins depends on the names of the files alone, not on how many stand before them. So
//! the boundaries stay where they are when a file is added or removed elsewhere, and of a long page only
//! the stretch around a change is written again ([`Stretch::is_still`]). A stretch knows its whole
//! origin, which is compared rather than hashed: what a page shows must never rest on a collision.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::model::{File, ProjectState, Sha256, Timestamp};
use crate::page::filter::{Decided, filter};
use crate::page::layers::Entry;
use crate::page::links::FileLinks;
use crate::page::merge::Heading;
use crate::page::project_page::file_weight;
use crate::page::sniff::Markup;
use crate::page::{render_html, render_json};

/// Typical length of an entry in bytes, so that a stretch takes one allocation.
const FILE_BYTES: usize = 640;

/// How long stretches are, in files. A page of `most` files or fewer is one stretch.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// The shortest, except at the end of a page. Compression loses what it does not know of the text
    /// before, so a stretch has to be long enough for that not to matter.
    pub least: usize,
    /// Of the names after that, one in so many begins a stretch.
    pub one_in: u64,
    /// The longest, which bounds what a change costs whatever the names are.
    pub most: usize,
}

impl Cut {
    /// Some 128 files: a hundred kilobytes, about a millisecond of compression.
    pub const OF_PAGES: Self = Self {
        least: 64,
        one_in: 64,
        most: 256,
    };

    /// Cuts the files of a page.
    #[must_use]
    pub fn cut<'e, 'a>(&self, mut entries: &'e [Entry<'a>]) -> Vec<&'e [Entry<'a>]> {
        let mut stretches = Vec::new();
        if entries.len() <= self.most {
            stretches.extend((!entries.is_empty()).then_some(entries));
            return stretches;
        }
        while !entries.is_empty() {
            let most = self.most.min(entries.len());
            let mut next = self.least.min(most)..most;
            let begins = next.find(|at| self.begins(&entries[*at]));
            let (stretch, rest) = entries.split_at(begins.unwrap_or(most));
            stretches.push(stretch);
            entries = rest;
        }
        stretches
    }

    /// The hash has fixed keys: a page is cut alike by every process of one build. Whoever chooses names
    /// by it gets stretches of the shortest or the longest kind.
    fn begins(&self, entry: &Entry<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        entry.file.filename.as_str().hash(&mut hasher);
        hasher.finish().is_multiple_of(self.one_in)
    }
}

/// Writes pages in one markup, with the links of one form of URL.
#[derive(Debug, Clone)]
pub struct PageWriter {
    markup: Markup,
    links: FileLinks,
}

/// What stands around the files of a page, and around the versions that follow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Before the files.
    pub head: Vec<u8>,
    /// Between two stretches, and between the versions of two stretches.
    pub separator: &'static [u8],
    /// After the files.
    pub middle: Vec<u8>,
    /// After the versions.
    pub tail: &'static [u8],
}

/// Some files of a page in a row, as they are shown, and what that was made of.
#[derive(Debug)]
pub struct Stretch {
    origin: Vec<(usize, ProjectState, File)>,
    made_at: Timestamp,
    next_change: Option<Timestamp>,
    text: Vec<u8>,
    files: Vec<Sha256>,
    versions: Vec<String>,
}

impl PageWriter {
    /// For pages in this markup with these links.
    #[must_use]
    pub fn new(markup: Markup, links: FileLinks) -> Self {
        Self { markup, links }
    }

    /// What stands around the files.
    #[must_use]
    pub fn frame(&self, heading: &Heading<'_>) -> Frame {
        match self.markup {
            Markup::Json => render_json::frame(heading),
            Markup::Html => render_html::frame(heading),
        }
    }

    /// Decides on these files as of `now` and writes those that are listed.
    pub fn stretch<'a>(
        &self,
        entries: &[Entry<'a>],
        decide: &mut dyn FnMut(&Entry<'a>) -> Decided,
        now: Timestamp,
    ) -> Stretch {
        let filtered = filter(entries, decide);
        let mut text = Vec::with_capacity(filtered.files.len() * FILE_BYTES);
        let mut files = Vec::with_capacity(filtered.files.len());
        for listed in &filtered.files {
            if !files.is_empty() {
                text.extend_from_slice(self.separator());
            }
            let from = text.len();
            match self.markup {
                Markup::Json => render_json::write_file(&mut text, listed, &self.links),
                Markup::Html => render_html::write_file(&mut text, listed, &self.links),
            }
            files.push(Sha256::of(&text[from..]));
        }
        text.shrink_to_fit();
        let versions = match self.markup {
            Markup::Json => filtered.versions(),
            Markup::Html => Vec::new(),
        };
        let origin = entries
            .iter()
            .map(|entry| (entry.member, entry.state, entry.file.clone()));
        Stretch {
            origin: origin.collect(),
            made_at: now,
            next_change: filtered.next_change,
            text,
            files,
            versions,
        }
    }

    fn separator(&self) -> &'static [u8] {
        match self.markup {
            Markup::Json => render_json::SEPARATOR,
            Markup::Html => b"",
        }
    }

    /// The versions of each stretch that none before it has, as a text.
    ///
    /// A version is left out if all of its files are hidden, since resolvers may take this list as a
    /// shortcut, or if it never had a file (docs/protocol/simple-api.md §4.2, §14).
    pub fn versions<'a>(&self, stretches: impl Iterator<Item = &'a Stretch>) -> Vec<Vec<u8>> {
        let mut seen: HashSet<&str> = HashSet::new();
        let texts = stretches.map(|stretch| {
            let versions = stretch.versions.iter().map(String::as_str);
            render_json::versions(versions.filter(|version| seen.insert(version)))
        });
        texts.collect()
    }
}

impl Stretch {
    /// The name of its first file, by which it is found again.
    #[must_use]
    pub fn first_name(&self) -> Option<&str> {
        let first = self.origin.first();
        first.map(|(_, _, file)| file.filename.as_str())
    }

    /// Whether it is what would be written of these files now, by the same rules.
    #[must_use]
    pub fn is_still(&self, entries: &[Entry<'_>], now: Timestamp) -> bool {
        let holds = self.made_at <= now && self.next_change.is_none_or(|change| now < change);
        let same = |((member, state, file), entry): (&(usize, ProjectState, File), &Entry<'_>)| {
            *member == entry.member && *state == entry.state && file == entry.file
        };
        holds && self.origin.len() == entries.len() && self.origin.iter().zip(entries).all(same)
    }

    /// The files that are listed, without what separates them from others.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The digest of each file's text, in order. They do not depend on where the page was cut.
    #[must_use]
    pub fn files(&self) -> &[Sha256] {
        &self.files
    }

    /// When time alone changes it.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        self.next_change
    }

    /// Roughly how many bytes it takes. What its files share with their page is counted here too: the
    /// page may be gone.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let files = self.origin.iter().map(|(_, _, file)| file_weight(file));
        let versions = self.versions.iter().map(String::capacity);
        let spelled = self.versions.capacity() * size_of::<String>() + versions.sum::<usize>();
        let digests = self.files.len() * size_of::<Sha256>();
        size_of::<Self>() + files.sum::<usize>() + self.text.len() + digests + spelled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::page::merge::{Merged, merge};
    use crate::page::samples;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("six-{at}.zip")).collect()
    }

    fn merged(names: &[String]) -> Merged {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let page = samples::page("six", &names);
        merge(page.project.clone(), vec![(0, Arc::new(page))])
    }

    /// The names of each stretch.
    fn cut(names: &[String]) -> Vec<Vec<String>> {
        let merged = merged(names);
        let entries: Vec<_> = merged.entries().collect();
        let stretches = Cut::OF_PAGES.cut(&entries).into_iter();
        let names = stretches.map(|stretch| {
            let names = stretch.iter().map(|entry| entry.file.filename.as_str());
            names.map(str::to_owned).collect()
        });
        names.collect()
    }

    #[test]
    fn stretches_are_the_page_in_order_and_neither_short_nor_long() {
        let Cut { least, most, .. } = Cut::OF_PAGES;
        assert_eq!(cut(&[]), Vec::<Vec<String>>::new());
        assert_eq!(cut(&names(most)).len(), 1);
        let count = cut(&names(10_000)).len();
        assert!((60..100).contains(&count), "{count} of about 128 files");
        for count in [most + 1, 3_000, 10_000] {
            let stretches = cut(&names(count));
            assert_eq!(stretches.concat(), names(count));
            let (last, others) = stretches.split_last().unwrap();
            assert!(last.len() <= most);
            assert!(
                others
                    .iter()
                    .all(|stretch| (least..=most).contains(&stretch.len()))
            );
        }
    }

    #[test]
    fn a_file_more_moves_only_the_boundaries_near_it() {
        let names = names(3_000);
        let before: HashSet<Vec<String>> = cut(&names).into_iter().collect();
        let positions = (0..=names.len()).step_by(97);
        let changed = positions.map(|at| {
            let mut more = names.clone();
            more.insert(at, "six-1.dev1.zip".to_owned());
            let after = cut(&more).into_iter();
            after.filter(|stretch| !before.contains(stretch)).count()
        });
        let changed: Vec<usize> = changed.collect();
        assert!(
            changed.iter().all(|count| (1..=4).contains(count)),
            "{changed:?}"
        );
        let sum: usize = changed.iter().sum();
        assert!(sum < 2 * changed.len(), "{changed:?}");
    }
}
