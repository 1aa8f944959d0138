//! What a release says about itself, as far as it is searched: cut to bounds, and kept beside its page.

use serde::{Deserialize, Serialize};

use crate::model::{Version, one_line};
use crate::protocol::ReleaseMetadata;
use crate::search::rank::WordField;

/// Longest summary, in bytes: core metadata wants one line.
const SUMMARY_BYTES_MAX: usize = 500;

/// Longest keywords, in bytes.
const KEYWORDS_BYTES_MAX: usize = 500;

/// Most classifiers, and names to import, that are looked at.
const VALUES_MAX: usize = 100;

/// Longest of them, in bytes.
const VALUE_BYTES_MAX: usize = 150;

/// What one release says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseAbout {
    /// The release.
    pub version: String,
    /// `Summary`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keywords: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classifiers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imports: Vec<String>,
}

impl ReleaseAbout {
    /// Takes what is searched of a release's metadata.
    #[must_use]
    pub fn of(version: &str, metadata: &ReleaseMetadata) -> Self {
        let text = |field: &str, bytes_max: usize| {
            let text = metadata.text(field).unwrap_or_default();
            one_line(cut(text, bytes_max))
        };
        let values = |field: &str| {
            let values = metadata.list(field).iter().take(VALUES_MAX);
            values.map(|value| cut(value, VALUE_BYTES_MAX).to_owned())
        };
        // PEP 794: "name; private".
        let imports = values("import_names").chain(values("import_namespaces"));
        let imports =
            imports.map(|one| one.split(';').next().unwrap_or_default().trim().to_owned());
        Self {
            version: version.to_owned(),
            summary: text("summary", SUMMARY_BYTES_MAX),
            keywords: text("keywords", KEYWORDS_BYTES_MAX),
            classifiers: values("classifiers").collect(),
            imports: imports.take(VALUES_MAX).collect(),
        }
    }

    /// Reads what was kept; damaged facts count as none.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let mut about: Self = serde_json::from_slice(bytes).ok()?;
        about.summary = one_line(&about.summary);
        Some(about)
    }

    /// The form in which it is kept.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The texts whose words are searched, besides the summary.
    pub fn texts(&self) -> impl Iterator<Item = (WordField, &str)> {
        let keywords = [(WordField::Keyword, self.keywords.as_str())];
        let imports = self
            .imports
            .iter()
            .map(|one| (WordField::Import, one.as_str()));
        // "Programming Language :: Python" says nothing of most projects, and would be found for all.
        let telling = |one: &&String| !one.starts_with("Programming Language ::");
        let classifiers = self.classifiers.iter().filter(telling);
        let classifiers = classifiers.map(|one| (WordField::Classifier, one.as_str()));
        keywords.into_iter().chain(imports).chain(classifiers)
    }

    /// Whether this says more about a project than what is known: it is of a later release, or as late, and a
    /// final one rather than one before it.
    #[must_use]
    pub fn is_newer_than(&self, known: &Self) -> bool {
        rank(&self.version) >= rank(&known.version)
    }
}

/// By which of two versions is told to describe a project: final ones first, as installers have it.
pub fn rank(version: &str) -> (bool, Version) {
    let version = Version::parse(version);
    (!version.is_legacy() && !version.is_prerelease(), version)
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_cut_and_read_back() {
        let file = format!(
            "Name: x\nSummary: a\tb\u{7}c\nKeywords: {}\nImport-Name: yaml.cyaml; private\n\
             Classifier: Programming Language :: Python\nClassifier: Topic :: Dairy\n",
            "k".repeat(9999)
        );
        let about = ReleaseAbout::of("1.0", &ReleaseMetadata::of_file(file.as_bytes()));
        assert_eq!(about.summary, "a b c");
        let texts: Vec<_> = about.texts().collect();
        assert_eq!(texts[0].1.len(), KEYWORDS_BYTES_MAX);
        let told = [
            (WordField::Import, "yaml.cyaml"),
            (WordField::Classifier, "Topic :: Dairy"),
        ];
        assert_eq!(texts[1..], told);
        assert_eq!(ReleaseAbout::from_stored(&about.to_stored()), Some(about));
        assert_eq!(ReleaseAbout::from_stored(b"{"), None);
        // As an earlier version may have kept it.
        let odd = "{\"version\": \"1.0\", \"summary\": \"a\u{202e}b\"}";
        assert_eq!(
            ReleaseAbout::from_stored(odd.as_bytes()).unwrap().summary,
            "ab"
        );
    }

    #[test]
    fn a_final_release_speaks_before_one_that_is_not() {
        let of = |version: &str| ReleaseAbout {
            version: version.to_owned(),
            ..ReleaseAbout::default()
        };
        for (one, other) in [
            ("2.0", "1.0"),
            ("1.0", "2.0rc1"),
            ("1.0", "1.0"),
            ("2.0rc1", "1.0rc1"),
        ] {
            assert!(of(one).is_newer_than(&of(other)), "{one} {other}");
        }
        assert!(!of("2.0rc1").is_newer_than(&of("1.0")));
        assert!(!of("0.9").is_newer_than(&of("1.0")));
    }
}
