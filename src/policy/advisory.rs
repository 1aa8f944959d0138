//! Known malware and vulnerabilities, read from OSV files (the Open Source Vulnerability schema).
//!
//! Only entries of Python's ecosystem are kept, by project, so a look-up costs one hash. An entry that
//! names neither versions nor a range in version order concerns every version: refusing too much is
//! noticed immediately, refusing too little is not. Whether a range contains a version that cannot be
//! parsed is undecided.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::model::{Fault, Faults, Location, ProjectName, Version, VersionMatch};
use crate::policy::document::TextFile;
use crate::policy::names::bad_glob;

/// OSV's name for Python's ecosystem.
const ECOSYSTEM: &str = "PyPI";

/// Prefix of the ids of malicious packages.
const MALWARE_PREFIX: &str = "MAL-";

/// Every known advisory, by project.
#[derive(Debug, Default)]
pub(super) struct Advisories {
    by_project: HashMap<ProjectName, Vec<Advisory>>,
}

impl Advisories {
    /// Reads every file; an unreadable one is a fault at the place that names it.
    pub(super) fn compile<'a>(
        files: impl IntoIterator<Item = &'a TextFile>,
        faults: &mut Faults,
    ) -> Self {
        let mut advisories = Self::default();
        for file in files {
            match entries(&file.text) {
                Ok(entries) => entries.into_iter().for_each(|entry| advisories.add(entry)),
                Err(error) => {
                    let path = file.path.display();
                    let what = format!("{path} is not an OSV file: {error}");
                    faults.push(Fault::at(&file.location, what));
                }
            }
        }
        advisories
    }

    /// The advisories about a project, whatever its version.
    pub(super) fn about(&self, project: &ProjectName) -> &[Advisory] {
        self.by_project.get(project).map_or(&[], Vec::as_slice)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
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
pub(super) struct Advisory {
    /// The id first, then the aliases; never empty.
    names: Arc<[Arc<str>]>,
    affects: Affects,
}

impl Advisory {
    /// Its id, such as `MAL-2024-1`.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.names[0]
    }

    /// Whether it concerns this version.
    pub(super) fn affects(&self, version: &Version) -> VersionMatch {
        self.affects.contains(version)
    }

    fn is_malware(&self) -> bool {
        self.names
            .iter()
            .any(|name| name.starts_with(MALWARE_PREFIX))
    }
}

/// Which advisories a rule asks for: `malware`, `vulnerability`, or globs of ids and aliases.
#[derive(Debug, Clone)]
pub(super) struct AdvisorySelector {
    malware: bool,
    vulnerability: bool,
    ids: GlobSet,
}

impl AdvisorySelector {
    /// Compiles a rule's `advisory`; `None` if the rule has none.
    pub(super) fn compile(
        words: &[String],
        location: &Location,
        faults: &mut Faults,
    ) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let class = |name: &str| words.iter().any(|word| word == name);
        let ids = words
            .iter()
            .filter(|word| !matches!(word.as_str(), "malware" | "vulnerability"));
        Some(Self {
            malware: class("malware"),
            vulnerability: class("vulnerability"),
            ids: any_case_globs(ids, location, faults),
        })
    }

    /// Whether the rule asks for this one.
    pub(super) fn selects(&self, advisory: &Advisory) -> bool {
        let class = if advisory.is_malware() {
            self.malware
        } else {
            self.vulnerability
        };
        class || advisory.names.iter().any(|name| self.ids.is_match(&**name))
    }
}

/// Globs that ignore case, for ids and tags.
pub(super) fn any_case_globs<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    location: &Location,
    faults: &mut Faults,
) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        match GlobBuilder::new(text).case_insensitive(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => faults.push(bad_glob(text, &error, location)),
        }
    }
    set.build().unwrap_or_else(|error| {
        faults.push(Fault::at(
            location,
            format!("these globs are too large: {error}"),
        ));
        GlobSet::empty()
    })
}

/// The versions an advisory concerns.
#[derive(Debug)]
enum Affects {
    Every,
    These {
        ranges: Vec<Vec<Event>>,
        /// Versions that OSV lists individually, sorted.
        versions: Vec<Version>,
    },
}

/// A point in version order where something changes; `None` is before every version.
#[derive(Debug)]
struct Event {
    version: Option<Version>,
    change: Change,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Introduced,
    Fixed,
    LastAffected,
}

impl Affects {
    fn of(versions: Option<Vec<String>>, ranges: Option<Vec<RangeEntry>>) -> Self {
        let ranges: Vec<Vec<Event>> = ranges
            .unwrap_or_default()
            .into_iter()
            .filter(|range| range.kind == "ECOSYSTEM")
            .map(|range| events(&range.events))
            .collect();
        let mut versions: Vec<Version> = versions
            .unwrap_or_default()
            .iter()
            .map(|text| Version::parse(text))
            .collect();
        if ranges.is_empty() && versions.is_empty() {
            return Self::Every;
        }
        // The list mostly repeats what the ranges say, and is by far the larger part.
        let is_said = |version: &Version| ranges.iter().any(|range| is_within(range, version));
        versions.retain(|version| version.is_legacy() || !is_said(version));
        versions.sort();
        versions.shrink_to_fit();
        Self::These { ranges, versions }
    }

    fn contains(&self, version: &Version) -> VersionMatch {
        let Self::These { ranges, versions } = self else {
            return VersionMatch::Yes;
        };
        if version.is_legacy() {
            // These sort below all others, in order of their text.
            let mut legacy = versions.iter().take_while(|listed| listed.is_legacy());
            return match legacy.any(|listed| version.is_spelled_like(listed.as_str())) {
                true => VersionMatch::Yes,
                false if ranges.is_empty() => VersionMatch::No,
                false => VersionMatch::Unreadable,
            };
        }
        let is_listed = || versions.binary_search(version).is_ok();
        if ranges.iter().any(|range| is_within(range, version)) || is_listed() {
            VersionMatch::Yes
        } else {
            VersionMatch::No
        }
    }
}

/// An advisory about one release, as an OSV file has it.
pub(super) fn written(id: &str, project: &ProjectName, version: &str) -> String {
    let package = serde_json::json!({ "ecosystem": ECOSYSTEM, "name": project.as_str() });
    let affected = serde_json::json!([{ "package": package, "versions": [version] }]);
    serde_json::json!({ "id": id, "affected": affected }).to_string()
}

fn events(entries: &[EventEntry]) -> Vec<Event> {
    let mut events = Vec::new();
    for entry in entries {
        let changes = [
            (&entry.introduced, Change::Introduced),
            (&entry.fixed, Change::Fixed),
            (&entry.last_affected, Change::LastAffected),
        ];
        for (text, change) in changes {
            if let Some(text) = text {
                let version = (text != "0").then(|| Version::parse(text));
                events.push(Event { version, change });
            }
        }
    }
    events.sort_by(|left, right| left.version.cmp(&right.version));
    events
}

/// OSV's own algorithm: walk through the events in order and remember the last one that has happened.
fn is_within(range: &[Event], version: &Version) -> bool {
    let mut affected = false;
    for event in range {
        let reached = event.version.as_ref().is_none_or(|at| version >= at);
        let passed = event.version.as_ref().is_none_or(|at| version > at);
        match event.change {
            Change::Introduced if reached => affected = true,
            Change::Fixed if reached => affected = false,
            Change::LastAffected if passed => affected = false,
            Change::Introduced | Change::Fixed | Change::LastAffected => {}
        }
    }
    affected
}

fn entries(text: &str) -> Result<Vec<Entry>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|entry| vec![entry])
    }
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    aliases: Option<Vec<String>>,
    withdrawn: Option<String>,
    affected: Option<Vec<AffectedEntry>>,
}

#[derive(Deserialize)]
struct AffectedEntry {
    package: Option<PackageEntry>,
    ranges: Option<Vec<RangeEntry>>,
    versions: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct PackageEntry {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct RangeEntry {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<EventEntry>,
}

#[derive(Deserialize)]
struct EventEntry {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{place, project};

    fn read(text: &str) -> Result<Advisories, Faults> {
        let mut faults = Faults::default();
        let file = TextFile {
            location: place(3),
            path: "osv/all.json".into(),
            text: text.into(),
        };
        let advisories = Advisories::compile([&file], &mut faults);
        faults.or(advisories)
    }

    fn one(affected: &str) -> Advisories {
        read(&format!(
            r#"{{"id": "GHSA-1", "aliases": ["CVE-2024-7"], "affected": [{{
                "package": {{"ecosystem": "PyPI", "name": "Left_Pad"}}, {affected}}}]}}"#
        ))
        .unwrap()
    }

    fn affects(advisories: &Advisories, version: &str) -> VersionMatch {
        let about = advisories.about(&project("left-pad"));
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
    fn a_rule_selects_by_class_id_or_alias() {
        let advisories = read(
            r#"[{"id": "MAL-2024-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-1", "aliases": ["CVE-2024-7"],
                 "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-2", "withdrawn": "2024-01-01T00:00:00Z",
                 "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-3", "affected": [{"package": {"ecosystem": "npm", "name": "evil"}}]}]"#,
        )
        .unwrap();
        let table: [(&str, &[&str]); 6] = [
            ("malware", &["MAL-2024-1"]),
            ("vulnerability", &["GHSA-1"]),
            ("cve-2024-*", &["GHSA-1"]),
            ("MAL-2024-1", &["MAL-2024-1"]),
            ("*", &["MAL-2024-1", "GHSA-1"]),
            ("GHSA-[23]", &[]),
        ];
        for (word, ids) in table {
            let mut faults = Faults::default();
            let words = [word.to_owned()];
            let selector = AdvisorySelector::compile(&words, &place(1), &mut faults).unwrap();
            let found: Vec<&str> = advisories
                .about(&project("evil"))
                .iter()
                .filter(|advisory| selector.selects(advisory))
                .map(|advisory| &**advisory.id())
                .collect();
            assert_eq!(found, ids, "{word}");
            assert_eq!(faults, Faults::default());
        }
    }

    #[test]
    fn a_file_that_is_not_osv_is_a_fault_where_it_is_named() {
        for text in ["", "{}", "[{\"id\": 1}]", "<html>"] {
            let faults = read(text).unwrap_err().to_string();
            assert!(
                faults.starts_with("policies/web.yaml:3:5: osv/all.json is not an OSV file: "),
                "{faults}"
            );
        }
    }
}
