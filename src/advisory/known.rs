//! What was read of OSV documents. Only entries of Python's ecosystem are kept, by project, so a look-up
//! costs one hash.

use std::collections::HashMap;
use std::sync::Arc;

use crate::advisory::affected::Affects;
use crate::advisory::osv::{ECOSYSTEM, Entry, entries};
use crate::model::{ProjectName, Version, VersionMatch};

/// Prefix of the ids of malicious packages.
const MALWARE_PREFIX: &str = "MAL-";

/// Every known advisory, by project.
#[derive(Debug, Default)]
pub struct Advisories {
    by_project: HashMap<ProjectName, Vec<Advisory>>,
}

impl Advisories {
    /// Adds the entries of one document that concern Python; with an error nothing is added.
    ///
    /// # Errors
    /// It is not an OSV document.
    pub fn read(&mut self, text: &str) -> Result<(), serde_json::Error> {
        entries(text)?.into_iter().for_each(|entry| self.add(entry));
        Ok(())
    }

    /// The advisories about a project, whatever its version.
    #[must_use]
    pub fn about(&self, project: &ProjectName) -> &[Advisory] {
        self.by_project.get(project).map_or(&[], Vec::as_slice)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_project.values().map(Vec::len).sum()
    }

    fn add(&mut self, entry: Entry) {
        if entry.withdrawn.is_some() {
            return;
        }
        let aliases = entry.aliases.unwrap_or_default();
        let id: Arc<str> = entry.id.into();
        let names: Arc<[Arc<str>]> = std::iter::once(Arc::clone(&id))
            .chain(aliases.into_iter().map(Arc::from))
            .collect();
        for affected in entry.affected.unwrap_or_default() {
            let Some(package) = affected.package else {
                continue;
            };
            let Ok(project) = ProjectName::parse(&package.name) else {
                continue;
            };
            if package.ecosystem.eq_ignore_ascii_case(ECOSYSTEM) {
                let advisory = Advisory {
                    names: Arc::clone(&names),
                    affects: Affects::of(affected.versions, affected.ranges),
                };
                self.by_project.entry(project).or_default().push(advisory);
            }
        }
    }
}

/// One advisory about one project.
#[derive(Debug)]
pub struct Advisory {
    /// The id first, then the aliases; never empty.
    names: Arc<[Arc<str>]>,
    affects: Affects,
}

impl Advisory {
    /// Its id, such as `MAL-2024-1`.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.names[0]
    }

    /// Whether it concerns this version.
    #[must_use]
    pub fn affects(&self, version: &Version) -> VersionMatch {
        self.affects.contains(version)
    }

    /// The id, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
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
        let mut advisories = Advisories::default();
        advisories.read(text).map(|()| advisories)
    }

    fn one(affected: &str) -> Advisories {
        read(&format!(
            r#"{{"id": "GHSA-1", "aliases": ["CVE-2024-7"], "affected": [{{
                "package": {{"ecosystem": "PyPI", "name": "Left_Pad"}}, {affected}}}]}}"#
        ))
        .unwrap()
    }

    fn affects(advisories: &Advisories, version: &str) -> VersionMatch {
        let about = advisories.about(&ProjectName::parse("left-pad").unwrap());
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
}
