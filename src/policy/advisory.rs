//! Which advisories a rule asks for, and the advisories that files name.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::advisory::{Advisories, Advisory};
use crate::model::{Fault, Faults, Location};
use crate::policy::document::TextFile;
use crate::policy::names::bad_glob;

/// Reads every file; one that is not OSV is a fault at the place that names it.
pub(super) fn compile<'a>(
    files: impl IntoIterator<Item = &'a TextFile>,
    faults: &mut Faults,
) -> Advisories {
    let mut advisories = Advisories::default();
    for file in files {
        if let Err(error) = advisories.read(&file.text) {
            let path = file.path.display();
            let what = format!("{path} is not an OSV file: {error}");
            faults.push(Fault::at(&file.location, what));
        }
    }
    advisories
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
    use crate::policy::sample::{place, project};

    fn read(text: &str) -> Result<Advisories, Faults> {
        let mut faults = Faults::default();
        let file = TextFile {
            location: place(3),
            path: "osv/all.json".into(),
            text: text.into(),
        };
        let advisories = compile([&file], &mut faults);
        faults.or(advisories)
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
