//! What an index lets through from mirrors: names, or the exact files that a lock file pins.
//!
//! Lists add up: a project passes if it is on any of them. If only lock files with digests name it, a file
//! passes if one of them pins its sha256. Within one lock file an entry without digests does not widen one
//! that has them.
//!
//! Not to be confused with devpi's `mirror_whitelist` (`sources`), which only says which private
//! names may *also* come from mirrors.

use std::collections::{HashMap, HashSet};

use crate::language::{IndexDocument, Lockfile, NamePattern, Pin};
use crate::model::{Faults, Location, ProjectName, Sha256};
use crate::policy::names::Names;

/// `whitelist` and `whitelist_files` of one index.
#[derive(Debug)]
pub(super) struct Whitelist {
    patterns: Vec<NamePattern>,
    names: Names,
    pinned: HashMap<ProjectName, Pinned>,
    /// Where it is written, or where its first entry is.
    pub(super) location: Location,
}

/// What lock files say of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pinned {
    Any,
    Files(HashSet<Sha256>),
}

/// What passes of one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission<'a> {
    /// Every file.
    Any,
    /// Files with these digests.
    Files(&'a HashSet<Sha256>),
    /// None.
    Nothing,
}

impl Whitelist {
    /// Compiles the lists of an index; `None` if it has none, which lets everything pass.
    pub(super) fn compile(document: &IndexDocument, faults: &mut Faults) -> Option<Self> {
        let settings = &document.settings;
        let files = settings
            .whitelist_files()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if settings.whitelist().is_none() && files.is_empty() {
            return None;
        }
        let entries = settings.whitelist().map(Vec::as_slice).unwrap_or_default();
        let placed = (0_u32..).zip(entries);
        let placed = placed.map(|(position, entry)| (position, &entry.value, &entry.location));
        let names = Names::compile(placed, faults);
        let mut pinned = HashMap::new();
        for file in files {
            match Lockfile::parse(&file.path.display().to_string(), &file.text) {
                Ok(lockfile) => admit(&mut pinned, &lockfile.pins),
                Err(mut found) => faults.0.append(&mut found.0),
            }
        }
        let first = entries.first().map(|entry| &entry.location);
        let location = first.or(files.first().map(|file| &file.location));
        Some(Self {
            patterns: entries.iter().map(|entry| entry.value.clone()).collect(),
            names,
            pinned,
            location: location.unwrap_or(&document.name.location).clone(),
        })
    }

    /// Which files of a project pass.
    pub(super) fn admission(&self, project: &ProjectName) -> Admission<'_> {
        if self.names.contains(project) {
            return Admission::Any;
        }
        match self.pinned.get(project) {
            Some(Pinned::Any) => Admission::Any,
            Some(Pinned::Files(digests)) => Admission::Files(digests),
            None => Admission::Nothing,
        }
    }

    /// Whether another list admits exactly the same.
    pub(super) fn admits_as(&self, other: &Self) -> bool {
        let mine: HashSet<_> = self.patterns.iter().collect();
        let theirs: HashSet<_> = other.patterns.iter().collect();
        mine == theirs && self.pinned == other.pinned
    }

    /// How many patterns and projects it lists.
    pub(super) fn entries(&self) -> usize {
        self.patterns.len() + self.pinned.len()
    }
}

/// Adds what one lock file admits.
fn admit(pinned: &mut HashMap<ProjectName, Pinned>, pins: &[Pin]) {
    let mut of_file: HashMap<&ProjectName, Option<HashSet<Sha256>>> = HashMap::new();
    for pin in pins {
        let digests = of_file.entry(&pin.project).or_default();
        if pin.has_digests {
            let files = pin.files.iter().filter_map(|file| file.sha256);
            digests.get_or_insert_default().extend(files);
        }
    }
    for (project, digests) in of_file {
        let before = pinned.remove(project);
        let now = match (before, digests) {
            (Some(Pinned::Any), _) | (_, None) => Pinned::Any,
            (Some(Pinned::Files(mut files)), Some(more)) => {
                files.extend(more);
                Pinned::Files(files)
            }
            (None, Some(files)) => Pinned::Files(files),
        };
        pinned.insert(project.clone(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::TextFile;
    use crate::policy::sample::{place, project, stage};

    fn lock(lines: &str) -> TextFile {
        TextFile {
            location: place(9),
            path: "locks/requirements.txt".into(),
            text: lines.into(),
        }
    }

    fn hash(content: &str) -> String {
        format!("--hash=sha256:{}", Sha256::of(content.as_bytes()))
    }

    fn whitelist(patterns: &[&str], locks: &[String]) -> Whitelist {
        let mut document = stage("a/b", &[]).whitelist(patterns);
        document.settings.whitelist_files = Some(locks.iter().map(|text| lock(text)).collect());
        let mut faults = Faults::default();
        let whitelist = Whitelist::compile(&document, &mut faults);
        faults.or(whitelist).unwrap().unwrap()
    }

    #[test]
    fn every_list_admits_and_digests_bind_where_no_other_list_names_the_project() {
        let first = format!(
            "one=={} {}\none==2\ntwo==1\nthree==1 {}\nnamed==1 {}",
            1,
            hash("1"),
            hash("3"),
            hash("n")
        );
        let second = format!("one==3 {}\nthree==1\nodd==1 --hash=sha512:00", hash("2"));
        let list = whitelist(&["acme-*", "named"], &[first, second]);
        let pinned: HashSet<_> = [Sha256::of(b"1"), Sha256::of(b"2")].into();
        let table = [
            ("acme-x", Admission::Any),
            ("named", Admission::Any),
            ("one", Admission::Files(&pinned)),
            ("two", Admission::Any),
            ("three", Admission::Any),
            ("odd", Admission::Files(&HashSet::new())),
            ("other", Admission::Nothing),
        ];
        for (name, expected) in table {
            assert_eq!(list.admission(&project(name)), expected, "{name}");
        }
    }

    #[test]
    fn no_list_lets_everything_pass_and_an_empty_one_nothing() {
        let mut faults = Faults::default();
        assert!(Whitelist::compile(&stage("a/b", &[]), &mut faults).is_none());
        let empty = whitelist(&[], &[]);
        assert_eq!(empty.admission(&project("six")), Admission::Nothing);
    }

    #[test]
    fn a_lock_file_that_cannot_be_read_is_a_fault_in_that_file() {
        let mut document = stage("a/b", &[]);
        document.settings.whitelist_files = Some(vec![lock("six\n-r more.txt")]);
        let mut faults = Faults::default();
        let whitelist = Whitelist::compile(&document, &mut faults);
        insta::assert_snapshot!(
            faults.or(whitelist).unwrap_err(),
            @r#"locks/requirements.txt:2:1: "-r more.txt" includes another file, name that file itself beside this one"#
        );
    }
}
