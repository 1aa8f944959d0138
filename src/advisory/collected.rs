//! Advisories as they are kept: compactly, by project, with the place of each original document.
//!
//! A few hundred thousand of them have to fit beside everything else, so an entry is a few short texts: the
//! versions are parsed when its project is asked about, and the document itself stays on the disk.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::advisory::affected::Affects;
use crate::advisory::osv::{ECOSYSTEM, Entry, entries};
use crate::model::{ProjectName, Timestamp, Version, VersionMatch};

/// Prefix of the ids of malicious packages.
const MALWARE_PREFIX: &str = "MAL-";

/// Stands between an id and its aliases.
const BETWEEN: char = '\n';

/// Where the original of an advisory is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Position of its first byte in the file.
    pub offset: u64,
    /// Its length there.
    pub packed: u32,
    /// Its length when it is unpacked; 0 if it is not packed.
    pub unpacked: u32,
    /// Which of the files it is in.
    pub file: u32,
}

/// One OSV document about Python.
#[derive(Debug)]
struct Document {
    /// The id, then the aliases.
    names: Box<str>,
    modified: Option<Timestamp>,
    place: Place,
}

/// What a document says about one project.
#[derive(Debug, Clone)]
struct Concern {
    document: u32,
    /// As [`Affects::to_text`] writes it.
    affects: Arc<str>,
}

/// The advisories of one file, folder or feed.
#[derive(Debug, Default)]
pub struct Advisories {
    files: Vec<PathBuf>,
    /// By id.
    documents: Vec<Document>,
    by_project: HashMap<ProjectName, Box<[Concern]>>,
}

/// Advisories on their way into memory.
#[derive(Debug, Default)]
pub struct Collector {
    files: Vec<PathBuf>,
    documents: Vec<Document>,
    by_project: HashMap<ProjectName, Vec<Concern>>,
    /// Many advisories concern the same versions.
    texts: HashSet<Arc<str>>,
}

impl Collector {
    /// Notes that what is read from now on is in this file; returns its number.
    pub fn begin(&mut self, file: &Path) -> u32 {
        self.files.push(file.to_owned());
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Adds the entries of one document that concern Python; with an error nothing is added. `place` is
    /// where the text stands.
    ///
    /// # Errors
    /// It is not an OSV document.
    pub fn read(&mut self, text: &str, place: Place) -> Result<(), serde_json::Error> {
        for (entry, range) in entries(text)? {
            let is_packed = place.unpacked > 0;
            let own = Place {
                offset: place.offset + range.start as u64,
                packed: u32::try_from(range.len()).unwrap_or(u32::MAX),
                ..place
            };
            self.add(entry, if is_packed { place } else { own });
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry, place: Place) {
        if entry.withdrawn.is_some() {
            return;
        }
        let document = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        let mut is_about_python = false;
        for affected in entry.affected.unwrap_or_default() {
            let Some(package) = affected.package else {
                continue;
            };
            if !package.ecosystem.eq_ignore_ascii_case(ECOSYSTEM) {
                continue;
            }
            let Ok(project) = ProjectName::parse(&package.name) else {
                continue;
            };
            let affects = Affects::of(affected.versions, affected.ranges).to_text();
            let affects = self.interned(affects);
            let concerns = self.by_project.entry(project).or_default();
            concerns.push(Concern { document, affects });
            is_about_python = true;
        }
        if is_about_python {
            let mut names = entry.id;
            for alias in entry.aliases.unwrap_or_default() {
                names.push(BETWEEN);
                names.push_str(&alias);
            }
            self.documents.push(Document {
                names: names.into(),
                modified: entry.modified,
                place,
            });
        }
    }

    fn interned(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(text.as_str()) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    /// What was read.
    #[must_use]
    pub fn finish(self) -> Advisories {
        let Self {
            files,
            mut documents,
            by_project,
            ..
        } = self;
        // Sorted by id, so that one is found; concerns know the former positions.
        let mut order: Vec<u32> = (0..u32::try_from(documents.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by(|one, other| {
            let id = |number: &u32| documents[*number as usize].id();
            id(one).cmp(id(other))
        });
        let mut now_at = vec![0; order.len()];
        for (position, before) in (0_u32..).zip(&order) {
            now_at[*before as usize] = position;
        }
        documents.sort_by(|one, other| one.id().cmp(other.id()));
        let renumbered = |(project, mut concerns): (ProjectName, Vec<Concern>)| {
            for concern in &mut concerns {
                concern.document = now_at[concern.document as usize];
            }
            (project, concerns.into_boxed_slice())
        };
        documents.shrink_to_fit();
        Advisories {
            files,
            documents,
            by_project: by_project.into_iter().map(renumbered).collect(),
        }
    }
}

impl Document {
    fn id(&self) -> &str {
        let mut names = self.names.split(BETWEEN);
        names.next().unwrap_or_default()
    }
}

impl Advisories {
    /// The advisories of one text.
    ///
    /// # Errors
    /// It is not an OSV document.
    pub fn of_text(text: &str) -> Result<Self, serde_json::Error> {
        let mut collector = Collector::default();
        collector.read(text, Place::default())?;
        Ok(collector.finish())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The advisories about a project, whatever its version.
    pub(super) fn about(&self, project: &ProjectName) -> impl Iterator<Item = Advisory> {
        let concerns = self.by_project.get(project);
        let concerns = concerns.map_or(&[][..], |concerns| concerns);
        concerns.iter().map(|concern| {
            let document = &self.documents[concern.document as usize];
            Advisory {
                names: document.names.split(BETWEEN).map(Arc::from).collect(),
                modified: document.modified,
                affects: Affects::from_text(&concern.affects),
            }
        })
    }

    /// The file with the original of an advisory, and its place there.
    #[must_use]
    pub fn original(&self, id: &str) -> Option<(&Path, Place)> {
        let found = self.documents.binary_search_by(|one| one.id().cmp(id));
        let place = self.documents[found.ok()?].place;
        Some((self.files.get(place.file as usize)?, place))
    }
}

/// One advisory about one project.
#[derive(Debug)]
pub struct Advisory {
    /// The id first, then the aliases; never empty.
    names: Vec<Arc<str>>,
    modified: Option<Timestamp>,
    affects: Affects,
}

impl Advisory {
    /// Its id, such as `MAL-2024-1`.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.names[0]
    }

    /// The id, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// When its document was last changed, if it says so.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// Whether it concerns this version.
    #[must_use]
    pub fn affects(&self, version: &Version) -> VersionMatch {
        self.affects.contains(version)
    }

    /// Whether it is about a malicious package.
    #[must_use]
    pub fn is_malware(&self) -> bool {
        self.names
            .iter()
            .any(|name| name.starts_with(MALWARE_PREFIX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Advisories, serde_json::Error> {
        Advisories::of_text(text)
    }

    fn one(affected: &str) -> Advisories {
        read(&format!(
            r#"{{"id": "GHSA-1", "aliases": ["CVE-2024-7"], "affected": [{{
                "package": {{"ecosystem": "PyPI", "name": "Left_Pad"}}, {affected}}}]}}"#
        ))
        .unwrap()
    }

    fn affects(advisories: &Advisories, version: &str) -> VersionMatch {
        let project = ProjectName::parse("left-pad").unwrap();
        let about: Vec<Advisory> = advisories.about(&project).collect();
        assert_eq!(about.len(), 1);
        about[0].affects(&Version::parse(version))
    }

    #[test]
    fn ranges_and_versions_say_what_is_affected() {
        let fixed = r#""ranges": [{"type": "ECOSYSTEM", "events": [
            {"fixed": "1.2"}, {"introduced": "0"}, {"introduced": "2.0"}, {"last_affected": "2.1"}]}]"#;
        let listed = r#""versions": ["1.0", "2004d", "1.0-final-2"]"#;
        let both = r#""versions": ["2004d"], "ranges": [{"type": "ECOSYSTEM", "events": [
            {"introduced": "1"}]}]"#;
        let git =
            r#""ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}], "versions": ["1"]"#;
        let none = r#""versions": []"#;
        use VersionMatch::{No, Unreadable, Yes};
        let table = [
            (fixed, "0.1", Yes),
            (fixed, "2004d", Unreadable),
            (fixed, "1.2rc1", Yes),
            (fixed, "1.2", No),
            (fixed, "1.9", No),
            (fixed, "2.0.0", Yes),
            (fixed, "2.1", Yes),
            (fixed, "2.1.1", No),
            (listed, "1.0.0", Yes),
            (listed, "2004d", Yes),
            (listed, "1.1", No),
            (listed, "2004e", No),
            (listed, "1.0_final_2", Yes),
            (both, "2004d", Yes),
            (both, "2004e", Unreadable),
            (both, "0.9", No),
            (git, "1.0", Yes),
            (git, "2", No),
            (none, "99", Yes),
        ];
        for (affected, version, expected) in table {
            assert_eq!(
                affects(&one(affected), version),
                expected,
                "{affected} {version}"
            );
        }
    }

    #[test]
    fn an_original_is_found_by_its_id_where_it_stands() {
        let text = r#" [{"id": "B-2", "affected": [{"package": {"ecosystem": "PyPI", "name": "b"}}]},
            {"id": "A-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "a"}}]}]"#;
        let mut collector = Collector::default();
        let file = collector.begin(Path::new("osv/all.json"));
        let place = Place {
            file,
            ..Place::default()
        };
        collector.read(text, place).unwrap();
        let advisories = collector.finish();
        let (path, place) = advisories.original("A-1").unwrap();
        assert_eq!(path, Path::new("osv/all.json"));
        let start = usize::try_from(place.offset).unwrap();
        let document = &text[start..start + place.packed as usize];
        assert!(document.starts_with(r#"{"id": "A-1""#) && document.ends_with('}'));
        assert!(advisories.original("A-2").is_none());
        let project = ProjectName::parse("b").unwrap();
        assert_eq!(&**advisories.about(&project).next().unwrap().id(), "B-2");
    }

    #[test]
    fn what_is_no_osv_document_adds_nothing() {
        for text in ["", "{}", "[{\"id\": 1}]", "<html>"] {
            let mut collector = Collector::default();
            assert!(collector.read(text, Place::default()).is_err(), "{text}");
            assert!(collector.finish().is_empty());
        }
    }
}
