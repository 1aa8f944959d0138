//! Which advisories a rule asks for, and all of them together.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::advisory::{Advisory, KnownAdvisories};
use crate::language::{Document, Feed};
use crate::model::{Fault, Faults, Location};
use crate::policy::names::bad_glob;

/// All sources of all documents together.
pub(super) fn known(documents: &[Document], faults: &mut Faults) -> KnownAdvisories {
    let mut known = KnownAdvisories::default();
    for document in documents {
        for read in &document.advisories {
            known.add(&read.value);
        }
        for feed in &document.feeds {
            let held = feed.held.as_ref().map(|held| &held.advisories);
            known.add_feed(feed.freshness(), held);
        }
    }
    let mut feeds: Vec<&Feed> = Vec::new();
    for feed in documents.iter().flat_map(|document| &document.feeds) {
        let name = &feed.name;
        if let Some(first) = feeds.iter().find(|one| one.name.value == name.value) {
            let what = format!(
                "feed {:?} is declared twice, first at {}",
                name.value, first.name.location
            );
            let fault = Fault::at(&name.location, what);
            faults.push(fault.hint("give one of them another name: { name: …, url: … }"));
        }
        feeds.push(feed);
    }
    known
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
        class || advisory.names().any(|name| self.ids.is_match(name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{osv, place, project};

    #[test]
    fn a_rule_selects_by_class_id_or_alias() {
        let text = r#"[{"id": "MAL-2024-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-1", "aliases": ["CVE-2024-7"],
                 "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-2", "withdrawn": "2024-01-01T00:00:00Z",
                 "affected": [{"package": {"ecosystem": "PyPI", "name": "evil"}}]},
                {"id": "GHSA-3", "affected": [{"package": {"ecosystem": "npm", "name": "evil"}}]}]"#;
        let mut known = KnownAdvisories::default();
        known.add(&osv(text));
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
            let about = known.about(&project("evil"));
            let found: Vec<&str> = about
                .iter()
                .filter(|advisory| selector.selects(advisory))
                .map(|advisory| &**advisory.id())
                .collect();
            assert_eq!(found, ids, "{word}");
            assert_eq!(faults, Faults::default());
        }
    }
}
