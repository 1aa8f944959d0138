//! What remains of the files of a merged page once each was decided on, and until when that is valid.
//!
//! The decision itself is passed in: `policy` makes it for the page, the file and the sidecar alike.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{CoreMetadata, File, Kind, Timestamp, Version, Yanked};
use crate::page::layers::Entry;

/// What a page does with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It is listed as it is.
    List,
    /// It is not listed.
    Hide,
    /// It is listed as yanked for this reason, and refused when asked for (docs/protocol/simple-api.md §8).
    ListAsYanked(Arc<str>),
}

/// A ruling and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What is done with the file.
    pub ruling: Ruling,
    /// When time alone changes the ruling; `None` if it never does.
    pub next_change: Option<Timestamp>,
}

/// Files of a page as they are shown.
#[derive(Debug, Clone)]
pub struct Filtered<'a> {
    /// The files listed, in the order of the stack.
    pub files: Vec<Listed<'a>>,
    /// How many files are not listed.
    pub hidden: usize,
    /// When they would change without any source changing; they are to be filtered again then.
    pub next_change: Option<Timestamp>,
}

/// A file on a page.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The file, as its index has it.
    pub file: &'a File,
    /// Whether it is shown as yanked, which may be by policy.
    pub yanked: Yanked,
    /// Whether a sidecar is announced. It is for every wheel, since one can be read from the wheel
    /// itself, and for anything else for which the index announces one, unless it was found to be
    /// unavailable; a caller who cannot serve it says no.
    pub sidecar: bool,
}

/// Asks for a ruling on each file, in order.
pub fn filter<'a>(
    entries: &[Entry<'a>],
    decide: &mut dyn FnMut(&Entry<'a>) -> Decided,
) -> Filtered<'a> {
    let mut filtered = Filtered {
        files: Vec::with_capacity(entries.len()),
        hidden: 0,
        next_change: None,
    };
    for entry in entries {
        let decided = decide(entry);
        filtered.next_change = earlier(filtered.next_change, decided.next_change);
        let yanked = match decided.ruling {
            Ruling::List => entry.file.yanked.clone(),
            Ruling::ListAsYanked(reason) => Yanked::Yes(Some(reason)),
            Ruling::Hide => {
                filtered.hidden += 1;
                continue;
            }
        };
        filtered.files.push(Listed {
            file: entry.file,
            yanked,
            sidecar: has_sidecar(entry.file),
        });
    }
    filtered
}

impl Filtered<'_> {
    /// The versions of the listed files, each once, in the order of the files.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        // Parsing is expensive, and files of one version are mostly adjacent and spelled alike.
        let mut texts = HashSet::new();
        let mut versions = Vec::new();
        let mut seen = HashSet::new();
        for listed in &self.files {
            let text = listed.file.filename.version_text();
            if texts.insert(text) {
                let version = Version::parse(text).normalised();
                if seen.insert(version.clone()) {
                    versions.push(version);
                }
            }
        }
        versions
    }
}

/// Whether a sidecar is listed for a file, and so has to be served.
#[must_use]
pub fn has_sidecar(file: &File) -> bool {
    match file.core_metadata {
        CoreMetadata::Absent => file.filename.kind() == Kind::Wheel,
        CoreMetadata::Present | CoreMetadata::Hashed(_) => true,
        CoreMetadata::Unobtainable => false,
    }
}

fn earlier(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::merge::{Merged, merge};
    use crate::page::samples;

    fn merged(names: &[&str]) -> Merged {
        let page = samples::page("six", names);
        merge(page.project.clone(), vec![(3, Arc::new(page))])
    }

    fn second(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn rulings_are_carried_out_in_order() {
        let merged = merged(&[
            "six-1.zip",
            "six-2.0.zip",
            "six-2.0-py3-none-any.whl",
            "six-3.zip",
        ]);
        let entries: Vec<_> = merged.entries().collect();
        let filtered = filter(&entries, &mut |entry| match entry.file.filename.as_str() {
            "six-1.zip" => Decided {
                ruling: Ruling::Hide,
                next_change: second(50),
            },
            "six-2.0.zip" => Decided {
                ruling: Ruling::ListAsYanked("cool-down".into()),
                next_change: second(20),
            },
            "six-3.zip" => Decided {
                ruling: Ruling::List,
                next_change: second(30),
            },
            _ => Decided {
                ruling: Ruling::List,
                next_change: None,
            },
        });
        let shown: Vec<_> = filtered
            .files
            .iter()
            .map(|one| {
                (
                    one.file.filename.as_str(),
                    one.yanked.is_yanked(),
                    one.sidecar,
                )
            })
            .collect();
        let expected = [
            ("six-2.0.zip", true, false),
            ("six-2.0-py3-none-any.whl", false, true),
            ("six-3.zip", false, false),
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            filtered.files[0].yanked,
            Yanked::Yes(Some("cool-down".into()))
        );
        assert_eq!((filtered.hidden, filtered.next_change), (1, second(20)));
        assert_eq!(filtered.versions(), ["2.0", "3"]);
    }

    #[test]
    fn versions_are_those_of_listed_files_in_their_normal_spelling() {
        let names = [
            "six-1.0-alpha.1.zip",
            "six-1.0a1.tar.gz",
            "six-2004d.zip",
            "six-9.zip",
        ];
        let mut page = samples::page("six", &names);
        page.versions = vec![Version::parse("8")];
        let merged = merge(page.project.clone(), vec![(0, Arc::new(page))]);
        let entries: Vec<_> = merged.entries().collect();
        let filtered = filter(&entries, &mut |entry| Decided {
            ruling: if entry.file.filename.as_str() == "six-9.zip" {
                Ruling::Hide
            } else {
                Ruling::List
            },
            next_change: None,
        });
        assert_eq!(filtered.versions(), ["1.0a1", "2004d"]);
    }

    #[test]
    fn a_sidecar_is_announced_where_the_index_does_or_a_wheel_may_hold_it() {
        let (sdist, wheel) = ("six-1.zip", "six-1-py3-none-any.whl");
        for (name, metadata, expected) in [
            (sdist, CoreMetadata::Present, true),
            (sdist, CoreMetadata::Absent, false),
            (wheel, CoreMetadata::Absent, true),
            (wheel, CoreMetadata::Unobtainable, false),
        ] {
            let mut page = samples::page("six", &[name]);
            page.files[0].core_metadata = metadata;
            let merged = merge(page.project.clone(), vec![(0, Arc::new(page))]);
            let entries: Vec<_> = merged.entries().collect();
            let filtered = filter(&entries, &mut |_| Decided {
                ruling: Ruling::List,
                next_change: None,
            });
            assert_eq!(filtered.files[0].sidecar, expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn filtering_keeps_the_order_and_invents_nothing(rulings in prop::collection::vec(0..3_u8, 0..12)) {
            let names: Vec<String> = (0..rulings.len()).map(|n| format!("six-{n}.zip")).collect();
            let merged = merged(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let entries: Vec<_> = merged.entries().collect();
            let mut left = rulings.iter();
            let filtered = filter(&entries, &mut |_| Decided {
                ruling: match left.next() {
                    Some(0) => Ruling::Hide,
                    Some(1) => Ruling::ListAsYanked("no".into()),
                    _ => Ruling::List,
                },
                next_change: None,
            });
            let expected = names.iter().zip(&rulings).filter(|(_, ruling)| **ruling != 0);
            let shown = filtered.files.iter().map(|one| (one.file.filename.as_str(), one.yanked.is_yanked()));
            prop_assert!(shown.eq(expected.map(|(name, ruling)| (name.as_str(), *ruling == 1))));
            prop_assert_eq!(filtered.hidden + filtered.files.len(), names.len());
        }
    }
}
