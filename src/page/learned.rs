//! What a file told of itself when it passed through: the facts its upstream does not state.
//!
//! Kept per mirror and project, laid over every page read later. An upstream's own word goes first, and
//! a file that is listed with other facts, or elsewhere, is not the one that passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::carry::without_query;
use super::project_page::ProjectPage;
use crate::model::CoreMetadata;
use crate::model::File;
use crate::model::Hashes;
use crate::model::Sha256;

/// The first line of the stored form.
const HEADER: &str = "cheesecloth-learned 1";

/// What is known of a file since it passed through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Where it was fetched, without query.
    pub url: Arc<str>,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its sidecar, where there is one.
    pub metadata_sha256: Option<Sha256>,
}

/// What is known of a project's files, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LearnedFiles(BTreeMap<Arc<str>, Learned>);

/// A stored form that is damaged or of another version; to be treated as absent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the learned facts is damaged or of another version")]
pub struct InvalidLearned(pub usize);

impl Learned {
    /// What was learned of a file fetched from this URL.
    #[must_use]
    pub fn new(url: &str, sha256: Sha256, size: u64, metadata_sha256: Option<Sha256>) -> Self {
        let url = without_query(Some(url)).unwrap_or("").into();
        Self {
            url,
            sha256,
            size,
            metadata_sha256,
        }
    }

    fn is_about(&self, file: &File) -> bool {
        without_query(file.url.as_deref()) == Some(&*self.url)
            && file
                .hashes
                .sha256()
                .is_none_or(|stated| stated == self.sha256)
            && file.size.is_none_or(|stated| stated == self.size)
    }

    fn complete(&self, file: &mut File) {
        file.size = Some(self.size);
        if file.hashes.sha256().is_none() {
            // A digest's own hexadecimal form is valid.
            let _ = file.hashes.insert("sha256", &self.sha256.to_hex());
        }
        match (&file.core_metadata, self.metadata_sha256) {
            (CoreMetadata::Absent | CoreMetadata::Present, Some(digest)) => {
                file.core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(digest));
            }
            (CoreMetadata::Hashed(_), _) | (_, None) => {}
        }
    }
}

impl LearnedFiles {
    /// Notes what a file told; what was known of the name before is forgotten.
    pub fn insert(&mut self, filename: &str, learned: Learned) {
        self.0.insert(filename.into(), learned);
    }

    /// What is known under a file name.
    #[must_use]
    pub fn get(&self, filename: &str) -> Option<&Learned> {
        self.0.get(filename)
    }

    /// Completes each file of a page that one of the facts is about.
    pub fn apply(&self, page: &mut ProjectPage) {
        for file in &mut page.files {
            let learned = self.get(file.filename.as_str());
            if let Some(learned) = learned.filter(|learned| learned.is_about(file)) {
                learned.complete(file);
            }
        }
    }

    /// The stored form: a header, then a line per file.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\n");
        for (filename, learned) in &self.0 {
            let Learned {
                url,
                sha256,
                size,
                metadata_sha256,
            } = learned;
            let metadata = metadata_sha256.map_or_else(|| "-".to_owned(), |digest| digest.to_hex());
            // Resolved URLs hold no space and file names no line feed; writing to a String succeeds.
            let _ = writeln!(text, "{sha256} {size} {metadata} {url} {filename}");
        }
        text.into_bytes()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, InvalidLearned> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidLearned(1))?;
        let mut lines = text.split_inclusive('\n').zip(1..);
        if lines
            .next()
            .is_none_or(|(line, _)| line.strip_suffix('\n') != Some(HEADER))
        {
            return Err(InvalidLearned(1));
        }
        lines
            .map(|(line, number)| parse_line(line).ok_or(InvalidLearned(number)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_line(line: &str) -> Option<(Arc<str>, Learned)> {
    let mut parts = line.strip_suffix('\n')?.splitn(5, ' ');
    let sha256 = Sha256::parse(parts.next()?).ok()?;
    let size = parts.next()?.parse().ok()?;
    let metadata_sha256 = match parts.next()? {
        "-" => None,
        hex => Some(Sha256::parse(hex).ok()?),
    };
    let url = parts.next()?.into();
    let filename = parts.next()?.into();
    Some((
        filename,
        Learned {
            url,
            sha256,
            size,
            metadata_sha256,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples;

    const URL: &str = "https://files.example/f/six-1-py3-none-any.whl";

    fn learned() -> LearnedFiles {
        let mut learned = LearnedFiles::default();
        let facts = Learned::new(URL, Sha256::of(b"six"), 3, Some(Sha256::of(b"metadata")));
        learned.insert("six-1-py3-none-any.whl", facts);
        learned.insert(
            "six-1 a.zip",
            Learned::new("https://files.example/x?sig", Sha256::of(b""), 0, None),
        );
        learned
    }

    fn bare_page() -> ProjectPage {
        let mut page = samples::page("six", &["six-1-py3-none-any.whl"]);
        page.files[0].hashes = Hashes::default();
        page
    }

    #[test]
    fn a_page_is_completed() {
        let mut page = bare_page();
        page.files[0].url = Some(format!("{URL}?sig=1").into());
        learned().apply(&mut page);
        let file = &page.files[0];
        assert_eq!(
            (file.hashes.sha256(), file.size),
            (Some(Sha256::of(b"six")), Some(3))
        );
        let metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"metadata")));
        assert_eq!(file.core_metadata, metadata);
    }

    #[test]
    fn a_file_that_is_listed_otherwise_is_not_the_one_that_passed() {
        let mut other_url = bare_page();
        other_url.files[0].url = Some("https://files.example/g/six-1-py3-none-any.whl".into());
        let mut other_size = bare_page();
        other_size.files[0].size = Some(4);
        let mut other_digest = bare_page();
        other_digest.files[0].hashes = Hashes::sha256_only(Sha256::of(b"seven"));
        for page in [other_url, other_size, other_digest] {
            let mut applied = page.clone();
            learned().apply(&mut applied);
            assert_eq!(applied, page);
        }
    }

    #[test]
    fn a_stated_sidecar_digest_goes_first() {
        let mut page = bare_page();
        let stated = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"stated")));
        page.files[0].core_metadata = stated.clone();
        learned().apply(&mut page);
        assert_eq!(page.files[0].core_metadata, stated);
    }

    #[test]
    fn facts_survive_their_stored_form() {
        for facts in [learned(), LearnedFiles::default()] {
            assert_eq!(LearnedFiles::from_stored(&facts.to_stored()), Ok(facts));
        }
    }

    #[test]
    fn a_damaged_form_is_refused_with_its_line() {
        let stored = String::from_utf8(learned().to_stored()).unwrap();
        let table = [
            (String::new(), 1),
            (stored.replace("learned 1", "learned 2"), 1),
            (stored.trim_end().to_owned(), 3),
            (stored.replace(" 3 ", " three "), 3),
            (format!("{stored}\n"), 4),
        ];
        for (text, line) in table {
            assert_eq!(
                LearnedFiles::from_stored(text.as_bytes()),
                Err(InvalidLearned(line)),
                "{text}"
            );
        }
        assert_eq!(LearnedFiles::from_stored(b"\xff"), Err(InvalidLearned(1)));
    }
}
